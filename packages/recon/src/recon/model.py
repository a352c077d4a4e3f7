"""I2P: one head image to the canonical tri-plane (paper 3.1, Table 6; spec 4)."""

import torch
from core.camera import Camera
from core.errors import PortraitError
from core.hub import Pretrained
from core.nn.conv import AtrousPyramid, LightResNet, Norm, conv3x3, norm_layer
from core.nn.segformer import MixBlock, OverlapPatchEmbed, init_segformer
from core.render.triplane import flip_planes, mirror_planes
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from recon.alignment import head_frame, unturned_frame, with_outline
from recon.config import I2PConfig


class I2P(nn.Module, Pretrained):
    """Image to plane: a low-resolution encoder with a transformer understands the head, a high-resolution one keeps its detail.

    Args:
        config: sizes; ``I2PConfig.preset("87M")`` is the paper's.
    """

    def __init__(self, config: I2PConfig) -> None:
        super().__init__()
        self.config = config
        self.low = LowResolutionEncoder(config)
        self.lift = LiftTransformer(config)
        self.detail = detail_encoder(config)
        self.fuse = PlanePredictor(config)
        self.direct = conv3x3(config.image_channels, 3 * config.plane_channels) if config.direct else None
        if self.direct is not None:
            nn.init.zeros_(self.direct.weight)
            nn.init.zeros_(self.direct.bias)

    def forward(self, image: Float[Tensor, "b 3 h w"], camera: Camera | None = None) -> Float[Tensor, "b 3 c p p"]:
        """Canonical planes, flipped and ready for the renderer.

        Args:
            image: the head in [-1, 1] over -1, any square size; resized (antialiased) to ``config.image_size``.
            camera: that took the image; needed when ``config.head_frame`` is set, ignored otherwise.

        Raises:
            ValueError: the image is not square, or the camera is missing.
        """
        if image.shape[2] != image.shape[3]:
            raise ValueError(f"the image must be square, not {image.shape[3]} x {image.shape[2]}")
        size = self.config.image_size
        if self.config.outline:
            image = with_outline(image)
        if self.config.head_frame:
            if camera is None:
                raise ValueError(f"config.head_frame={self.config.head_frame} needs the camera of the image")
            image = (unturned_frame if self.config.unturn else head_frame)(image, camera, size, self.config.head_frame)
        elif image.shape[2] != size:
            image = F.interpolate(image, (size, size), mode="bilinear", align_corners=False, antialias=True)
        planes = self._draw(image)
        if self.config.both_sides and not self.training:
            planes = (planes + mirror_planes(self._draw(image.flip(3)))) / 2
        return planes

    def _draw(self, image: Float[Tensor, "b e s s"]) -> Float[Tensor, "b 3 c p p"]:
        """Planes of an aligned image."""
        x = with_coordinates(image)
        planes = self.fuse(self.lift(self.low(x)), self.detail(x))
        if self.direct is not None:
            planes = planes + self.direct(F.avg_pool2d(image, 2))
        return flip_planes(rearrange(planes, "b (k c) h w -> b k c h w", k=3))

    def load_imagenet(self) -> None:
        """Start the residual encoder from timm's ImageNet weights (the paper's start); its first layer is tiled to five channels.

        Raises:
            PortraitError: ``E_WEIGHTS`` when there is no such encoder or its weights cannot be had.
        """
        if not self.config.resnet:
            raise PortraitError("E_WEIGHTS", "this I2P has no ImageNet encoder", "Use a preset with resnet34: 40M, 87M or 200M.")
        try:
            source = timm_encoder(self.config.resnet, True, self.config.image_channels + 2)
        except (OSError, RuntimeError) as error:
            raise PortraitError(
                "E_WEIGHTS", f"no ImageNet weights for {self.config.resnet}: {error}", "Go online once, or train from scratch."
            ) from error
        self.low.encoder.load_state_dict(source.state_dict())


def with_coordinates(image: Float[Tensor, "b c s s"]) -> Float[Tensor, "b c+2 s s"]:
    """Append row / side and column / side, in [0, 1), in this order."""
    b, _, h, w = image.shape
    row = (torch.arange(h, device=image.device) / h).to(image)[:, None].expand(b, 1, h, w)
    column = (torch.arange(w, device=image.device) / w).to(image).expand(b, 1, h, w)
    return torch.cat([image, row, column], 1)


def timm_encoder(name: str, pretrained: bool = False, channels: int = 5) -> nn.Module:
    """Residual encoder of timm with so many input channels and output stride 8; gives a list with the last feature map."""
    import timm  # slow to import, and only the paper's sizes need it

    return timm.create_model(name, pretrained=pretrained, in_chans=channels, features_only=True, output_stride=8, out_indices=(4,))


