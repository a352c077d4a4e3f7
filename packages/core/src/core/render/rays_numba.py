"""Rays of a whole picture and their bounds on a CPU, compiled: ``Camera.rays`` and ``ray_bounds`` are the readable twins.

Equal within rounding (tests/core/test_render_rays.py); a frame needs them several times.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from core.compiled import compiled
from core.render.vector_math import HALF, ONE, ZERO

TINY = np.float32(1e-9)
"""Least component of a direction, away from 0: rays along a face of the box."""


def directions(cam2world: Float[Tensor, "b 4 4"], intrinsics: Float[Tensor, "b 3 3"], size: int) -> Float[Tensor, "b n 3"]:
    """Unit vectors through the pixel centres of ``size x size`` pictures, row-major."""
    out = torch.empty(len(cam2world), size * size, 3)
    for rotation, inner, part in zip(cam2world[:, :3, :3].numpy(), intrinsics.numpy(), out.numpy(), strict=True):
        _directions(np.ascontiguousarray(rotation), np.ascontiguousarray(inner), size, part)
    return out


def bounds(
    origins: Float[Tensor, "b n 3"], directions: Float[Tensor, "b n 3"], box: float, centre: tuple[float, float, float],
    radius: tuple[float, float, float] | None,
) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n"], Bool[Tensor, "b n"]]:  # fmt: skip
    """Near, far and whether anything is met, as ``core.render.sampling.ray_bounds`` says."""
    near, far = torch.empty(2, *origins.shape[:2])
    hit = torch.empty(origins.shape[:2], dtype=torch.bool)
    shape = np.array([*centre, *(radius or (1.0, 1.0, 1.0))], np.float32)
    flat = [x.reshape(-1, 3).contiguous().numpy() for x in (origins, directions)]
    _bounds(*flat, np.float32(box / 2), shape, radius is not None, near.view(-1).numpy(), far.view(-1).numpy(), hit.view(-1).numpy())
    return near, far, hit


@compiled
def _directions(rotation: np.ndarray, inner: np.ndarray, size: int, out: np.ndarray) -> None:
    step = ONE / np.float32(size)
    for row in range(size):
        y = ((np.float32(row) + HALF) * step - inner[1, 2]) / inner[1, 1]
        for column in range(size):
            x = ((np.float32(column) + HALF) * step - inner[0, 2] - inner[0, 1] * y) / inner[0, 0]
            scale = ONE / np.sqrt(x * x + y * y + ONE)
            n = row * size + column
            for k in range(3):
                out[n, k] = (rotation[k, 0] * x + rotation[k, 1] * y + rotation[k, 2]) * scale


@compiled
def _bounds(
    origins: np.ndarray, directions: np.ndarray, half: np.float32, shape: np.ndarray, round_: bool, near: np.ndarray, far: np.ndarray,
    hit: np.ndarray,
) -> None:  # fmt: skip
    for n in range(near.shape[0]):
        first, last = ZERO, np.float32(np.inf)
        a, b, away, inside = ZERO, ZERO, ZERO, ONE
        for k in range(3):
            o, d = origins[n, k], directions[n, k]
            away += o * o
            slope = ONE / (TINY if abs(d) < TINY else d)
            one, other = (-half - o) * slope, (half - o) * slope
            first, last = max(first, min(one, other)), min(last, max(one, other))
            o, d = (o - shape[k]) / shape[3 + k], d / shape[3 + k]
            a, b = a + d * d, b + o * d
        if round_:
            middle = -b / a
            for k in range(3):
                place = (origins[n, k] - shape[k] + middle * directions[n, k]) / shape[3 + k]
                inside -= place * place
            width = np.sqrt(max(inside / a, ZERO))
            first, last = max(first, middle - width), min(last, middle + width)
        met = last > first and inside > ZERO
        away = np.sqrt(away)
        hit[n], near[n], far[n] = met, first if met else away, last if met else away
