"""The colours of a synthesis block on a CPU: toRGB and the up-sampled skip image in one pass.

Same values as ``ModulatedConv2d`` with a kernel of 1 and ``upsample2d`` (tests/core/test_nn_stylegan.py).
"""

from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from core.compiled import compiled, run_parallel

BAND = 32
"""Rows of one job."""
NEAR, AWAY = np.float32(0.75), np.float32(0.25)


def fits(x: Tensor, image: Tensor) -> bool:
    """Whether ``rgb_over`` can take them: float32 on a CPU without gradients, features channels-last."""
    plain = all(t.device.type == "cpu" and t.dtype == torch.float32 for t in (x, image)) and not torch.is_grad_enabled()
    return plain and x.is_contiguous(memory_format=torch.channels_last)


def rgb_over(
    x: Float[Tensor, "b c h w"], weight: Float[Tensor, "k c"], bias: Float[Tensor, " k"], image: Float[Tensor, "b k h2 w2"]
) -> Float[Tensor, "b k h w"]:
    """``weight x + bias + upsample2d(image)``, on torch's number of threads.

    Args:
        x: features, channels-last.
        weight: of a 1x1 convolution.
        bias: of every colour.
        image: skip image of half the size.
    """
    b, c, h, w = x.shape
    out = torch.empty(b, len(weight), h, w)
    features, skip, result = x.permute(0, 2, 3, 1).numpy(), image.contiguous().numpy(), out.numpy()
    rows, offset = weight.contiguous().numpy(), bias.contiguous().numpy()
    run_parallel(
        [
            partial(_rows, features[i], rows, offset, skip[i], (0,) * c, result[i], top, min(top + BAND, h))
            for i in range(b)
            for top in range(0, h, BAND)
        ]
    )
    return out


@compiled
def _rows(
    features: np.ndarray, weight: np.ndarray, bias: np.ndarray, skip: np.ndarray, lanes: tuple, out: np.ndarray, top: int, bottom: int
) -> None:
    """Rows ``top`` to ``bottom``; ``lanes`` is as long as there are channels."""
    width, low = out.shape[2], skip.shape[2]
    line = np.zeros(low + 2, np.float32)  # with the zeros beside the image
    for y in range(top, bottom):
        near, other = y // 2, y // 2 + (1 if y % 2 else -1)
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
                    total += features[y, x, j] * weight[k, j]
                row[x] += total
