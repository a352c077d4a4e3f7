"""Losses of stage 2 as pure functions (Eq. 3; spec 9.2)."""

from dataclasses import dataclass

import torch
from core.losses.reconstruction import gradient_l1, lip_crops, masked_l1
from core.losses.regularizers import mask_error, weights_entropy
from core.train.windows import box_interest
from jaxtyping import Float
from recon.objective import HeadTarget
from recon.renderer import HeadRendering
from torch import Tensor, nn
from torch.nn import functional as F

RIGHT_EYE, LEFT_EYE, MOUTH = slice(36, 42), slice(42, 48), slice(48, 68)  # of the 68 key points


@dataclass(frozen=True)
class AnimateWeights:
    """Weights of the terms of Eq. 3 (spec 9.2)."""

    raw: float = 1.0
    """Masked L1 on the raw rendering."""
    image: float = 1.0
    """Masked L1 on the final image."""
    perceptual: float = 0.1
    """VGG distance on both; needs VGG weights unless 0."""
    clip_outliers: bool = True
    """Clamp the largest errors in the masked L1, as published; off for quick training from scratch."""
    lips: float = 0.5
    """L1 on the crop around the lips (whole images only)."""
    lips_perceptual: float = 0.05
    """VGG distance on that crop."""
    mask: float = 0.1
    """Squared error of the accumulated weight against the head mask."""
    mask_by_class: bool = True
    """Average that error over head and rest separately, as published; otherwise over all pixels, soft masks as they are."""
    entropy: float = 0.01
    """Entropy of the accumulated weight."""
    gradient: float = 0.0
    """L1 on the differences of neighbouring pixels of the final image; ours, for training without VGG."""
    density: float = 1.0
    """Total variation of the density, every ``density_every`` steps."""
    density_every: int = 4
    """Interval of the density term; its weight is multiplied already."""


def animate_losses(
    rendering: HeadRendering,
    target: HeadTarget,
    keypoints: Float[Tensor, "b 68 3"] | None,
    weights: AnimateWeights,
    perceptual: nn.Module | None,
) -> dict[str, Float[Tensor, ""]]:
    """Weighted image terms of Eq. 3 for one view.

    Args:
        rendering: of the whole image or of one window.
        target: of the same view and window.
        keypoints: of the target in [-1, 1], y down; None leaves the lip terms out (a window need not contain the lips).
        weights: a term of weight 0 is not evaluated.
        perceptual: distance of two image batches in [-1, 1], or None.
    """
    mask = target.image_mask
    losses = {
        "raw": weights.raw * masked_l1(rendering.raw, target.raw, target.mask, clip_outliers=weights.clip_outliers),
        "image": weights.image * masked_l1(rendering.image, target.image, mask, clip_outliers=weights.clip_outliers),
        "mask": weights.mask * (mask_error if weights.mask_by_class else F.mse_loss)(rendering.weights, target.mask),
    }
    if weights.entropy:
        losses["entropy"] = weights.entropy * weights_entropy(rendering.weights)
    if weights.gradient:
        losses["gradient"] = weights.gradient * gradient_l1(rendering.image, target.image)
    if perceptual is not None:
        near = perceptual(rendering.image, target.image) + perceptual(rendering.raw, target.raw)
        losses["perceptual"] = weights.perceptual * near
    if keypoints is not None:
        made, real = (lip_crops(image, keypoints) for image in (rendering.image, target.image))
        losses["lips"] = weights.lips * F.l1_loss(made, real)
        if perceptual is not None:
            losses["lips_perceptual"] = weights.lips_perceptual * perceptual(made, real)
    return losses


def expressive_interest(mask: Float[Tensor, "b 1 s s"], keypoints: Float[Tensor, "b 68 3"], focus: float = 4.0) -> Float[Tensor, "b 1 s s"]:
    """Where a training window should look: a little everywhere, more on the head, most on mouth and eyes.

    Args:
        mask: head mask at the raw size.
        keypoints: in [-1, 1], y down.
        focus: weight of mouth and eyes over that of the rest of the head.
    """
    points = (keypoints[..., :2] + 1) / 2
    centres = torch.stack([points[:, part].mean(1) for part in (RIGHT_EYE, LEFT_EYE, MOUTH)], 1)
    return 0.1 + mask + focus * box_interest(centres, mask.shape[-1], 0.06)
