"""The motion adapter: PNCC images to a residual tri-plane (paper 3.2, Eq. 2; spec 5)."""

import torch
from core.hub import Pretrained
from core.nn.conv import norm_layer
from core.nn.segformer import MiT, MiTConfig
from core.nn.stylegan import EqualConv2d
from core.render.triplane import flip_planes
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from animate.config import MotionAdapterConfig

SMALL = 0.001
"""Spread of the last convolution's weights where training starts from nearly still planes."""
CONTRAST = 4.0
"""How much the difference of driver and source is amplified at that start."""


class PyramidHead(nn.Module):
    """SegFormer's head: every stage to one width and one size, then a 1x1 convolution over all of them."""

    def __init__(self, widths: tuple[int, ...], channels: int, dropout: float) -> None:
        super().__init__()
        self.project = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in widths)
        self.join = nn.Sequential(
            nn.Conv2d(len(widths) * channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Dropout2d(dropout),
        )

    def forward(self, maps: list[Float[Tensor, "b _ _ _"]]) -> Float[Tensor, "b c h w"]:
        """Feature maps, finest first, to features at the size of the finest."""
        size = maps[0].shape[-2:]
        layers = [project(x) for project, x in zip(self.project, maps, strict=True)]
        same = [F.interpolate(x, size=size, mode="bilinear", align_corners=False) for x in layers]
        return self.join(torch.cat(same[::-1], 1))


class MotionAdapter(nn.Module, Pretrained):
    """How the canonical planes change when the face takes on the driving expression; 5.706 M parameters at paper size."""

    def __init__(self, config: MotionAdapterConfig) -> None:
        super().__init__()
        self.config = config
        width = config.head_channels
        self.stack = EqualConv2d(config.in_channels, 3, kernel=1)
        self.encoder = MiT(MiTConfig(widths=config.widths, depths=config.depths, heads=config.heads, drop_path=config.drop_path))
        self.head = PyramidHead(config.widths, width, config.dropout)
        layers: list[nn.Module] = []
        for _ in range(3):
            layers.append(nn.Conv2d(width, width, 3, padding=1))
            if config.plain_norm != "none":
                layers.append(norm_layer(config.plain_norm, width))
            layers.append(nn.LeakyReLU(0.01))
        self.convs = nn.Sequential(*layers)
        self.to_planes = nn.Conv2d(width, 3 * config.plane_channels, 3, padding=1)
        if config.start_still:
            nn.init.normal_(self.to_planes.weight, std=SMALL)
            nn.init.zeros_(self.to_planes.bias)
            self._start_with_differences()

    @torch.no_grad()
    def _start_with_differences(self) -> None:
        """``stack`` begins as the source plus the amplified difference of driver and source, channel by channel."""
        weight = torch.zeros_like(self.stack.weight)
        source, driver = self.config.in_channels - 6, self.config.in_channels - 3
        for channel in range(3):
            weight[channel, driver + channel] = CONTRAST
            weight[channel, source + channel] = 1 - CONTRAST
        self.stack.weight.copy_(weight * self.config.in_channels**0.5)  # undo the equalised gain

    def forward(
        self,
        pncc_src: Float[Tensor, "b 3 h w"],
        pncc_drv: Float[Tensor, "b 3 h w"],
        pncc_cano: Float[Tensor, "b 3 h w"] | None = None,
        rest: Float[Tensor, "#b 3 c p p"] | None = None,
    ) -> Float[Tensor, "b 3 c p p"]:
        """Residual planes, ready to be added to those of I2P.

        Args:
            pncc_src: the source's own expression, in [-1, 1], empty -1 (Eq. 1, spec 1.4); square, resized to ``config.image_size``.
            pncc_drv: the driving expression on the source's identity.
            pncc_cano: the neutral expression; needed with nine channels, ignored with six.
            rest: what ``at_rest`` gives for the same source, to save half of the work of a ``relative`` adapter.

        Raises:
            ValueError: ``pncc_cano`` is missing although the network was built for three PNCCs.
        """
        planes = self._planes(pncc_src, pncc_drv, pncc_cano)
        if not self.config.relative:
            return planes
        return planes - (self.at_rest(pncc_src, pncc_cano) if rest is None else rest)

    def at_rest(
        self, pncc_src: Float[Tensor, "b 3 h w"], pncc_cano: Float[Tensor, "b 3 h w"] | None = None
    ) -> Float[Tensor, "b 3 c p p"] | None:
        """What a ``relative`` adapter subtracts: its answer when the source drives itself. None if it is not relative."""
        return self._planes(pncc_src, pncc_src, pncc_cano) if self.config.relative else None

    def _planes(self, pncc_src: Tensor, pncc_drv: Tensor, pncc_cano: Tensor | None) -> Tensor:
        images = [pncc_src, pncc_drv]
        if self.config.pncc_inputs == "cano+src+drv":
            if pncc_cano is None:
                raise ValueError("pncc_inputs='cano+src+drv' needs pncc_cano, the PNCC of the neutral expression")
            images.insert(0, pncc_cano)
        x = torch.cat(images, 1)
        size = self.config.image_size
        if x.shape[-1] != size:
            x = F.interpolate(x, size=(size, size), mode="bilinear", align_corners=False, antialias=True)
        x = self.convs(self.head(self.encoder(self.stack(x))))
        x = F.interpolate(x, size=(self.config.plane_size,) * 2, mode="bilinear", align_corners=True)
        return flip_planes(rearrange(self.to_planes(x), "b (three c) h w -> b three c h w", three=3))
