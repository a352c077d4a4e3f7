"""Pictures of half the size, antialiased, compiled for CPUs: ``warping.resize`` by a factor of two (tests/compose/test_warping.py)."""

from functools import partial

import numpy as np
import torch
from core.compiled import compiled, run_parallel
from jaxtyping import Float
from torch import Tensor

BAND = 32
"""Rows of one job."""
NEAR, FAR, SEVENTH = np.float32(0.375), np.float32(0.125), np.float32(8 / 7)


def halved(image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
    """Every pixel is a mean of 4 x 4, weighted 1, 3, 3, 1 in both directions; beyond the border there is nothing. Even sizes."""
    b, c, h, w = image.shape
    out = torch.empty(b, c, h // 2, w // 2)
    planes, result = image.contiguous().flatten(0, 1).numpy(), out.flatten(0, 1).numpy()
    run_parallel([partial(_halve, planes, result, top, min(top + BAND, h // 2)) for top in range(0, h // 2, BAND)])
    return out


@compiled
def _halve(planes: np.ndarray, out: np.ndarray, top: int, bottom: int) -> None:
    height, width = planes.shape[1:]
    line = np.zeros(width + 2, np.float32)  # with zeros beside it
    for c in range(planes.shape[0]):
        for y in range(top, bottom):
            first, second = planes[c, 2 * y], planes[c, 2 * y + 1]
            for x in range(width):
                line[x + 1] = NEAR * (first[x] + second[x])
            if y > 0:
                before = planes[c, 2 * y - 1]
                for x in range(width):
                    line[x + 1] += FAR * before[x]
            if 2 * y + 2 < height:
                behind = planes[c, 2 * y + 2]
                for x in range(width):
                    line[x + 1] += FAR * behind[x]
            row, edge = out[c, y], SEVENTH if y == 0 or 2 * y + 2 == height else np.float32(1)
            for x in range(width // 2):
                row[x] = edge * (NEAR * (line[2 * x + 1] + line[2 * x + 2]) + FAR * (line[2 * x] + line[2 * x + 3]))
            row[0] *= SEVENTH
            row[width // 2 - 1] *= SEVENTH
