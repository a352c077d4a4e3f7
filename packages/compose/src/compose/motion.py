"""Dense motion estimator (DME, Eq. 10): key points of source and driving frame to one warp of the torso volume (spec 7.2).

Coordinates are (x, y, z) = (width, height, depth) in [-1, 1], where -1 and 1 are the centres of the outermost cells
(``align_corners=True``); key points are projected, so their z is 0. A motion names for every place where to look in the source.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from core.exact import exact
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from compose.generator import ResBlock2d


@dataclass(frozen=True)
class Motion:
    """What the estimator says about one batch of frames.

    Attributes:
        deformation: where each cell of the driving volume comes from, (x, y, z).
        occlusion: first occlusion map in (0, 1); only a regulariser looks at it.
        torso_occlusion: second occlusion map in (0, 1), the start of M_torso.
        logits: how much each key point's motion counts in a cell, that of no motion first.
        driving: key points that it leads to.
    """

    deformation: Float[Tensor, "b d v v 3"]
    occlusion: Float[Tensor, "b 1 v v"]
    torso_occlusion: Float[Tensor, "b 1 v v"]
    logits: Float[Tensor, "b k1 d v v"]
    driving: Float[Tensor, "b k 3"]

    def onward(self, driving: Float[Tensor, "b k 3"]) -> Float[Tensor, "b d v v 3"]:
        """The deformation that leads to key points near by, each counting as much as before."""
        shift = F.pad(self.driving - driving, (0, 0, 1, 0))
        return self.deformation + mixed_motion(self.logits, rearrange(shift, "b k c -> b k 1 1 1 c"))


def identity_grid(depth: int, height: int, width: int, like: Tensor) -> Float[Tensor, "d h w 3"]:
    """The motion that leaves everything where it is, on the device and in the type of ``like``."""
    z, y, x = (torch.linspace(-1, 1, n).to(like) if n > 1 else torch.zeros(1).to(like) for n in (depth, height, width))
    return torch.stack(torch.meshgrid(x, y, z, indexing="xy"), -1).permute(2, 0, 1, 3)


@exact
def mixed_motion(logits: Float[Tensor, "b k d h w"], motions: Float[Tensor, "b k #d #h #w 3"]) -> Float[Tensor, "b d h w 3"]:
    """The motions of all key points, mixed by the softmax of ``logits``."""
    shares = logits.to(motions).softmax(1)
    return torch.einsum("bkdhw,bkdhwc->bdhwc", shares, motions.expand(*shares.shape, 3))


def keypoint_heatmaps(
    keypoints: Float[Tensor, "b k 3"], grid: Float[Tensor, "d h w 3"], variance: float = 0.01
) -> Float[Tensor, "b k d h w"]:
    """``exp(-|grid - keypoint|^2 / (2 variance))``, built from its three separable factors."""
    x, y, z = grid[0, 0, :, 0], grid[0, :, 0, 1], grid[:, 0, 0, 2]
    gx, gy, gz = (torch.exp(-0.5 * (axis - keypoints[..., i, None]) ** 2 / variance) for i, axis in enumerate((x, y, z)))
    return torch.einsum("bkd,bkh,bkw->bkdhw", gz, gy, gx)


def sparse_motions(
    source: Float[Tensor, "b k 3"], driving: Float[Tensor, "b k 3"], grid: Float[Tensor, "d h w 3"]
) -> Float[Tensor, "b k1 d h w 3"]:
    """One motion per key point, the shift that takes its driving place back to its source place, after the identity as number 0."""
    shift = F.pad(source - driving, (0, 0, 1, 0))
    return grid + rearrange(shift, "b k c -> b k 1 1 1 c")


def scale_gradient(x: Tensor, factor: float) -> Tensor:
    """The same values; gradients are multiplied by ``factor``."""
    return x if factor == 1 else x * factor + x.detach() * (1 - factor)


def conv_block3d(in_channels: int, out_channels: int) -> nn.Sequential:
    """3x3x3 convolution, batch norm, ReLU."""
    return nn.Sequential(nn.Conv3d(in_channels, out_channels, 3, padding=1), nn.BatchNorm3d(out_channels), nn.ReLU())


class HeadContext(nn.Module):
    """Version 2: the rendered head (RGB and mask) as features for the motion estimator."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(4, channels, 7, padding=3), *[ResBlock2d(channels, spectral=False) for _ in range(3)], nn.AvgPool2d(2)
        )

    def forward(self, head: Float[Tensor, "b 4 s s"]) -> Float[Tensor, "b c v v"]:
        """Features at half the side."""
        return self.body(head)


