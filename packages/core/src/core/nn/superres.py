"""The super-resolution head of EG3D (spec 3.4): feature image to an image four times as large."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from core.nn.stylegan import SynthesisBlock


class SuperResolution(nn.Module):
    """Two synthesis blocks, each doubling the size; 1.650 M parameters with the defaults.

    The student's style is ``w = ones`` and there is no noise, so at inference every modulated convolution is an ordinary one.

    Args:
        in_channels: channels of the feature image.
        channels: channels of the two blocks.
        w_dim: width of the constant style (512 as published; smaller saves parameters and changes nothing else).
        start_plain: begin as bilinear upsampling of the raw image (toRGB layers at zero), for training from scratch.
        clamp: largest magnitude that any layer gives, 256 in NVIDIA's weights; None for no limit.
    """

    def __init__(
        self,
        in_channels: int = 32,
        channels: tuple[int, int] = (256, 128),
        w_dim: int = 512,
        start_plain: bool = False,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.block0 = SynthesisBlock(in_channels, channels[0], w_dim, clamp=clamp)
        self.block1 = SynthesisBlock(channels[0], channels[1], w_dim, clamp=clamp)
        if start_plain:
            nn.init.zeros_(self.block0.to_rgb.weight)
            nn.init.zeros_(self.block1.to_rgb.weight)

    def forward(
        self, rgb: Float[Tensor, "b 3 s s"], feature: Float[Tensor, "b c s s"], w: Float[Tensor, "b d"] | None = None
    ) -> Float[Tensor, "b 3 S S"]:
        """Image of four times the size, in about [-1, 1], not clamped.

        Args:
            rgb: raw rendering in [-1, 1], empty -1.
            feature: feature image that ``rgb`` is the first three channels of.
            w: style per image, for weights that were trained with one (NVIDIA's); None is all ones.
        """
        styles = None if w is None else w[:, None].expand(-1, 3, -1)
        feature, rgb = self.block0(feature, rgb, styles)
        return self.block1(feature, rgb, styles)[1]

    def fold(self, dtype: torch.dtype | None = None) -> "SuperResolution":
        """Replace modulated by plain convolutions for inference (exact; features in ``dtype`` if given); ``train()`` takes it back."""
        self.block0.fold(dtype)
        self.block1.fold(dtype)
        return self
