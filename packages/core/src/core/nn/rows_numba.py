"""Rows of channels-last features for compiled code, which knows float32 only: bfloat16 comes and goes as its bits."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from core.compiled import compiled

TYPES = (torch.float32, torch.bfloat16)


def fits(*features: Tensor) -> bool:
    """Whether these can be taken: on a CPU, of one of ``TYPES``, without gradients, channels-last."""
    plain = not torch.is_grad_enabled() and all(x.device.type == "cpu" and x.dtype in TYPES for x in features)
    return plain and all(x.is_contiguous(memory_format=torch.channels_last) for x in features)


def rows_of(features: Float[Tensor, "b c h w"]) -> np.ndarray:
    """(b, h, w c), all channels of the first pixel of a row first; int16 for bfloat16. No copy of channels-last features."""
    rows = features.permute(0, 2, 3, 1).contiguous().flatten(2)
    return (rows.view(torch.int16) if rows.dtype == torch.bfloat16 else rows).numpy()


@compiled
def load(source: np.ndarray, half: bool, row: np.ndarray, bits: np.ndarray) -> None:
    """A row, of bfloat16 if ``half``, as float32; ``bits`` are those of ``row``."""
    if half:
        for i in range(row.shape[0]):
            bits[i] = np.int32(source[i]) << np.int32(16)
    else:
        for i in range(row.shape[0]):
            row[i] = source[i]


@compiled
def store(row: np.ndarray, bits: np.ndarray, half: bool, target: np.ndarray) -> None:
    """The other way, rounded to the nearest; ``bits`` are those of ``row``."""
    if half:
        for i in range(row.shape[0]):
            target[i] = (bits[i] + np.int32(0x7FFF) + ((bits[i] >> np.int32(16)) & np.int32(1))) >> np.int32(16)
    else:
        for i in range(row.shape[0]):
            target[i] = row[i]
