"""``warping.bleed`` compiled for CPUs, for squares whose side is a power of two, 2 at least (tests/compose/test_warping.py)."""

import numpy as np
import torch
from core.compiled import compiled
from jaxtyping import Float
from torch import Tensor

ZERO, ONE = np.float32(0), np.float32(1)
QUARTER, LEAST = np.float32(0.25), np.float32(1e-6)


def bled(image: Float[Tensor, "b c s s"], mask: Float[Tensor, "b 1 s s"]) -> Float[Tensor, "b c s s"]:
    """Colours inside ``mask`` continued outwards."""
    out = torch.empty_like(image, memory_format=torch.contiguous_format)
    for picture, cover, result in zip(image.contiguous().numpy(), mask.contiguous().numpy(), out.numpy(), strict=True):
        levels = [(picture, cover[0])]
        while levels[-1][1].shape[0] > 1:
            side = levels[-1][1].shape[0] // 2
            levels.append((np.empty((len(picture), side, side), np.float32), np.empty((side, side), np.float32)))
            _pull(*levels[-2], *levels[-1])
        filled = np.where(levels[-1][1] > 0, levels[-1][0], ZERO)
        for finer, known in levels[-2::-1]:
            target = result if finer is picture else np.empty_like(finer)
            _push(finer, known, filled, target)
            filled = target
    return out


@compiled
def _pull(image: np.ndarray, mask: np.ndarray, small: np.ndarray, cover: np.ndarray) -> None:
    """Half the size: means of what is inside, and how much of it there is."""
    for y in range(cover.shape[0]):
        for x in range(cover.shape[1]):
            half = QUARTER * (mask[2 * y, 2 * x] + mask[2 * y, 2 * x + 1] + mask[2 * y + 1, 2 * x] + mask[2 * y + 1, 2 * x + 1])
            cover[y, x] = np.sqrt(half)
            for c in range(image.shape[0]):
                total = image[c, 2 * y, 2 * x] * mask[2 * y, 2 * x] + image[c, 2 * y, 2 * x + 1] * mask[2 * y, 2 * x + 1]
                total += image[c, 2 * y + 1, 2 * x] * mask[2 * y + 1, 2 * x]
                total += image[c, 2 * y + 1, 2 * x + 1] * mask[2 * y + 1, 2 * x + 1]
                small[c, y, x] = QUARTER * total / max(half, LEAST)


@compiled
def finer_row(image: np.ndarray, y: int, out: np.ndarray) -> None:
    """Row ``y`` of the bilinear picture of twice the size; ``image`` (h, w), ``out`` (2 w)."""
    rows, columns = image.shape
    first = (y - 1) // 2 if y > 0 else 0
    second, share = min(first + 1, rows - 1), np.float32(0.75) if y % 2 == 0 else QUARTER
    share = share if y > 0 else ZERO
    before = here = image[first, 0] + share * (image[second, 0] - image[first, 0])
    for x in range(columns):
        behind = min(x + 1, columns - 1)
        behind = image[first, behind] + share * (image[second, behind] - image[first, behind])
        out[2 * x] = here + QUARTER * (before - here)
        out[2 * x + 1] = here + QUARTER * (behind - here)
        before, here = here, behind


@compiled
def _push(image: np.ndarray, mask: np.ndarray, small: np.ndarray, out: np.ndarray) -> None:
    """What is inside over the enlarged picture of half the size."""
    row = np.empty(mask.shape[1], np.float32)
    for c in range(image.shape[0]):
        for y in range(mask.shape[0]):
            finer_row(small[c], y, row)
            for x in range(mask.shape[1]):
                out[c, y, x] = image[c, y, x] * mask[y, x] + row[x] * (ONE - mask[y, x])
