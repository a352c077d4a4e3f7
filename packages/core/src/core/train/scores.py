"""Scores that validation logs."""

import torch
from jaxtyping import Float
from torch import Tensor


def psnr(prediction: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
    """Peak signal-to-noise ratio in dB of images in [-1, 1]: ``10 log10(4 / mse)``, capped at 100 dB for equal images."""
    error = (prediction.clamp(-1, 1) - target).square().flatten(1).mean(1)
    return 10 * torch.log10(4 / error.clamp_min(4e-10))
