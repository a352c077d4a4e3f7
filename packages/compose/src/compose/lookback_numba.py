"""``lookback.look_back`` compiled for CPUs: every pixel is followed to the photograph in one go (tests/compose/test_lookback.py)."""

from functools import partial

import numpy as np
import torch
from core.compiled import compiled, run_parallel
from jaxtyping import Float
from torch import Tensor

from compose.bleed_numba import finer_row

BAND = 32
"""Rows of one job."""
ZERO, HALF, ONE, TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)


def followed(
    points: tuple[Float[Tensor, "b n 3"], Float[Tensor, "b n 3"]],
    frame: tuple[Float[Tensor, "b 1 r r"], Float[Tensor, "b 3 r r"], Float[Tensor, "b 1 r r"]],
    view: tuple[Float[Tensor, "b 4 4"], Float[Tensor, "b 3 3"]],
    source: tuple[Float[Tensor, "b 1 r r"], Float[Tensor, "b 1 r r"]],
    limits: tuple[float, float, float],
) -> tuple[Float[Tensor, "b r r 2"], Float[Tensor, "b 1 r r"], Float[Tensor, "b 1 r r"]]:
    """``followed_torch`` on torch's number of threads."""
    b, _, size, _ = frame[0].shape
    place, seen, known = torch.empty(b, size, size, 2), torch.empty(b, 1, size, size), torch.empty(b, 1, size, size)
    given = [x.contiguous().numpy() for x in (*points, *frame, *view, *source, place, seen, known)]
    ends = np.array(limits, np.float32)
    run_parallel(
        [partial(_follow, *(x[i] for x in given), ends, top, min(top + BAND, size)) for i in range(b) for top in range(0, size, BAND)]
    )
    return place, seen, known


def refined(
    coarse: tuple[Float[Tensor, "b r r 2"], Float[Tensor, "b 1 r r"], Float[Tensor, "b 1 r r"]],
    skin: Float[Tensor, "b 1 f f"],
    holes: Float[Tensor, "b 1 f f"],
    shut: Float[Tensor, "b 1 f f"],
) -> tuple[Float[Tensor, "b 1 f f"], Float[Tensor, "b 1 f f"]]:
    """``refined_torch`` on torch's number of threads."""
    b, _, size, _ = holes.shape
    seen, known = torch.empty(b, 1, size, size), torch.empty(b, 1, size, size)
    given = [x.contiguous().numpy() for x in (*coarse, skin, holes, shut, seen, known)]
    run_parallel([partial(_refine, *(x[i] for x in given), top, min(top + BAND, size)) for i in range(b) for top in range(0, size, BAND)])
    return seen, known


@compiled
def _follow(
    origins: np.ndarray, directions: np.ndarray, distance: np.ndarray, shift: np.ndarray, known: np.ndarray, pose: np.ndarray,
    inner: np.ndarray, there: np.ndarray, sure: np.ndarray, place: np.ndarray, seen: np.ndarray, both: np.ndarray, limits: np.ndarray,
    top: int, bottom: int,
) -> None:  # fmt: skip
    size, (border, tight, loose) = distance.shape[1], limits
    last, middle = np.float32(size - 1), np.float32(size) * HALF
    offset, local, image = np.empty(3, np.float32), np.empty(3, np.float32), np.empty(3, np.float32)
    for y in range(top, bottom):
        for x in range(size):
            n, away = y * size + x, ZERO
            for k in range(3):
                offset[k] = origins[n, k] + directions[n, k] * distance[0, y, x] + shift[k, y, x] - pose[k, 3]
                away += offset[k] * offset[k]
            for k in range(3):
                local[k] = pose[0, k] * offset[0] + pose[1, k] * offset[1] + pose[2, k] * offset[2]
            for k in range(3):
                image[k] = inner[k, 0] * local[0] + inner[k, 1] * local[1] + inner[k, 2] * local[2]
            u, v = image[0] / image[2] * TWO - ONE, image[1] / image[2] * TWO - ONE
            place[y, x, 0], place[y, x, 1] = u, v
            across, down = min(max((u + ONE) * middle - HALF, ZERO), last), min(max((v + ONE) * middle - HALF, ZERO), last)
            i, j = int(down), int(across)
            below, beside, f, g = min(i + 1, size - 1), min(j + 1, size - 1), down - np.float32(i), across - np.float32(j)
            w11, w10, w01 = f * g, f - f * g, g - f * g
            w00 = ONE - f - w01
            far = w00 * there[0, i, j] + w01 * there[0, i, beside] + w10 * there[0, below, j] + w11 * there[0, below, beside]
            told = w00 * sure[0, i, j] + w01 * sure[0, i, beside] + w10 * sure[0, below, j] + w11 * sure[0, below, beside]
            error = (np.sqrt(away) - far) / (loose + (tight - loose) * told)
            seen[0, y, x] = np.exp(-error * error) * min(max(ONE + (v + ONE) / border, ZERO), ONE)
            both[0, y, x] = known[0, y, x] * told


@compiled
def _refine(
    place: np.ndarray, seen: np.ndarray, known: np.ndarray, skin: np.ndarray, holes: np.ndarray, shut: np.ndarray, fine_seen: np.ndarray,
    fine_known: np.ndarray, top: int, bottom: int,
) -> None:  # fmt: skip
    size = holes.shape[1]
    middle = np.float32(size) * HALF
    rows = np.empty((3, 2, size), np.float32)  # places of the row above, of this one and of the one below
    for y in range(top, bottom):
        finer_row(seen[0], y, fine_seen[0, y])
        finer_row(known[0], y, fine_known[0, y])
        if holes[0, y].max() <= ZERO:
            continue
        upper, lower = max(y - 1, 0), min(y + 1, size - 1)
        for at, row in enumerate((upper, y, lower)):
            for axis in range(2):
                finer_row(place[:, :, axis], row, rows[at, axis])
        for x in range(size):
            if holes[0, y, x] <= ZERO:
                continue
            left, right = max(x - 1, 0), min(x + 1, size - 1)
            rise, run = np.float32(lower - upper) / middle, np.float32(right - left) / middle
            area = (rows[1, 0, right] - rows[1, 0, left]) * (rows[2, 1, x] - rows[0, 1, x])
            area -= (rows[1, 1, right] - rows[1, 1, left]) * (rows[2, 0, x] - rows[0, 0, x])
            hidden = ONE - min(max(area / (rise * run), ZERO), ONE)
            across, down = (rows[1, 0, x] + ONE) * middle - HALF, (rows[1, 1, x] + ONE) * middle - HALF
            i, j = int(np.floor(down)), int(np.floor(across))
            total = ZERO
            for dy in range(2):
                for dx in range(2):
                    if 0 <= i + dy < size and 0 <= j + dx < size:
                        total += (ONE - abs(down - np.float32(i + dy))) * (ONE - abs(across - np.float32(j + dx))) * skin[0, i + dy, j + dx]
            fine_seen[0, y, x] *= ONE - holes[0, y, x] * (ONE - shut[0, y, x]) * max(total, hidden)
