"""L1, PSNR and SSIM: how near a frame is to the frame that was filmed. All per frame, of RGB in [0, 1]."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from core.metrics.running_mean import RunningMean

CAP = 100.0
"""PSNR of equal pictures in dB; theirs would be infinite."""
WINDOW = 11
"""Side of the window of SSIM in pixels."""
SIGMA = 1.5
C1, C2 = 0.01**2, 0.03**2
"""What keeps SSIM finite in dark and in even places, for pictures in [0, 1]."""

Frames = Float[Tensor, "b 3 h w"]
Mask = Float[Tensor, "#b 1 h w"] | None


def l1(image: Frames, target: Frames, mask: Mask = None) -> Float[Tensor, " b"]:
    """Mean absolute difference over pixels and channels, 0 to 1.

    Args:
        image: the result.
        target: what was filmed.
        mask: 1 where pixels count, 0 where they do not (an overlay, say); all count without one.
    """
    return _mean((image - target).abs(), mask)


def psnr(image: Frames, target: Frames, mask: Mask = None) -> Float[Tensor, " b"]:
    """Peak signal-to-noise ratio in dB, ``-10 log10(mse)``, at most ``CAP``; arguments as for ``l1``."""
    return (-10 * _mean((image - target).square(), mask).log10()).clamp_max(CAP)


def ssim(image: Frames, target: Frames, mask: Mask = None) -> Float[Tensor, " b"]:
    """Structural similarity (Wang et al. 2004), -1 to 1: Gaussian window of 11 pixels, sigma 1.5, mean over channels and places.

    Only windows that lie inside the picture count, as in the paper and in scikit-image (torchmetrics' own mean has mirrored ones too), and
    inside the mask if there is one. The window is applied along rows, then along columns: 22 products a pixel, not 121. Arguments as
    for ``l1``.
    """
    a, b = _blur(image), _blur(target)
    var_a, var_b = _blur(image.square()) - a.square(), _blur(target.square()) - b.square()
    both = _blur(image * target) - a * b
    places = (2 * a * b + C1) * (2 * both + C2) / ((a.square() + b.square() + C1) * (var_a + var_b + C2))
    return _mean(places, None if mask is None else -F.max_pool2d(-mask, WINDOW, stride=1))


def _mean(values: Float[Tensor, "b c h w"], mask: Mask) -> Float[Tensor, " b"]:
    """Mean over channels and the pixels that count."""
    if mask is None:
        return values.flatten(1).mean(1)
    return (values * mask).flatten(1).sum(1) / (mask.flatten(1).sum(1) * values.shape[1])


def _blur(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c _ _"]:
    """Gaussian window of SSIM, where it lies inside the picture; never in half precision, in which variances vanish."""
    ticks = torch.arange(WINDOW, dtype=x.dtype, device=x.device) - WINDOW // 2
    weight = torch.exp(-(ticks.square()) / (2 * SIGMA**2))
    weight = weight / weight.sum()
    flat = x.reshape(-1, 1, *x.shape[2:])
    with torch.autocast(x.device.type, enabled=False):
        flat = F.conv2d(F.conv2d(flat, weight.view(1, 1, 1, -1)), weight.view(1, 1, -1, 1))
    return flat.view(*x.shape[:2], *flat.shape[2:])


class L1(RunningMean):
    """Mean over frames of ``l1``."""

    higher_is_better = False

    def update(self, image: Frames, target: Frames, mask: Mask = None) -> None:
        """Take in frames."""
        self.add(l1(image, target, mask))


class PSNR(RunningMean):
    """Mean over frames of ``psnr`` (not the PSNR of the mean error)."""

    higher_is_better = True

    def update(self, image: Frames, target: Frames, mask: Mask = None) -> None:
        """Take in frames."""
        self.add(psnr(image, target, mask))


class SSIM(RunningMean):
    """Mean over frames of ``ssim``."""

    higher_is_better = True

    def update(self, image: Frames, target: Frames, mask: Mask = None) -> None:
        """Take in frames."""
        self.add(ssim(image, target, mask))