class LowResolutionEncoder(nn.Module):
    """Residual encoder and atrous pyramid: the image to features at one eighth of its size (DeepLabV3)."""

    def __init__(self, config: I2PConfig) -> None:
        super().__init__()
        if config.resnet:
            self.encoder = timm_encoder(config.resnet, channels=config.image_channels + 2)
            channels = self.encoder.feature_info.channels()[-1]
        else:
            self.encoder = LightResNet(config.image_channels + 2, config.resnet_widths, norm=config.norm)
            channels = config.resnet_widths[-1]
        self.pyramid = AtrousPyramid(channels, config.encoder_channels, config.rates, config.dropout)
        self.norm = norm_layer(config.plain_norm, config.encoder_channels)

    def forward(self, x: Float[Tensor, "b e s s"]) -> Float[Tensor, "b c t t"]:
        """Features at an eighth of the size."""
        x = self.encoder(x)
        return self.norm(self.pyramid(x[0] if isinstance(x, list) else x))


class LiftTransformer(nn.Module):
    """Transformer over the whole head at 1/16 of the image size, then up to the size of the planes.

    The upsampling is bilinear with ``align_corners=True``, as in the published network (spec 16.13).
    """

    def __init__(self, config: I2PConfig) -> None:
        super().__init__()
        inner, last = config.lift_channels
        self.embed = OverlapPatchEmbed(config.encoder_channels, config.width)
        self.blocks = nn.ModuleList(MixBlock(config.width, config.heads, config.mlp_ratio) for _ in range(config.blocks))
        up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        self.up = nn.Sequential(
            nn.PixelShuffle(2),
            up,
            *plain(config.width // 4, inner, config.plain_norm, nn.ReLU()),
            up,
            *plain(inner, inner, config.plain_norm, nn.ReLU()),
            conv3x3(inner, last),
        )
        self.apply(init_segformer)

    def forward(self, x: Float[Tensor, "b c t t"]) -> Float[Tensor, "b d p p"]:
        """Features at the size of the planes."""
        return self.up(run_blocks(self.embed, self.blocks, x))


def plain(in_channels: int, out_channels: int, norm: Norm, activation: nn.Module | None = None) -> list[nn.Module]:
    """Convolution, normalisation if any, activation (leaky ReLU of slope 0.01 by default)."""
    layers: list[nn.Module] = [conv3x3(in_channels, out_channels)]
    if norm != "none":
        layers.append(norm_layer(norm, out_channels))
    return [*layers, activation or nn.LeakyReLU(0.01)]


def detail_encoder(config: I2PConfig) -> nn.Sequential:
    """Plain convolutions at half the image size. The first has no activation; the paper's sizes normalise nothing (spec 16.15, 16.16)."""
    first, width = config.detail_channels
    layers: list[nn.Module] = [nn.Conv2d(config.image_channels + 2, first, 7, 2, 3), *plain(first, width, config.plain_norm)]
    for _ in range(3):
        layers += plain(width, width, config.plain_norm)
    encoder = nn.Sequential(*layers, conv3x3(width, width))
    return encoder.apply(init_segformer)


class PlanePredictor(nn.Module):
    """Joins both encoders through a transformer block with reduced keys and writes the planes."""

    def __init__(self, config: I2PConfig) -> None:
        super().__init__()
        wide, narrow = config.fuse_channels
        low, high = config.lift_channels[1], config.detail_channels[1]
        norm = config.plain_norm
        self.join = nn.Sequential(*plain(low + high, wide, norm), *plain(wide, narrow, norm))
        self.embed = OverlapPatchEmbed(narrow, config.plane_width)
        blocks = (MixBlock(config.plane_width, config.plane_heads, config.mlp_ratio, reduction=2) for _ in range(config.plane_blocks))
        self.blocks = nn.ModuleList(blocks)
        self.shuffle = nn.PixelShuffle(2)
        self.write = nn.Sequential(
            *plain(config.plane_width // 4 + low, wide, norm),
            *plain(wide, narrow, norm),
            *plain(narrow, narrow, norm),
            conv3x3(narrow, 3 * config.plane_channels),
        )
        self.apply(init_segformer)

    def forward(self, low: Float[Tensor, "b d p p"], high: Float[Tensor, "b e p p"]) -> Float[Tensor, "b k p p"]:
        """The three planes, stacked and not yet flipped."""
        x = run_blocks(self.embed, self.blocks, self.join(torch.cat([low, high], 1)))
        return self.write(torch.cat([self.shuffle(x), low], 1))


def run_blocks(embed: OverlapPatchEmbed, blocks: nn.ModuleList, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d hh ww"]:
    """Feature map to tokens, through the blocks, and back to a map. No final normalisation (spec 4)."""
    tokens, size = embed(x)
    for block in blocks:
        tokens = block(tokens, size)
    return rearrange(tokens, "b (h w) d -> b d h w", h=size[0])
