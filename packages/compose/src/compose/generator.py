"""Deformation-based decoder (DBD, Eq. 10): a warped torso volume to an image, features and the torso mask (spec 7.2)."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm


def spectral_conv(in_channels: int, out_channels: int) -> nn.Module:
    """3x3 convolution of spectral norm 1."""
    return spectral_norm(nn.Conv2d(in_channels, out_channels, 3, padding=1))


class ResBlock2d(nn.Module):
    """Pre-activation residual block of two 3x3 convolutions, spectrally normalised if asked."""

    def __init__(self, channels: int, spectral: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(2):
            conv = spectral_conv(channels, channels) if spectral else nn.Conv2d(channels, channels, 3, padding=1)
            layers += [nn.BatchNorm2d(channels), nn.ReLU(), conv]
        self.body = nn.Sequential(*layers)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Same shape out."""
        return x + self.body(x)


def up_block(in_channels: int, out_channels: int) -> nn.Sequential:
    """Nearest doubling, spectrally normalised convolution, batch norm, ReLU."""
    return nn.Sequential(nn.Upsample(scale_factor=2), spectral_conv(in_channels, out_channels), nn.BatchNorm2d(out_channels), nn.ReLU())


class TorsoDecoder(nn.Module):
    """Folds depth into channels and decodes to four times the side."""

    def __init__(self, in_channels: int, channels: tuple[int, int, int], blocks: int) -> None:
        """``in_channels`` is channels times depth of the volume."""
        super().__init__()
        first, middle, last = channels
        self.enter = nn.Sequential(spectral_conv(in_channels, first), nn.BatchNorm2d(first), nn.LeakyReLU(0.2))
        self.mix = nn.Conv2d(first, first, 1)
        self.blocks = nn.Sequential(*[ResBlock2d(first) for _ in range(blocks)])
        self.up = nn.Sequential(up_block(first, middle), up_block(middle, last))
        self.to_rgb = nn.Conv2d(last, 3, 7, padding=3)

    def forward(self, volume: Float[Tensor, "b c d v v"]) -> tuple[Float[Tensor, "b k s s"], Float[Tensor, "b 3 s s"]]:
        """Returns hidden features and colours (not squashed), both at four times the volume's side."""
        x = self.mix(self.enter(rearrange(volume, "b c d h w -> b (c d) h w")))
        hidden = self.up(self.blocks(x))
        return hidden, self.to_rgb(hidden)


class TorsoMask(nn.Module):
    """M_torso as logits, from the decoder's features and the motion estimator's second occlusion map."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(in_channels + 1, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, 1, 3, padding=1),
        )

    def forward(self, hidden: Float[Tensor, "b k s s"], occlusion: Float[Tensor, "b 1 v v"]) -> Float[Tensor, "b 1 s s"]:
        """Logits at the side of ``hidden``; ``occlusion`` in (0, 1) is enlarged bilinearly."""
        large = F.interpolate(occlusion, size=hidden.shape[-2:], mode="bilinear", align_corners=False)
        return self.body(torch.cat([hidden, large], 1))
