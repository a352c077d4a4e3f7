"""Distances of images that are not learnt (spec 9.2, 9.3)."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from core.nn.morphology import dilate

DILATION = 41 / 512
"""Margin around a mask over the side of the image: 41 pixels at 512."""


def masked_l1(
    image: Float[Tensor, "b 3 h w"],
    target: Float[Tensor, "b 3 h w"],
    mask: Float[Tensor, "b 1 h w"],
    outside: float = 0.2,
    clip_outliers: bool = True,
) -> Float[Tensor, ""]:
    """L1 that looks at a dilated mask first and limits outliers (spec 9.2).

    Per pixel the absolute differences are summed over RGB and clamped at their 80th percentile or 0.5, whichever is larger; the
    mean is weighted 1 where the mask, dilated by 41/512 of the side, reaches, and ``outside`` elsewhere.

    Args:
        image: made.
        target: wanted.
        mask: in [0, 1]; above 0.5 counts.
        outside: weight of the rest.
        clip_outliers: clamp as published; without it the worst fifth of the pixels, often mouth and eyes, teaches as well.
    """
    near = dilate((mask > 0.5).to(image), round(DILATION * image.shape[-1]) // 2)
    error = (image - target).abs().sum(1, keepdim=True)
    if clip_outliers:
        flat = error.detach().flatten()
        error = torch.minimum(error, flat.kthvalue(max(int(0.8 * flat.numel()), 1)).values.clamp_min(0.5))
    return (error * (outside + (1 - outside) * near)).mean()


def gradient_l1(image: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
    """L1 distance of the differences between neighbouring pixels: edges count, not slow shading."""
    difference = image - target
    across = (difference[..., :, 1:] - difference[..., :, :-1]).abs().mean()
    return across + (difference[..., 1:, :] - difference[..., :-1, :]).abs().mean()


def lip_crops(image: Float[Tensor, "b c h w"], keypoints: Float[Tensor, "b 68 k"], margin: float = 1.2) -> Float[Tensor, "b c s s"]:
    """Square crops around the outer lips (points 48 to 59), resampled to a quarter of the image side.

    Args:
        image: whole image.
        keypoints: 68 points, first two coordinates in [-1, 1], y down.
        margin: side of the crop over the larger extent of the lips.
    """
    lips = keypoints[:, 48:60, :2].detach()
    low, high = lips.amin(1), lips.amax(1)
    centre, half = (low + high) / 2, (high - low).amax(1, keepdim=True).clamp_min(1e-3) * margin / 2
    size = max(image.shape[-1] // 4, 4)
    dtype = torch.promote_types(image.dtype, keypoints.dtype)  # never half precision, which would round the places
    ticks = (torch.arange(size, device=image.device, dtype=dtype) + 0.5) / size * 2 - 1
    y, x = torch.meshgrid(ticks, ticks, indexing="ij")
    grid = centre[:, None, None] + half[:, None, None] * torch.stack([x, y], -1)
    return F.grid_sample(image.to(dtype), grid.to(dtype), align_corners=False, padding_mode="border")
