"""Torso appearance encoder (TAE, Eq. 10): the source torso as a small feature volume (after face-vid2vid, Wang et al. 2021; spec 7.2)."""

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn


class ResBlock3d(nn.Module):
    """Pre-activation residual block of two 3x3x3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm3d(channels),
            nn.ReLU(),
            nn.Conv3d(channels, channels, 3, padding=1),
            nn.BatchNorm3d(channels),
            nn.ReLU(),
            nn.Conv3d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Float[Tensor, "b c d h w"]) -> Float[Tensor, "b c d h w"]:
        """Same shape out."""
        return x + self.body(x)


def conv_block(in_channels: int, out_channels: int, kernel: int = 3) -> nn.Sequential:
    """Convolution, batch norm, ReLU; keeps height and width."""
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2), nn.BatchNorm2d(out_channels), nn.ReLU())


class AppearanceEncoder(nn.Module):
    """Image ``b i s s`` to a volume ``b c d s/4 s/4``, empty where the source shows no torso."""

    def __init__(self, in_channels: int, channels: tuple[int, int, int], volume: tuple[int, int], blocks: int) -> None:
        """``volume`` is (channels, depth) of the result."""
        super().__init__()
        self.depth = volume[1]
        first, middle, last = channels
        self.planar = nn.Sequential(
            conv_block(in_channels, first, 7),
            conv_block(first, middle),
            nn.AvgPool2d(2),
            conv_block(middle, last),
            nn.AvgPool2d(2),
            nn.Conv2d(last, volume[0] * volume[1], 1),
        )
        self.solid = nn.Sequential(*[ResBlock3d(volume[0]) for _ in range(blocks)])

    def forward(self, image: Float[Tensor, "b i s s"], mask: Float[Tensor, "b 1 v v"]) -> Float[Tensor, "b c d v v"]:
        """Encode the torso image; ``mask`` (the dilated torso) silences the features elsewhere."""
        volume = rearrange(self.planar(image), "b (c d) h w -> b c d h w", d=self.depth)
        return self.solid(volume) * rearrange(mask, "b 1 h w -> b 1 1 h w")
