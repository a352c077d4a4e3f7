"""Losses of stage 1 as a pure function (Eq. 7; spec 9.1), and the supervision of a head image that stage 2 shares."""

from dataclasses import dataclass

from core.camera import Window
from core.data.clips import FrameBatch
from core.losses.reconstruction import gradient_l1
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from recon.renderer import HeadRendering
from recon.views import HeadView


@dataclass(frozen=True)
class ReconWeights:
    """Weights of the terms of Eq. 7."""

    raw: float = 1.0
    """L1 on the raw rendering."""
    raw_squared: float = 0.0
    """Squared error on the raw rendering; ours, what PSNR counts."""
    image: float = 1.0
    """L1 on the final image."""
    perceptual: float = 0.1
    """VGG distance on both; needs VGG weights unless 0."""
    mask: float = 0.1
    """Squared error of the accumulated weight against the head mask; ours: made people have masks, the paper's teacher has none."""
    gradient: float = 0.0
    """L1 on the differences of neighbouring pixels of the final image; ours, for training without VGG."""
    novel_adversarial: float = 0.25
    """Share of ``adversary.weight`` that target views get; the source view gets all of it."""
    density: float = 0.25
    """Total variation of the density."""
    density_every: int = 4
    """The density term is taken every so many steps, and multiplied by that number."""


@dataclass(frozen=True)
class HeadTarget:
    """What a rendering of a head should look like, cut to the window that is rendered.

    Attributes:
        image: head over -1 at the final resolution.
        raw: the same at the raw resolution, averaged over the pixels it covers (spec 9.1).
        image_mask: head mask in [0, 1] at the final resolution.
        mask: the same at the raw resolution.
    """

    image: Float[Tensor, "b 3 h w"]
    raw: Float[Tensor, "b 3 s s"]
    image_mask: Float[Tensor, "b 1 h w"]
    mask: Float[Tensor, "b 1 s s"]

    @classmethod
    def of(cls, frame: FrameBatch | HeadView, raw_size: int, window: Window | None = None) -> "HeadTarget":
        """Targets of a frame; ``window`` counts raw pixels."""
        scale = frame.head.shape[-1] // raw_size
        image, mask = frame.head, frame.head_mask
        if window is not None:
            image, mask = window.crop(image, scale), window.crop(mask, scale)
        return cls(image, F.avg_pool2d(image, scale), mask, F.avg_pool2d(mask, scale))


def head_losses(
    rendering: HeadRendering, target: HeadTarget, weights: ReconWeights, perceptual: nn.Module | None
) -> dict[str, Float[Tensor, ""]]:
    """Weighted image terms of one view.

    Args:
        rendering: of the whole image or of one window.
        target: of the same view and window.
        weights: a term of weight 0 is not evaluated.
        perceptual: distance of two image batches in [-1, 1]; needed unless its weight is 0.
    """
    losses = {"raw": weights.raw * F.l1_loss(rendering.raw, target.raw)}
    if weights.image:
        losses["image"] = weights.image * F.l1_loss(rendering.image, target.image)
    if weights.raw_squared:
        losses["raw_squared"] = weights.raw_squared * F.mse_loss(rendering.raw, target.raw)
    if weights.mask:
        losses["mask"] = weights.mask * F.mse_loss(rendering.weights, target.mask)
    if weights.gradient:
        losses["gradient"] = weights.gradient * gradient_l1(rendering.image, target.image)
    if perceptual is not None:
        near = perceptual(rendering.image, target.image) + perceptual(rendering.raw, target.raw)
        losses["perceptual"] = weights.perceptual * near
    return losses
