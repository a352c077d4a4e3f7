"""The last steps of ``HeadSkip.trust`` compiled for CPUs: a 3x3 convolution to one channel and what is made of it.

Equals ``head_skip.trusted_torch`` up to rounding (tests/compose/test_head_skip.py). The library's convolution works out sixteen channels
where one is wanted.
"""

from functools import partial

import numpy as np
import torch
from core.compiled import compiled, run_parallel
from jaxtyping import Float
from torch import Tensor, nn

BAND = 32
"""Rows of one job."""
ONE = np.float32(1)


def trusted(
    features: Float[Tensor, "b n h w"], last: nn.Conv2d, seen: Float[Tensor, "b 1 h w"], known: Float[Tensor, "b 1 h w"], doubt: float
) -> Float[Tensor, "b 1 h w"]:
    """``trusted_torch`` on torch's number of threads."""
    out = torch.empty_like(seen, memory_format=torch.contiguous_format)
    pixels, height = features.permute(0, 2, 3, 1).flatten(1, 2), seen.shape[2]
    taps = last.weight[0].flatten(1).T.contiguous() @ pixels.transpose(1, 2)  # what every pixel gives to each of its nine neighbours
    rows, start, sure, result = (
        x.numpy() for x in (taps.unflatten(2, seen.shape[2:]), seen[:, 0].contiguous(), known[:, 0].contiguous(), out[:, 0])
    )
    settings = float(last.bias), np.float32(doubt)
    run_parallel(
        [
            partial(_trust, rows[i], start[i], sure[i], *settings, result[i], top, min(top + BAND, height))
            for i in range(len(seen))
            for top in range(0, height, BAND)
        ]
    )
    return out


@compiled
def _trust(
    taps: np.ndarray, seen: np.ndarray, known: np.ndarray, bias: float, doubt: np.float32, out: np.ndarray, top: int, bottom: int
) -> None:
    height, width = out.shape
    total = np.empty(width, np.float32)
    for y in range(top, bottom):
        total[:] = np.float32(bias)
        for down in range(3):
            at = y + down - 1
            if 0 <= at < height:
                left, middle, right = taps[3 * down, at], taps[3 * down + 1, at], taps[3 * down + 2, at]
                for x in range(width):
                    total[x] += middle[x]
                for x in range(1, width):
                    total[x] += left[x - 1]
                for x in range(width - 1):
                    total[x] += right[x + 1]
        for x in range(width):
            odds = min(max(seen[y, x], doubt), ONE - doubt)
            out[y, x] = odds / (odds + (ONE - odds) * np.exp(-total[x] * known[y, x]))