class DenseMotion(nn.Module):
    """Weighs the sparse motions of the key points cell by cell: ``deformation = sum_k mask_k motion_k``."""

    COMPRESSED = 4

    def __init__(
        self,
        volume: tuple[int, int],
        keypoints: int,
        channels: tuple[int, ...],
        out_channels: int,
        kernel: int,
        variance: float,
        head_context: bool,
    ) -> None:
        """``volume`` is (channels, depth) of the torso volume, ``channels`` the trunk's widths on its way down."""
        super().__init__()
        self.variance = variance
        self.compress = nn.Conv3d(volume[0] + 2, self.COMPRESSED, 1)
        width = (keypoints + 1) * (self.COMPRESSED + 1)
        downs = [width, *channels]
        ups = [*channels[::-1], out_channels]
        self.down = nn.ModuleList(conv_block3d(i, o) for i, o in pairwise(downs))
        self.up = nn.ModuleList(conv_block3d(i, o) for i, o in pairwise(ups))
        width += out_channels
        self.head = HeadContext(out_channels) if head_context else None
        if head_context:
            self.join = nn.Conv3d(width + out_channels, out_channels, kernel, padding=kernel // 2)
            width = out_channels
        self.mask = nn.Conv3d(width, keypoints + 1, kernel, padding=kernel // 2)
        self.occlusion = nn.Conv2d(width * volume[1], 1, kernel, padding=kernel // 2)
        self.torso_occlusion = nn.Conv2d(width * volume[1], 1, kernel, padding=kernel // 2)

    def start_from_translation(self) -> None:
        """Initialise so that the deformation is the mean shift of the key points (the identity gets half a per cent)."""
        nn.init.normal_(self.mask.weight, std=1e-4)
        nn.init.zeros_(self.mask.bias)
        with torch.no_grad():
            self.mask.bias[0] = -4.0

    def compressed(self, volume: Float[Tensor, "b c d v v"], classes: Float[Tensor, "b 2 v v"]) -> Float[Tensor, "b 4 d v v"]:
        """The few channels of the source that are moved with each key point; once per source."""
        return self.compress(torch.cat([volume, repeat(classes, "b c h w -> b c d h w", d=volume.shape[2])], 1))

    def forward(
        self,
        compressed: Float[Tensor, "b 4 d v v"],
        source: Float[Tensor, "b k 3"],
        driving: Float[Tensor, "b k 3"],
        head: Float[Tensor, "b 4 s s"] | None = None,
    ) -> Motion:
        """Motion from ``source`` to ``driving`` key points; version 2 also takes the rendered head at twice the volume's side."""
        depth, height, width = compressed.shape[2:]
        grid = identity_grid(depth, height, width, source)  # in the type of points: half precision would round places
        motions = sparse_motions(source, driving, grid)
        x = self._evidence(compressed, source, driving, grid, motions)
        x = torch.cat([x, self._trunk(x)], 1)
        if self.head is not None:
            context = repeat(self.head(head), "b c h w -> b c d h w", d=depth)
            x = self.join(torch.cat([x, context], 1))
        mask, occlusion, torso_occlusion = self._heads(x)
        return Motion(mixed_motion(mask, motions), occlusion.sigmoid(), torso_occlusion.sigmoid(), mask, driving)

    def _heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of the mask and of the two occlusion maps."""
        flat = rearrange(x, "b c d h w -> b (c d) h w")
        return self.mask(x), self.occlusion(flat), self.torso_occlusion(flat)

    def _evidence(self, compressed: Tensor, source: Tensor, driving: Tensor, grid: Tensor, motions: Tensor) -> Tensor:
        """Heat-map differences and the source moved by each key point, (b, (k+1) * 5, d, h, w)."""
        heat = keypoint_heatmaps(driving, grid, self.variance) - keypoint_heatmaps(source, grid, self.variance)
        heat = torch.cat([torch.zeros_like(heat[:, :1]), heat], 1)
        count = motions.shape[1]
        moved = F.grid_sample(
            repeat(compressed, "b c d h w -> (b k) c d h w", k=count),
            rearrange(motions, "b k d h w c -> (b k) d h w c"),
            align_corners=True,
        )
        moved = rearrange(moved, "(b k) c d h w -> b k c d h w", k=count)
        return rearrange(torch.cat([heat[:, :, None], moved], 2), "b k c d h w -> b (k c) d h w")

    def _trunk(self, x: Tensor) -> Tensor:
        """An hourglass over height and width without skips."""
        for block in self.down:
            x = F.avg_pool3d(block(x), (1, 2, 2))
        for block in self.up:
            x = block(F.interpolate(x, scale_factor=(1.0, 2.0, 2.0)))
        return x
