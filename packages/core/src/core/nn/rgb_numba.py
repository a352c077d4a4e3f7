"""The colours of a synthesis block on a CPU: toRGB and the up-sampled skip image in one pass.

Same values as ``ModulatedConv2d`` with a kernel of 1 and ``upsample2d`` (tests/core/test_nn_stylegan.py).
"""

from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from core.compiled import compiled, run_parallel
from core.nn.rows_numba import load, rows_of

BAND = 32
"""Rows of one job."""
NEAR, AWAY = np.float32(0.75), np.float32(0.25)


def rgb_over(
    x: Float[Tensor, "b c h w"], weight: Float[Tensor, "k c"], bias: Float[Tensor, " k"], image: Float[Tensor, "b k h2 w2"]
) -> Float[Tensor, "b k h w"]:
    """``weight x + bias + upsample2d(image)``, on torch's number of threads.

    Args:
        x: features, channels-last; of bfloat16 products and sums are float32.
        weight: of a 1x1 convolution.
        bias: of every colour.
        image: skip image of half the size.
    """
    b, c, h, w = x.shape
    out = torch.empty(b, len(weight), h, w)
    features, skip, result = rows_of(x), image.contiguous().numpy(), out.numpy()
    rows, offset, half = weight.float().contiguous().numpy(), bias.contiguous().numpy(), x.dtype == torch.bfloat16
    run_parallel(
        [
            partial(_rows, features[i], half, rows, offset, skip[i], (0,) * c, result[i], top, min(top + BAND, h))
            for i in range(b)
            for top in range(0, h, BAND)
        ]
    )
    return out


@compiled
def _rows(
    features: np.ndarray, half: bool, weight: np.ndarray, bias: np.ndarray, skip: np.ndarray, lanes: tuple, out: np.ndarray, top: int,
    bottom: int,
) -> None:  # fmt: skip
    """Rows ``top`` to ``bottom``; ``lanes`` is as long as there are channels."""
    width, low = out.shape[2], skip.shape[2]
    line = np.zeros(low + 2, np.float32)  # with the zeros beside the image
    bits = np.empty(features.shape[1], np.int32)
    pixels = bits.view(np.float32)
    for y in range(top, bottom):
        near, other = y // 2, y // 2 + (1 if y % 2 else -1)
        load(features[y], half, pixels, bits)
        for k in range(weight.shape[0]):
            row = out[k, y]
            for i in range(low):
                line[i + 1] = NEAR * skip[k, near, i]
            if 0 <= other < skip.shape[1]:
                for i in range(low):
                    line[i + 1] += AWAY * skip[k, other, i]
            for i in range(low):
                row[2 * i] = NEAR * line[i + 1] + AWAY * line[i] + bias[k]
                row[2 * i + 1] = NEAR * line[i + 1] + AWAY * line[i + 2] + bias[k]
            for x in range(width):
                total = np.float32(0)
                for j in range(len(lanes)):
                    total += pixels[x * len(lanes) + j] * weight[k, j]
                row[x] += total
