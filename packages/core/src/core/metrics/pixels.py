"""L1, PSNR and SSIM: how near a frame is to the frame that was filmed. All per frame, of RGB in [0, 1]."""

from jaxtyping import Float
from torch import Tensor

from core.metrics.running_mean import RunningMean

CAP = 100.0
"""PSNR of equal pictures in dB; theirs would be infinite."""
WINDOW = 11
"""Side of the window of SSIM in pixels."""


def l1(image: Float[Tensor, "b 3 h w"], target: Float[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
    """Mean absolute difference over pixels and channels, 0 to 1."""
    return (image - target).abs().flatten(1).mean(1)


def psnr(image: Float[Tensor, "b 3 h w"], target: Float[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
    """Peak signal-to-noise ratio in dB, ``-10 log10(mse)``, at most ``CAP``."""
    from torchmetrics.functional.image import peak_signal_noise_ratio

    return peak_signal_noise_ratio(image, target, data_range=1.0, reduction="none", dim=(1, 2, 3)).clamp_max(CAP)


def ssim(image: Float[Tensor, "b 3 h w"], target: Float[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
    """Structural similarity (Wang et al. 2004), -1 to 1: Gaussian window of 11 pixels, sigma 1.5, mean over channels and places.

    Only windows that lie inside the picture count, as in the paper and in scikit-image; torchmetrics' own mean has mirrored ones too.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    _, places = structural_similarity_index_measure(image, target, data_range=1.0, reduction="none", return_full_image=True)
    return places[..., WINDOW // 2 : -(WINDOW // 2), WINDOW // 2 : -(WINDOW // 2)].flatten(1).mean(1)


class L1(RunningMean):
    """Mean over frames of ``l1``."""

    higher_is_better = False

    def update(self, image: Float[Tensor, "b 3 h w"], target: Float[Tensor, "b 3 h w"]) -> None:
        """Take in frames."""
        self.add(l1(image, target))


class PSNR(RunningMean):
    """Mean over frames of ``psnr`` (not the PSNR of the mean error)."""

    higher_is_better = True

    def update(self, image: Float[Tensor, "b 3 h w"], target: Float[Tensor, "b 3 h w"]) -> None:
        """Take in frames."""
        self.add(psnr(image, target))


class SSIM(RunningMean):
    """Mean over frames of ``ssim``."""

    higher_is_better = True

    def update(self, image: Float[Tensor, "b 3 h w"], target: Float[Tensor, "b 3 h w"]) -> None:
        """Take in frames."""
        self.add(ssim(image, target))
