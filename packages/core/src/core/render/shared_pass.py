"""A first pass that four rays share: it looks along the rays of a picture of half the size, and what it finds is interpolated.

Where along a ray the volume is dense changes little from pixel to pixel, and the first pass only tells the second where to look: its own
samples are not shown. For inference on CPUs; ``core.render.shared_numba`` is the compiled twin.
"""

from typing import TYPE_CHECKING

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from core.render.bundle import Bundle
from core.render.sampling import importance, stratified
from core.render.triplane import PlaneSampler

if TYPE_CHECKING:
    from core.render.volume import Maps, VolumeRenderer


def spread(weights: Float[Tensor, "b m i"], side: int) -> Float[Tensor, "b n i"]:
    """Weights of the intervals of every ray of a picture of ``side``, from those of a picture of half the size."""
    picture = rearrange(weights, "b (h w) i -> b i h w", h=side // 2)
    return rearrange(F.interpolate(picture, scale_factor=2, mode="bilinear"), "b i h w -> b (h w) i")


@torch.no_grad()
def march_shared(
    volume: "VolumeRenderer", planes: Float[Tensor, "b 3 c h w"], first: tuple[Bundle, Bool[Tensor, "b m"]],
    second: tuple[Bundle, Bool[Tensor, "b n"]],
) -> "Maps":  # fmt: skip
    """Feature in [-1, 1], depth and opacity of all rays; those that miss, or along which little was found, are empty.

    Args:
        volume: its config and decoder.
        planes: feature planes.
        first: rays of a square picture of half the size, and which of them meet the volume.
        second: the same of the picture itself.
    """
    config, sampler = volume.config, PlaneSampler(planes, volume.config.plane_axes, volume.config.box)
    (bundle, hit), (wide, wide_hit) = second, first
    depths = stratified(wide.near, wide.far, config.coarse, config.scheme, wide.coarse_noise)
    sigma, _ = volume.query(sampler, wide, depths)
    weights = spread(volume.interval_weights(depths, sigma) * wide_hit[..., None], int(hit.shape[1] ** 0.5))
    depths = stratified(bundle.near, bundle.far, config.coarse, config.scheme, bundle.coarse_noise)
    depths = importance(depths, weights, config.fine, config.scheme, bundle.fine_noise, config.floor)
    sigma, logits = volume.query(sampler, bundle, depths)
    found = volume.shade(depths, sigma, None, [logits], bundle.far.max())
    shown = (hit & (weights.sum(-1) > config.skip_below))[..., None]
    return tuple(torch.where(shown, x, x.new_tensor(empty)) for x, empty in zip(found, (-1.0, float(bundle.far.max()), 0.0), strict=True))
