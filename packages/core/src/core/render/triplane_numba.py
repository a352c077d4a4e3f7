"""Tri-plane sampling on a CPU: one gather per point from a channel-last table, several times faster than ``grid_sample``.

The kernels release the interpreter lock; work is split over as many threads as torch uses. Same values and gradients as
``sample_planes_torch`` up to rounding (tests/core/test_render_triplane.py), except that points get no gradient.
"""

from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from core.compiled import compiled, run_parallel

CHUNK = 16384


@compiled
def _taps(u: float, size: int, scale: float) -> tuple[int, float]:
    """Left texel in a table with one texel of zeros around it, and the weight of the right one; (0, 0) where nothing is met."""
    position = (u * scale + 1.0) * 0.5 * size + 0.5
    if not (position > 0.0 and position < size + 1.0):
        return -1, 0.0
    cell = int(position)
    return cell, position - cell


@compiled
def _gather(table: np.ndarray, points: np.ndarray, axes: np.ndarray, scale: float, out: np.ndarray) -> None:
    """Mean over planes of bilinear samples: table (3, h + 2, w + 2, c), points (n, 3), out (n, c)."""
    height, width, channels = table.shape[1] - 2, table.shape[2] - 2, table.shape[3]
    third = np.float32(1.0 / 3.0)
    for i in range(points.shape[0]):
        row_out = out[i]
        row_out[:] = np.float32(0.0)
        for k in range(3):
            x, fx = _taps(points[i, axes[k, 0]], width, scale)
            y, fy = _taps(points[i, axes[k, 1]], height, scale)
            if x < 0 or y < 0:
                continue
            w11 = np.float32(fx * fy) * third
            w01 = np.float32(fx) * third - w11
            w10 = np.float32(fy) * third - w11
            w00 = third - w01 - w10 - w11
            a, b, c, d = table[k, y, x], table[k, y, x + 1], table[k, y + 1, x], table[k, y + 1, x + 1]
            for j in range(channels):
                row_out[j] += w00 * a[j] + w01 * b[j] + w10 * c[j] + w11 * d[j]


@compiled
def _scatter(table: np.ndarray, points: np.ndarray, axes: np.ndarray, scale: float, grad: np.ndarray) -> None:
    """Transpose of ``_gather`` for one plane: adds to table (h + 2, w + 2, c); axes (2,)."""
    height, width, channels = table.shape[0] - 2, table.shape[1] - 2, table.shape[2]
    third = np.float32(1.0 / 3.0)
    for i in range(points.shape[0]):
        x, fx = _taps(points[i, axes[0]], width, scale)
        y, fy = _taps(points[i, axes[1]], height, scale)
        if x < 0 or y < 0:
            continue
        w11 = np.float32(fx * fy) * third
        w01 = np.float32(fx) * third - w11
        w10 = np.float32(fy) * third - w11
        w00 = third - w01 - w10 - w11
        g, a, b, c, d = grad[i], table[y, x], table[y, x + 1], table[y + 1, x], table[y + 1, x + 1]
        for j in range(channels):
            a[j] += w00 * g[j]
            b[j] += w01 * g[j]
            c[j] += w10 * g[j]
            d[j] += w11 * g[j]


def padded_table(planes: Float[Tensor, "b 3 c h w"]) -> Float[Tensor, "b 3 hh ww c"]:
    """Channel-last copy of the planes with one texel of zeros around each."""
    b, _, c, h, w = planes.shape
    table = torch.zeros(b, 3, h + 2, w + 2, c)
    table[:, :, 1:-1, 1:-1] = planes.detach().permute(0, 1, 3, 4, 2)
    return table


class _SamplePlanes(torch.autograd.Function):
    """Autograd around the two kernels."""

    @staticmethod
    def forward(ctx: Any, planes: Tensor, table: Tensor, points: Tensor, axes: tuple[tuple[int, int], ...], box: float) -> Tensor:
        points = points.contiguous()
        out = torch.empty(*points.shape[:2], planes.shape[2])
        arrays = table.numpy(), points.numpy(), out.numpy()
        columns = np.array(axes)
        jobs = []
        for i in range(points.shape[0]):
            for start in range(0, points.shape[1], CHUNK):
                part = slice(start, start + CHUNK)
                arguments = (arrays[0][i], arrays[1][i, part], columns, 2.0 / box, arrays[2][i, part])
                jobs.append(partial(_gather, *arguments))
        run_parallel(jobs)
        ctx.save_for_backward(points)
        ctx.settings = planes.shape, axes, box
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (points,) = ctx.saved_tensors
        (b, _, c, h, w), axes, box = ctx.settings
        table = torch.zeros(b, 3, h + 2, w + 2, c)
        arrays = table.numpy(), points.numpy(), grad.contiguous().numpy()
        jobs = []
        for i in range(b):
            for k in range(3):  # one job per plane, so that no two threads add to the same texel
                arguments = (arrays[0][i, k], arrays[1][i], np.array(axes[k]), 2.0 / box, arrays[2][i])
                jobs.append(partial(_scatter, *arguments))
        run_parallel(jobs)
        return table[:, :, 1:-1, 1:-1].permute(0, 1, 4, 2, 3), None, None, None, None


class TableSampler:
    """``core.render.triplane.PlaneSampler`` for float32 on a CPU; gradients reach the planes only.

    Args:
        planes: feature planes; copied to a table once, so use one sampler for all points of an image.
        axes: (column, row) coordinate of every plane.
        box: side of the box, world units.
    """

    def __init__(self, planes: Float[Tensor, "b 3 c h w"], axes: tuple[tuple[int, int], ...], box: float) -> None:
        self.planes, self.axes, self.box = planes, axes, box
        self.table = padded_table(planes)

    def __call__(self, points: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n c"]:
        """Features of points."""
        return _SamplePlanes.apply(self.planes, self.table, points.detach().float(), self.axes, self.box)
