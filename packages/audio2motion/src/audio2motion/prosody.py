"""Emphasis in a voice, and what brows and head do about it.

Listeners expect brows to rise and heads to nod on stressed words (Graf et al. 2002, "Visual prosody"); the amounts are our own. An accent
is a peak of melody and loudness together, both against the rest of what is said, so that voice and microphone drop out.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from audio2motion.features import HOP, frame_levels, normalise_loudness, speech_frames
from audio2motion.pitch import track_pitch

FPS = 25
_RATE = 50
_SMOOTH = 0.16
"""Seconds over which melody and loudness are averaged: about a syllable."""
_APART = 0.7
"""Least seconds between two accents."""
_LEAST, _FULL = 0.7, 2.2
"""Standard deviations above the mean at which an accent begins to count, and at which it has full strength."""
BROW_RISE, BROW_FALL = 0.20, 0.45
"""Seconds in which brows rise before the accent and sink after it."""
NOD_FALL, NOD_RISE = 0.16, 0.40
"""Seconds in which the head goes down, from a little before the accent on, and comes up again."""
NOD = 0.06
"""Largest nod in radians (3.4 degrees)."""


@dataclass(frozen=True)
class Accents:
    """Stressed moments of a voice.

    Attributes:
        frames: where they are, at 25 fps.
        strength: 0..1 each.
        length: of the sound in frames.
    """

    frames: Int[np.ndarray, "k"]
    strength: Float[np.ndarray, "k"]
    length: int


def find_accents(wave: Float[np.ndarray, "n"]) -> Accents:
    """Accents of mono 16 kHz speech, ceil(n / 640) frames; silence has none."""
    from scipy.signal import find_peaks

    frames = -(-len(wave) // (2 * HOP))
    sound = normalise_loudness(torch.as_tensor(wave, dtype=torch.float32))
    levels = frame_levels(sound)
    f0 = track_pitch(sound.numpy())[: len(levels)]
    voiced = (f0 > 0) & speech_frames(levels).numpy() if len(levels) else np.zeros(0, bool)
    if voiced.sum() < _RATE * _SMOOTH:
        return Accents(np.zeros(0, np.int64), np.zeros(0, np.float32), frames)
    row = np.arange(len(levels))
    melody = np.interp(row, row[voiced], 12 * np.log2(f0[voiced]))
    loudness = 20 * np.log10(np.maximum(levels.numpy(), 1e-4))
    prominence = (_standard(melody, voiced) + _standard(loudness, voiced)) / 2
    prominence = np.where(_averaged(voiced.astype(np.float64)) > 0.2, prominence, -10.0)
    spread = max(float(prominence[voiced].std()), 1e-6)
    peaks, _ = find_peaks(prominence / spread, height=_LEAST, distance=round(_APART * _RATE))
    strength = np.clip((prominence[peaks] / spread - _LEAST) / (_FULL - _LEAST), 0.15, 1.0)
    return Accents(np.minimum(peaks // 2, frames - 1), strength.astype(np.float32), frames)


def brow_raise(accents: Accents) -> Float[np.ndarray, "t"]:
    """How far the brows are raised in every frame, 0..1."""
    return _bumps(accents, BROW_RISE, BROW_FALL)


def nod_angle(accents: Accents) -> Float[np.ndarray, "t"]:
    """How far the head is bowed in every frame, in radians, 0..`NOD`."""
    return NOD * _bumps(accents, NOD_FALL, NOD_RISE)


def _bumps(accents: Accents, rise: float, fall: float) -> Float[np.ndarray, "t"]:
    """A raised cosine up to each accent and down after it; where two meet, the larger."""
    curve = np.zeros(accents.length, np.float32)
    for frame, strength in zip(accents.frames.tolist(), accents.strength.tolist(), strict=True):
        near = np.arange(max(frame - round(rise * FPS), 0), min(frame + round(fall * FPS) + 1, accents.length))
        away = (near - frame) / FPS / np.where(near < frame, rise, fall)
        curve[near] = np.maximum(curve[near], strength * (0.5 + 0.5 * np.cos(np.pi * np.clip(away, -1, 1))))
    return curve


def _standard(values: Float[np.ndarray, "u"], among: np.ndarray) -> Float[np.ndarray, "u"]:
    """Smooth, with mean 0 and deviation 1 over the rows in ``among``."""
    smooth = _averaged(values)
    return (smooth - smooth[among].mean()) / max(float(smooth[among].std()), 1e-6)


def _averaged(values: Float[np.ndarray, "u"]) -> Float[np.ndarray, "u"]:
    width = round(_SMOOTH * _RATE) // 2 * 2 + 1
    kernel = np.hanning(width + 2)[1:-1]
    return np.convolve(np.pad(values, width // 2, mode="edge"), kernel / kernel.sum(), mode="valid")
