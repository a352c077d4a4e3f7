"""Where along a ray to look: bounds, strata, importance sampling (EG3D; spec 3.3). Depths are distances along unit directions.

Two schemes by name. ``eg3d`` reproduces the published code: strata start at the near bound and their last sample may lie up to one
interval beyond the far bound; the inverse CDF is shifted by half an interval and never reaches its last bin. ``textbook`` is what the
NeRF paper describes: strata cover [near, far] exactly and weights belong to the intervals that they were computed for.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from core.camera import Rays, length
from core.compilable import compilable

Scheme = Literal["eg3d", "textbook"]
Misses = Literal["empty", "eg3d"]
Noise = Float[Tensor, "_ _ _"] | float
"""Position within every stratum (b, n, s), in [0, 1); the number 0.5 means the middle (deterministic)."""


def ray_bounds(
    rays: Rays,
    box: float = 1.0,
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0),
    radius: tuple[float, float, float] | None = None,
) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n"], Bool[Tensor, "b n"]]:
    """Per-ray near and far depth of the box ``[-box/2, box/2]^3``, cut down to an axis-aligned ellipsoid if there is one.

    Args:
        rays: origins and unit directions.
        box: side of the box.
        centre: centre of the ellipsoid, world units.
        radius: its semi-axes, or None for the box alone.

    Returns:
        near, far and whether the ray meets the volume in front of the camera. Rays that miss have near = far = their distance
        from the world's origin, so that they weigh nothing.
    """
    if compilable(rays.origins, rays.directions):
        from core.render.rays_numba import bounds

        return bounds(rays.origins, rays.directions, box, centre, radius)
    return ray_bounds_torch(rays, box, centre, radius)


def ray_bounds_torch(
    rays: Rays, box: float, centre: tuple[float, float, float], radius: tuple[float, float, float] | None
) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n"], Bool[Tensor, "b n"]]:
    """``ray_bounds`` with gradients and on any device; ``core.render.rays_numba`` is the compiled twin."""
    # a direction parallel to a slab gives +-inf bounds, which min and max handle; exactly 0/0 is moved off the slab's face
    direction = torch.where(rays.directions.abs() < 1e-9, torch.full_like(rays.directions, 1e-9), rays.directions)
    first = (-box / 2 - rays.origins) / direction
    second = (box / 2 - rays.origins) / direction
    near = torch.minimum(first, second).amax(-1)
    far = torch.maximum(first, second).amin(-1)
    if radius is not None:
        axes = rays.origins.new_tensor(radius)
        o, d = (rays.origins - rays.origins.new_tensor(centre)) / axes, rays.directions / axes
        a = (d * d).sum(-1)
        middle = -(o * d).sum(-1) / a
        inside = 1 - (o + middle[..., None] * d).square().sum(-1)  # less is lost to rounding than with the discriminant
        half = (inside / a).clamp_min(0).sqrt()
        near = torch.maximum(near, torch.where(inside > 0, middle - half, torch.full_like(a, torch.inf)))
        far = torch.minimum(far, middle + half)
    near = near.clamp_min(0)
    hit = far > near
    away = length(rays.origins)
    return torch.where(hit, near, away), torch.where(hit, far, away), hit


def fill_misses(
    near: Float[Tensor, "b n"], far: Float[Tensor, "b n"], hit: Bool[Tensor, "b n"]
) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n"], Bool[Tensor, "b n"]]:
    """The published code's bounds of rays that miss the box: from the least to the greatest near bound of those that hit it (spec 3.3).

    Without any hit all is left as it is.
    """
    least = torch.where(hit, near, torch.inf).amin()
    greatest = torch.where(hit, near, -torch.inf).amax()
    fill = ~hit & (greatest >= least)
    return torch.where(fill, least, near), torch.where(fill, greatest, far), hit | fill


def stratified(near: Float[Tensor, "b n"], far: Float[Tensor, "b n"], count: int, scheme: Scheme, noise: Noise) -> Float[Tensor, "b n s"]:
    """One sorted depth in each of ``count`` strata between near and far (see the module about the two schemes)."""
    steps = count - 1 if scheme == "eg3d" else count
    index = torch.arange(count, device=near.device, dtype=near.dtype)
    return near[..., None] + (far - near)[..., None] * ((index + noise) / steps)


def smooth_weights(weights: Float[Tensor, "b n i"], floor: float) -> Float[Tensor, "b n i"]:
    """Widen the histogram so that neighbours of occupied intervals are sampled too (mip-NeRF's max then mean), and add ``floor``."""
    padded = F.pad(weights, (1, 1), value=-torch.inf)
    widest = torch.maximum(padded[..., :-1], padded[..., 1:])
    return (widest[..., :-1] + widest[..., 1:]) / 2 + floor


def importance(
    depths: Float[Tensor, "b n s"], weights: Float[Tensor, "b n i"], count: int, scheme: Scheme, noise: Noise, floor: float = 0.01
) -> Float[Tensor, "b n f"]:
    """Depths distributed like the coarse weights, sorted, by inverting their cumulative sum.

    Args:
        depths: sorted coarse depths.
        weights: weight of every interval between neighbouring depths.
        count: number of new depths.
        scheme: see the module.
        noise: position of every new depth within its share of the distribution.
        floor: weight that every interval gets in addition.
    """
    weights = smooth_weights(weights, floor)
    bins = depths
    if scheme == "eg3d":
        bins, weights = (depths[..., 1:] + depths[..., :-1]) / 2, weights[..., 1:-1]
    weights = weights + 1e-5
    cdf = F.pad((weights / weights.sum(-1, keepdim=True)).cumsum(-1), (1, 0))
    u = (torch.arange(count, device=depths.device, dtype=depths.dtype) + noise) / count
    u = u.expand(*depths.shape[:-1], count).contiguous()
    above = torch.searchsorted(cdf, u, right=True).clamp(1, cdf.shape[-1] - 1)
    low, high = cdf.gather(-1, above - 1), cdf.gather(-1, above)
    start, end = bins.gather(-1, above - 1), bins.gather(-1, above)
    depth = start + ((u - low) / (high - low)).clamp(0, 1) * (end - start)
    return depth.cummax(-1).values  # sorted but for rounding; merging relies on it


def merged_ranks(coarse: Float[Tensor, "b n s"], fine: Float[Tensor, "b n f"]) -> Int[Tensor, "b n t"]:
    """Position of every coarse, then every fine depth in the sorted union of the two sorted lists (coarse first among equals)."""
    index = torch.arange(max(coarse.shape[-1], fine.shape[-1]), device=coarse.device)
    of_coarse = torch.searchsorted(fine, coarse) + index[: coarse.shape[-1]]
    of_fine = torch.searchsorted(coarse, fine, right=True) + index[: fine.shape[-1]]
    return torch.cat([of_coarse, of_fine], -1)
