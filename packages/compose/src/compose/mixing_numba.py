"""The masked layers of the fusion laid over each other and activated, compiled for CPUs: each number is read and written once.

Equals ``mixing.blended_torch`` up to rounding (tests/compose/test_mixing.py). Features lie channels-last.
"""

from functools import partial

import numpy as np
import torch
from core.compiled import compiled, run_parallel
from core.nn.rows_numba import load, rows_of, store
from jaxtyping import Float
from torch import Tensor

from compose.box import Box

BAND = 32
"""Rows of one job."""
HALF, ZERO = np.float32(0.5), np.float32(0)


def blended(
    head: Float[Tensor, "b n h w"],
    torso: Float[Tensor, "b n s s"],
    scenery: Float[Tensor, "b n f f"],
    masks: tuple[Float[Tensor, "b 1 h w"], Float[Tensor, "b 1 h w"]],
    bias: Float[Tensor, " n"],
    slope: float,
    box: Box,
) -> Float[Tensor, "b n h w"]:
    """``blended_torch`` on torch's number of threads."""
    b, n, height, width = head.shape
    out = torch.empty((b, n, height, width), dtype=head.dtype, memory_format=torch.channels_last)
    rows, half = [rows_of(x) for x in (head, torso, scenery, out)], head.dtype == torch.bfloat16
    covers = [mask.contiguous().numpy() for mask in masks]
    corner, scale = np.array([2 * box.top, 2 * box.left]), np.float32(scenery.shape[-1] / torso.shape[-1])
    settings = bias.float().repeat(width).numpy(), np.float32(slope), corner, scale, (0,) * n, half
    run_parallel(
        [
            partial(_blend, *(x[i] for x in rows[:3]), *(x[i, 0] for x in covers), *settings, rows[3][i], top, min(top + BAND, height))
            for i in range(b)
            for top in range(0, height, BAND)
        ]
    )
    return out


@compiled
def _blend(
    head: np.ndarray, torso: np.ndarray, scenery: np.ndarray, head_mask: np.ndarray, person: np.ndarray, bias: np.ndarray,
    slope: np.float32, corner: np.ndarray, scale: np.float32, lanes: tuple, half: bool, out: np.ndarray, top: int, bottom: int,
) -> None:  # fmt: skip
    """Rows ``top`` to ``bottom`` of the box whose upper left pixel is ``corner``.

    A row is all channels of its first pixel, then of the next; ``lanes`` is as long as there are channels. ``half``: of bfloat16.
    """
    size, length = torso.shape[0], out.shape[1]
    low_bits, bits = np.empty((2, torso.shape[1]), np.int32), np.empty((3, length), np.int32)
    above, behind, row = bits[0].view(np.float32), bits[1].view(np.float32), bits[2].view(np.float32)
    upper, lower = low_bits[0].view(np.float32), low_bits[1].view(np.float32)
    line, below = np.empty(torso.shape[1], np.float32), np.empty(length, np.float32)
    front, whole = np.empty(length, np.float32), np.empty(length, np.float32)
    start = corner[1] * len(lanes)
    for y in range(top, bottom):
        at = max((np.float32(corner[0] + y) + HALF) / scale - HALF, ZERO)
        first = min(int(at), size - 1)
        share = at - np.float32(first)
        load(torso[first], half, upper, low_bits[0])
        load(torso[min(first + 1, size - 1)], half, lower, low_bits[1])
        for i in range(line.shape[0]):
            line[i] = upper[i] + share * (lower[i] - upper[i])
        for x in range(length // len(lanes)):
            at = max((np.float32(corner[1] + x) + HALF) / scale - HALF, ZERO)
            first = min(int(at), size - 1)
            share, left, right = at - np.float32(first), first * len(lanes), min(first + 1, size - 1) * len(lanes)
            into, covered, filled = x * len(lanes), head_mask[y, x], person[y, x]
            for j in range(len(lanes)):
                below[into + j] = line[left + j] + share * (line[right + j] - line[left + j])
            for j in range(len(lanes)):
                front[into + j] = covered
            for j in range(len(lanes)):
                whole[into + j] = filled
        if half:
            load(head[y], half, above, bits[0])
            load(scenery[corner[0] + y, start : start + length], half, behind, bits[1])
            _over(above, behind, below, front, whole, bias, slope, row)
            store(row, bits[2], half, out[y])
        else:
            _over(head[y], scenery[corner[0] + y, start : start + length], below, front, whole, bias, slope, out[y])


@compiled
def _over(
    above: np.ndarray, behind: np.ndarray, below: np.ndarray, front: np.ndarray, whole: np.ndarray, bias: np.ndarray, slope: np.float32,
    row: np.ndarray,
) -> None:  # fmt: skip
    """A row of layers over each other; one long loop, or the compiler would not work on several numbers at once."""
    for i in range(row.shape[0]):
        value = below[i] + front[i] * (above[i] - below[i])
        value = behind[i] + whole[i] * (value - behind[i]) + bias[i]
        row[i] = max(value, slope * value)
