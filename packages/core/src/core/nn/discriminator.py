"""The dual discriminator of EG3D (Chan et al. 2022, Section 4.3; spec 6.2): judges the final image and the raw rendering together."""

import math
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from core.camera import Camera
from core.nn.stylegan import EqualConv2d, EqualLinear, MappingNetwork


@dataclass(frozen=True)
class DualDiscriminatorConfig:
    """Sizes of ``DualDiscriminator``; the defaults are the published one (31.36 M parameters)."""

    image_size: int = 512
    """Side of the final image; a power of two of at least 16."""
    raw_size: int = 128
    """Side of the raw rendering; upsampled to ``image_size`` before it is judged."""
    channel_base: int = 32768
    """Channels at side ``s`` are ``channel_base / s``, at most ``channel_max``."""
    channel_max: int = 512
    """Largest number of channels, and the width of the camera embedding."""
    group: int = 2
    """Samples that are compared by the mini-batch standard deviation."""
    mapping_layers: int = 8
    """Layers that embed the camera."""
    camera_noise: float = 1.0
    """Noise on the camera label in standard deviations of stage-1 cameras, so that the pose alone does not tell real from made."""

    def __post_init__(self) -> None:
        if self.image_size < 16 or self.image_size & (self.image_size - 1):
            raise ValueError(f"image_size {self.image_size} is not a power of two of at least 16")

    def channels(self, size: int) -> int:
        """Channels of the features at side ``size``."""
        return min(self.channel_base // size, self.channel_max)


class DownBlock(nn.Module):
    """Residual block that halves the size (StyleGAN2)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv0 = EqualConv2d(in_channels, in_channels, activate=True)
        self.conv1 = EqualConv2d(in_channels, out_channels, down=True, activate=True)
        self.skip = EqualConv2d(in_channels, out_channels, kernel=1, bias=False, down=True)

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o hh ww"]:
        """Features of half the size."""
        return (self.conv1(self.conv0(x)) + self.skip(x)) * math.sqrt(0.5)


class DualDiscriminator(nn.Module):
    """Realness of a pair (image, raw rendering) seen from a camera."""

    def __init__(self, config: DualDiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        sizes = [config.image_size // 2**i for i in range(int(math.log2(config.image_size)) - 1)]  # image_size ... 4
        top, bottom = config.channels(sizes[0]), config.channels(4)
        self.from_rgb = EqualConv2d(6, top, kernel=1, activate=True)
        self.blocks = nn.ModuleList(DownBlock(config.channels(size), config.channels(size // 2)) for size in sizes[:-1])
        self.conv = EqualConv2d(bottom + 1, bottom, activate=True)
        self.hidden = EqualLinear(bottom * 16, bottom, activate=True)
        self.out = EqualLinear(bottom, config.channel_max)
        self.mapping = MappingNetwork(0, 25, config.channel_max, config.mapping_layers)
        self.register_buffer("label_std", camera_spread(), persistent=False)

    def forward(
        self,
        image: Float[Tensor, "b 3 S S"],
        raw: Float[Tensor, "b 3 s s"],
        label: Float[Tensor, "b 25"],
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "b 1"]:
        """Logits, positive for real.

        Args:
            image: final image in [-1, 1].
            raw: raw rendering in [-1, 1].
            label: camera.
            generator: of the camera noise while training; None draws from torch's global one.
        """
        raw = F.interpolate(raw, image.shape[2:], mode="bilinear", align_corners=False)
        x = self.from_rgb(torch.cat([image, raw], 1).clamp(-1, 1))
        for block in self.blocks:
            x = block(x)
        x = self.conv(with_batch_deviation(x, self.config.group))
        x = self.out(self.hidden(x.flatten(1)))
        if self.training and self.config.camera_noise:
            noise = torch.randn(label.shape, generator=generator, device=label.device if generator is None else generator.device)
            label = label + noise.to(label) * self.label_std * self.config.camera_noise
        return (x * self.mapping(None, label)).sum(1, keepdim=True) / math.sqrt(self.config.channel_max)


def with_batch_deviation(x: Float[Tensor, "b c h w"], group: int) -> Float[Tensor, "b d h w"]:
    """Append one channel: the standard deviation within groups of samples, averaged over features (Karras et al. 2018)."""
    b, _, h, w = x.shape
    group = group if b % group == 0 else 1
    deviation = (rearrange(x, "(g m) c h w -> g m c h w", g=group).var(0, unbiased=False) + 1e-8).sqrt()
    channel = deviation.mean((1, 2, 3))[None, :].expand(group, -1).reshape(b, 1, 1, 1)
    return torch.cat([x, channel.expand(b, 1, h, w)], 1)


def camera_spread() -> Float[Tensor, "25"]:
    """Standard deviation of the camera labels of stage 1 (yaw +-38, pitch +-26 degrees, radius 2.7 to 4), focal lengths 0.0079."""
    with torch.device("cpu"):  # numbers, also for a network that is being counted on the meta device
        ticks = torch.linspace(-1, 1, 9)
        yaw, pitch, radius = (x.flatten() for x in torch.meshgrid(ticks, ticks, ticks, indexing="ij"))
        camera = Camera.look_at(yaw * math.radians(38), pitch * math.radians(26), 3.35 + 0.65 * radius)
        spread = camera.label.std(0)
        spread[[16, 20]] = 0.0079
    return spread
