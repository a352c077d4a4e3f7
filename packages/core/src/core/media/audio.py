"""Sound of every common kind, also the track of a video, to mono float32, and back."""

import wave
from pathlib import Path

import numpy as np
from jaxtyping import Float

from core.media.files import atomic_path
from core.media.resampling import resample
from core.media.sound import open_sound

__all__ = ["read_audio", "resample", "write_audio"]


def read_audio(path: str | Path, rate: int = 16000, max_seconds: float | int = 3600.0) -> Float[np.ndarray, " n"]:
    """Read sound as mono in [-1, 1], starting when the file's picture starts if it has one.

    Args:
        path: any file with a sound track.
        rate: samples per second of the result.
        max_seconds: longer sound is refused, before any of it is kept; ``core.media.sound`` reads sound of any length in pieces.

    Raises:
        PortraitError: as ``core.media.sound.open_sound``, which also says how channels and levels are treated.
    """
    return open_sound(path, max_seconds).read(rate)


def write_audio(path: str | Path, samples: Float[np.ndarray, " n"], rate: int) -> None:
    """Write mono sound in [-1, 1] as a 16-bit WAV file, which appears only when complete.

    Raises:
        PortraitError: ``E_WRITE`` when it cannot be written.
    """
    with atomic_path(path) as temporary, wave.open(str(temporary), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
