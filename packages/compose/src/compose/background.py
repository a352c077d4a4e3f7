"""The background branch: a small convolutional encoder without normalisation (paper B.4, spec 7.3)."""

from jaxtyping import Float
from torch import Tensor, nn


class BackgroundEncoder(nn.Sequential):
    """Inpainted background image to a feature map of the same size; 0.74 M parameters at the paper's width.

    It depends on the source only, so ``HTBSR.prepare`` runs it once.
    """

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(3, channels, 3, padding=1),
            nn.LeakyReLU(0.01),
            nn.Conv2d(channels, out_channels, 3, padding=1),
            nn.LeakyReLU(0.01),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
        )

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h w"]:
        """Background in [-1, 1] to features."""
        return super().forward(image)
