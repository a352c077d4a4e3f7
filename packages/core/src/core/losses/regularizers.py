"""Terms that ask for smooth densities, decided masks, and planes that survive resampling (spec 3.3, 9)."""

from typing import Protocol, runtime_checkable

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


@runtime_checkable
class HasDensity(Protocol):
    """What ``core.render.VolumeRenderer`` offers to the density term."""

    def density(self, planes: Float[Tensor, "b 3 c h w"], points: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n"]:
        """Raw density at world points."""
        ...


def density_total_variation(
    volume: HasDensity,
    planes: Float[Tensor, "b 3 c h w"],
    box: float,
    generator: torch.Generator | None = None,
    count: int = 1000,
    distance: float = 5e-3,
) -> Float[Tensor, ""]:
    """L1 between the raw density at random points of the box and at points close by (spec 9.1).

    Args:
        volume: renderer whose ``density`` is smoothed.
        planes: of the heads.
        box: side of the cube that the planes span, centred on the origin, world units.
        generator: draws the points; None uses torch's global one.
        count: points per head.
        distance: standard deviation of the displacement, world units.
    """
    device = planes.device if generator is None else generator.device
    points = torch.rand(planes.shape[0], count, 3, generator=generator, device=device).sub_(0.5).mul_(box)
    moved = points + distance * torch.randn(points.shape, generator=generator, device=device)
    both = torch.cat([points, moved], 1).to(planes.device)
    first, second = volume.density(planes, both).chunk(2, 1)
    return F.l1_loss(first, second)


def weights_entropy(weights: Float[Tensor, "b 1 h w"]) -> Float[Tensor, ""]:
    """Mean binary entropy in bits: least where every opacity is 0 or 1."""
    w = weights.clamp(1e-5, 1 - 1e-5)
    return -(w * w.log2() + (1 - w) * (1 - w).log2()).mean()


def mask_error(weights: Float[Tensor, "b 1 h w"], mask: Float[Tensor, "b 1 h w"]) -> Float[Tensor, ""]:
    """Squared error of an opacity, averaged over the pixels inside ``mask`` plus averaged over those outside, as published (spec 9.2)."""
    inside = (mask > 0.5).to(weights)
    missing, too_much = inside * (weights - 1).square(), (1 - inside) * weights.square()
    return missing.sum() / inside.sum().clamp_min(1) + too_much.sum() / (1 - inside).sum().clamp_min(1)


def resize_planes(
    planes: Float[Tensor, "b 3 c h w"], generator: torch.Generator | None = None, least: float = 0.5
) -> Float[Tensor, "b 3 c s s"]:
    """Planes resampled to a random side between ``least`` and 1 times theirs: what they hold must not hang on single texels (spec 3.3).

    Args:
        planes: square feature planes.
        generator: draws the side; None uses torch's global one.
        least: smallest factor.
    """
    side = planes.shape[-1]
    device = "cpu" if generator is None else generator.device
    size = int(torch.randint(int(side * least), side + 1, (), generator=generator, device=device))
    flat = rearrange(planes, "b k c h w -> (b k) c h w")
    return rearrange(F.interpolate(flat, (size, size), mode="bilinear", align_corners=False), "(b k) c h w -> b k c h w", k=3)
