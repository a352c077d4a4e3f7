"""Losses of stage 3 as pure functions (spec 9.3)."""

from dataclasses import dataclass

from core.data.clips import FrameBatch
from core.losses.reconstruction import gradient_l1, lip_crops, masked_l1
from core.losses.regularizers import weights_entropy
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from compose.model import Composite

TORSO_CLASSES = (2, 4)  # body skin, clothes (spec 10)


@dataclass(frozen=True)
class ComposeWeights:
    """Weights of the terms of stage 3."""

    image: float = 1.0
    """L1 on the portrait, 1 near the torso and 0.5 elsewhere."""
    clip_outliers: bool = True
    """Clamp the largest errors in the masked L1, as published; off for quick training from scratch."""
    perceptual: float = 0.1
    """VGG distance; needs VGG weights unless 0."""
    lips: float = 0.2
    """L1 on the crop around the lips."""
    lips_perceptual: float = 0.02
    """VGG distance on that crop."""
    torso_entropy: float = 0.001
    """Entropy of the torso mask."""
    torso_mask: float = 0.0
    """Squared error of the torso mask against the target's segmentation; ours, for quick training."""
    torso_rgb: float = 0.0
    """L1 of the torso layer where the target shows torso; ours, for quick training."""
    gradient: float = 0.0
    """L1 on the differences of neighbouring pixels; ours, for training without VGG."""
    equivariance: float = 1.0
    """Learned key points move with the picture; not evaluated with those of the face."""


def torso_mask(segmap: Float[Tensor, "b 6 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Visible torso of a one-hot segmentation."""
    return segmap[:, TORSO_CLASSES].sum(1, keepdim=True)


def compose_losses(
    composite: Composite, target: FrameBatch, weights: ComposeWeights, perceptual: nn.Module | None
) -> dict[str, Float[Tensor, ""]]:
    """Weighted terms of one batch.

    Args:
        composite: what ``HTBSR`` made.
        target: the whole picture with its segmentation and key points.
        weights: a term of weight 0 is not evaluated.
        perceptual: distance of two image batches in [-1, 1], or None.
    """
    torso = torso_mask(target.segmap)
    losses = {"image": weights.image * masked_l1(composite.image, target.image, torso, 0.5, weights.clip_outliers)}
    made, real = (lip_crops(image, target.keypoints) for image in (composite.image, target.image))
    losses["lips"] = weights.lips * F.l1_loss(made, real)
    if perceptual is not None:
        losses["perceptual"] = weights.perceptual * perceptual(composite.image, target.image)
        losses["lips_perceptual"] = weights.lips_perceptual * perceptual(made, real)
    if weights.gradient:
        losses["gradient"] = weights.gradient * gradient_l1(composite.image, target.image)
    if weights.torso_entropy:
        losses["torso_entropy"] = weights.torso_entropy * weights_entropy(composite.torso_mask)
    return losses | _torso_losses(composite, target, torso, weights)


def _torso_losses(composite: Composite, target: FrameBatch, torso: Tensor, weights: ComposeWeights) -> dict[str, Tensor]:
    """Direct supervision of the torso layer where the head does not hide it."""
    if not (weights.torso_mask or weights.torso_rgb):
        return {}
    size = composite.torso_mask.shape[-1]
    visible, truth, image = (F.adaptive_avg_pool2d(x, size) for x in (1 - target.head_mask, torso, target.image))
    mask = (visible * (composite.torso_mask - truth).square()).sum() / visible.sum().clamp_min(1)
    rgb = (truth * (composite.torso_rgb - image).abs()).sum() / (3 * truth.sum()).clamp_min(1)
    return {"torso_mask": weights.torso_mask * mask, "torso_rgb": weights.torso_rgb * rgb}
