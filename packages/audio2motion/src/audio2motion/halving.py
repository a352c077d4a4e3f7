"""50 rows a second to 25 frames: each frame lies between two rows, so filters are even."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

TAPS = 12
"""Rows that the filter looks at, a quarter of a second."""


def halve(x: Float[Tensor, "b c u"], how: Literal["nearest", "mean", "lowpass"]) -> Float[Tensor, "b c t"]:
    """Rows 2 i and 2 i + 1 become frame i.

    Args:
        x: an even number of rows.
        how: ``nearest`` keeps the even rows, a quarter of a frame early and with all that is faster than 12.5 Hz folded back; ``mean``
            averages pairs; ``lowpass`` is a windowed sinc that keeps what is slower than 6 Hz and stops what is faster than 19. Beyond the
            ends lie zeros.
    """
    if how == "nearest":
        return x[..., ::2]
    if how == "mean":
        return F.avg_pool1d(x, 2)
    kernel = lowpass(TAPS).to(x)[None, None].expand(x.shape[1], 1, TAPS)
    return F.conv1d(x, kernel, stride=2, padding=TAPS // 2 - 1, groups=x.shape[1])


def lowpass(taps: int) -> Float[Tensor, "k"]:
    """Windowed sinc with its edge at a quarter of the sampling rate, half way between two taps, of unit sum."""
    place = torch.arange(taps, dtype=torch.float64) - (taps - 1) / 2
    kernel = torch.sinc(place / 2) * torch.kaiser_window(taps, periodic=False, beta=4.0, dtype=torch.float64)
    return (kernel / kernel.sum()).float()
