"""Audio offset without a network: at which shift the opening of the mouth follows the loudness best."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from core.face.regions import OUTER_EYE_CORNERS
from core.metrics.running_mean import RunningMean

FPS = 25
FRAME_MS = 1000 / FPS
REACH = 15
"""Frames by which the sound is shifted at most, either way (as SyncNet's evaluation does)."""
LIPS = (13, 14)
QUIET = -50.0
"""Loudness in dB below the clip's maximum that counts as silence."""


class Offset(NamedTuple):
    """Result of ``audio_offset``."""

    milliseconds: float
    """By how much the picture is late; negative when it is early."""
    correlation: float
    """Pearson correlation at that shift, -1 to 1."""


def mouth_openings(points: Float[np.ndarray, "t n d"]) -> Float[np.ndarray, " t"]:
    """Height of the mouth hole over the distance of the outer eye corners."""
    right, left = (points[:, corner, :2] for corner in OUTER_EYE_CORNERS)
    return np.linalg.norm(points[:, LIPS[0], :2] - points[:, LIPS[1], :2], axis=1) / np.linalg.norm(left - right, axis=1)


def loudness(samples: Float[np.ndarray, " n"], rate: int, frames: int) -> Float[np.ndarray, " t"]:
    """Energy of the sound during every video frame, in dB below the loudest frame, not below ``QUIET``; silence after its end."""
    edges = np.round(np.arange(frames + 1) * rate / FPS).astype(int)
    parts = [samples[start:stop] for start, stop in pairwise(edges)]
    power = np.array([np.mean(np.square(part, dtype=np.float64)) if len(part) else 0.0 for part in parts])
    return np.maximum(10 * np.log10(np.maximum(power, 1e-12) / max(power.max(initial=0.0), 1e-12)), QUIET)


def audio_offset(opening: Float[np.ndarray, " t"], energy: Float[np.ndarray, " t"]) -> Offset:
    """Shift of the mouth against the sound with the highest correlation, within ``REACH`` frames; NaN when either does not vary.

    Args:
        opening: of the mouth, NaN where no face was found.
        energy: of the sound, one number per frame.

    At least a second must be left to compare.
    """
    best = Offset(float("nan"), float("nan"))
    reach = min(REACH, len(opening) - 1)
    for lag in sorted(range(-reach, reach + 1), key=abs):
        a, b = (opening[lag:], energy[: len(energy) - lag]) if lag >= 0 else (opening[:lag], energy[-lag:])
        known = np.isfinite(a) & np.isfinite(b)
        if known.sum() < FPS or np.ptp(a[known]) < 1e-9 or np.ptp(b[known]) < 1e-9:
            continue
        r = float(np.corrcoef(a[known], b[known])[0, 1])
        if not r <= best.correlation:
            best = Offset(lag * FRAME_MS, r)
    return best


class AudioOffset(RunningMean):
    """Mean over clips of the absolute offset in milliseconds."""

    higher_is_better = False

    def update(self, opening: Float[np.ndarray, " t"], energy: Float[np.ndarray, " t"]) -> None:
        """Take in one clip."""
        self.add(torch.tensor([abs(audio_offset(opening, energy).milliseconds)], dtype=torch.float64))


class AudioCorrelation(RunningMean):
    """Mean over clips of the correlation at the best shift."""

    higher_is_better = True

    def update(self, opening: Float[np.ndarray, " t"], energy: Float[np.ndarray, " t"]) -> None:
        """Take in one clip."""
        self.add(torch.tensor([audio_offset(opening, energy).correlation], dtype=torch.float64))
