"""Warping images by the torso's dense motion at full resolution, and preparing an image so that it can be warped."""

from typing import Literal

import torch
from core.compilable import compilable
from core.nn.morphology import dilate, erode
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from compose.motion import identity_grid


def resize(image: Float[Tensor, "b c h w"], size: int) -> Float[Tensor, "b c s s"]:
    """Bilinear, antialiased when it shrinks (spec trap 13)."""
    if image.shape[-1] == size:
        return image
    if image.shape[-2] == image.shape[-1] == 2 * size > 2 and compilable(image):
        from compose.halving_numba import halved

        return halved(image)
    return F.interpolate(image, size=(size, size), mode="bilinear", align_corners=False, antialias=image.shape[-1] > size)


def planar_motion(deformation: Float[Tensor, "b d v v 3"], size: int) -> Float[Tensor, "b s s 2"]:
    """The deformation without depth: offsets (x, y), averaged over depth, at ``size``; zero where nothing moves."""
    return enlarge_grid(planar_offset(deformation), size)


def planar_offset(deformation: Float[Tensor, "b d v v 3"]) -> Float[Tensor, "b v v 2"]:
    """``planar_motion`` at the deformation's own size."""
    return (deformation - identity_grid(*deformation.shape[1:4], deformation))[..., :2].mean(1)


def enlarge_grid(grid: Float[Tensor, "b h w 2"], size: int) -> Float[Tensor, "b s s 2"]:
    """Bilinear; channel by channel, which is six times faster on a CPU than in the order of the grid."""
    planes = rearrange(grid, "b h w c -> b c h w").contiguous()
    large = F.interpolate(planes, size=(size, size), mode="bilinear", align_corners=False)
    return rearrange(large, "b c h w -> b h w c").contiguous()


def warp_image(
    image: Float[Tensor, "b c s s"],
    offset: Float[Tensor, "b s s 2"],
    beyond: Literal["border", "reflection"] = "border",
) -> Float[Tensor, "b c s s"]:
    """Every pixel looks at its place plus ``offset`` (1 = half a side); offset 0 is exact.

    ``beyond`` the image its border goes on (outlines stay straight) or it is mirrored (texture stays texture).
    """
    size = image.shape[-1]
    ticks = ((torch.arange(size, device=image.device) * 2 + 1) / size - 1).to(offset.dtype)
    pixels = torch.stack(torch.meshgrid(ticks, ticks, indexing="xy"), -1)
    return F.grid_sample(image.to(offset.dtype), pixels + offset, padding_mode=beyond, align_corners=False)


def bleed(image: Float[Tensor, "b c s s"], mask: Float[Tensor, "b 1 s s"]) -> Float[Tensor, "b c s s"]:
    """Continue the colours inside ``mask`` outwards (pull-push over a pyramid), so that interpolation never meets the emptiness outside.

    Inside (mask 1) nothing changes; an empty mask returns zeros.
    """
    side = image.shape[-1]
    if 1 < side == image.shape[-2] and side & (side - 1) == 0 and compilable(image, mask):
        from compose.bleed_numba import bled

        return bled(image, mask)
    return bleed_torch(image, mask)


def bleed_torch(image: Float[Tensor, "b c s s"], mask: Float[Tensor, "b 1 s s"]) -> Float[Tensor, "b c s s"]:
    """``bleed`` with gradients, of any size and on any device; ``bleed_numba.bled`` is its compiled twin."""
    if image.shape[-1] == 1:
        return torch.where(mask > 0, image, torch.zeros_like(image))
    half = F.avg_pool2d(mask, 2)
    small = F.avg_pool2d(image * mask, 2) / half.clamp_min(1e-6)
    filled = bleed_torch(small, (half > 0).to(mask) * half.sqrt())
    far = F.interpolate(filled, size=image.shape[-2:], mode="bilinear", align_corners=False)
    return image * mask + far * (1 - mask)


def soften(mask: Float[Tensor, "b 1 s s"], radius: int) -> Float[Tensor, "b 1 s s"]:
    """A hard mask with a rim of ``2 radius`` pixels inside the original."""
    return smooth(erode(mask, radius), radius)


def close(mask: Float[Tensor, "b 1 s s"], radius: int) -> Float[Tensor, "b 1 s s"]:
    """Bridge the gaps of a mask that are at most ``2 radius`` wide."""
    return erode(dilate(mask, radius), radius)


def smooth(image: Float[Tensor, "b c s s"], radius: int) -> Float[Tensor, "b c s s"]:
    """Mean over a square of ``2 radius + 1``; the border goes on."""
    side = 2 * radius + 1
    return F.avg_pool2d(F.avg_pool2d(F.pad(image, (radius,) * 4, mode="replicate"), (side, 1), 1), (1, side), 1)
