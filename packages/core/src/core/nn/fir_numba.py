"""The FIR filter of up-sampling convolutions on a CPU, with bias and activation in the same pass.

Same values as ``blur2d`` and what follows it (tests/core/test_nn_stylegan.py). Convolution libraries take about as long for it as for the
convolution before it.
"""

from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from core.compiled import compiled, run_parallel
from core.nn.rows_numba import load, rows_of, store

BAND = 32
"""Rows of one job."""


def blur_and_activate(x: Float[Tensor, "b c h w"], gain: float, bias: Float[Tensor, " c"], slope: float) -> Float[Tensor, "b c hh ww"]:
    """``leaky_relu(blur2d(x, 1, gain, bias), slope)`` of channels-last features; runs on torch's number of threads.

    Args:
        x: features; the result has one row and one column less.
        gain: what the filter's taps sum to.
        bias: of every channel.
        slope: of negative values; 1 for no activation.
    """
    b, c, h, w = x.shape
    out = torch.empty((b, c, h - 1, w - 1), dtype=x.dtype, memory_format=torch.channels_last)
    half, rows_in, rows_out = x.dtype == torch.bfloat16, rows_of(x), rows_of(out)
    offset = bias.detach().float().repeat(w - 1).numpy()
    scale, kept = np.float32(gain / 64), np.float32(slope)
    jobs = [
        partial(_blur, rows_in[i], top, min(top + BAND, h - 1), c, scale, offset, kept, half, rows_out[i])
        for i in range(b)
        for top in range(0, h - 1, BAND)
    ]
    run_parallel(jobs)
    return out


@compiled
def _blur(
    rows: np.ndarray, top: int, bottom: int, channels: int, gain: np.float32, offset: np.ndarray, slope: np.float32, half: bool,
    out: np.ndarray,
) -> None:  # fmt: skip
    """Rows ``top`` to ``bottom`` of the result; rows are (h, w c), of bfloat16 the bits if ``half``."""
    width, last = rows.shape[1], out.shape[1]
    bits = np.zeros((4, width), np.int32)
    four, sums = bits.view(np.float32), np.zeros(width + 2 * channels, np.float32)
    inner = sums[channels : channels + width]
    first, second = sums[:last], sums[channels : channels + last]
    third, fourth = sums[2 * channels : 2 * channels + last], sums[3 * channels :]
    rounded = np.empty(last, np.int32)
    result = rounded.view(np.float32)
    for y in range(top - 1, top + 2):
        if y >= 0 and y < rows.shape[0]:  # what is beyond the picture stays 0
            load(rows[y], half, four[y % 4], bits[y % 4])
    for y in range(top, bottom):
        if y + 2 < rows.shape[0]:
            load(rows[y + 2], half, four[(y + 2) % 4], bits[(y + 2) % 4])
        else:
            four[(y + 2) % 4] = np.float32(0)
        a, b, c, d = four[(y - 1) % 4], four[y % 4], four[(y + 1) % 4], four[(y + 2) % 4]
        for i in range(width):
            inner[i] = (a[i] + d[i]) + np.float32(3) * (b[i] + c[i])
        for i in range(last):  # slices of one length each, or the compiler would not work on several numbers at once
            value = gain * (first[i] + fourth[i] + np.float32(3) * (second[i] + third[i])) + offset[i]
            result[i] = max(value, slope * value)
        store(result, rounded, half, out[y])
