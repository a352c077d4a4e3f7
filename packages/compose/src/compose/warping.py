"""Warping images by the torso's dense motion at full resolution, and preparing an image so that it can be warped."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from compose.motion import identity_grid


def resize(image: Float[Tensor, "b c h w"], size: int) -> Float[Tensor, "b c s s"]:
    """Bilinear, antialiased when it shrinks (spec trap 13)."""
    if image.shape[-1] == size:
        return image
    return F.interpolate(image, size=(size, size), mode="bilinear", align_corners=False, antialias=image.shape[-1] > size)


def planar_motion(deformation: Float[Tensor, "b d v v 3"], size: int) -> Float[Tensor, "b s s 2"]:
    """The deformation without depth: offsets (x, y), averaged over depth, at ``size``; zero where nothing moves."""
    offset = (deformation - identity_grid(*deformation.shape[1:4], deformation))[..., :2].mean(1)
    large = F.interpolate(rearrange(offset, "b h w c -> b c h w"), size=(size, size), mode="bilinear", align_corners=False)
    return rearrange(large, "b c h w -> b h w c")


def warp_image(image: Float[Tensor, "b c s s"], offset: Float[Tensor, "b s s 2"]) -> Float[Tensor, "b c s s"]:
    """Every pixel looks at its place plus ``offset`` (1 = half a side); beyond the border the border goes on. Offset 0 is exact."""
    size = image.shape[-1]
    ticks = ((torch.arange(size, device=image.device) * 2 + 1) / size - 1).to(image.dtype)
    pixels = torch.stack(torch.meshgrid(ticks, ticks, indexing="xy"), -1)
    return F.grid_sample(image, pixels + offset, padding_mode="border", align_corners=False)


def bleed(image: Float[Tensor, "b c s s"], mask: Float[Tensor, "b 1 s s"]) -> Float[Tensor, "b c s s"]:
    """Continue the colours inside ``mask`` outwards (pull-push over a pyramid), so that interpolation never meets the emptiness outside.

    Inside (mask 1) nothing changes; an empty mask returns zeros.
    """
    if image.shape[-1] == 1:
        return torch.where(mask > 0, image, torch.zeros_like(image))
    half = F.avg_pool2d(mask, 2)
    small = F.avg_pool2d(image * mask, 2) / half.clamp_min(1e-6)
    filled = bleed(small, (half > 0).to(mask) * half.sqrt())
    far = F.interpolate(filled, size=image.shape[-2:], mode="bilinear", align_corners=False)
    return image * mask + far * (1 - mask)


def soften(mask: Float[Tensor, "b 1 s s"]) -> Float[Tensor, "b 1 s s"]:
    """A hard mask with a rim of about two pixels at 512, kept inside the original so that the rim has its colours."""
    shrunk = -F.max_pool2d(-F.pad(mask, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return F.avg_pool2d(F.pad(shrunk, (1, 1, 1, 1), mode="replicate"), 3, 1)
