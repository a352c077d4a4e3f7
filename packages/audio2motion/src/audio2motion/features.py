"""Sound as stage 4 hears it: 50 feature rows a second behind one protocol, at one loudness whatever the recording.

Every encoder maps a mono 16 kHz waveform of n samples to ceil(n / 320) rows; row i belongs to samples 320 i .. 320 (i + 1).
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

SAMPLE_RATE = 16_000
HOP = 320
FRAME_RATE = 50
SPEECH_LEVEL = 0.1
"""RMS to which the loud frames of a clip are brought (-20 dBFS)."""
SILENT_LEVEL = 1e-4
"""A clip whose loud frames stay below this RMS (-80 dBFS) has no speech; it is not amplified."""


@dataclass(frozen=True)
class Voice:
    """What has to be known of a recording as a whole before a part of it can be heard as in the whole.

    Attributes:
        offset: mean of the samples.
        gain: brings the loud frames to `SPEECH_LEVEL`; 1 for silence.
        level: RMS of the loud frames after that.
        peak: largest mean power of 20 ms after that.
        deviation: standard deviation of the samples as they are.
        colour: mean log-mel spectrum of the speech; empty for encoders that do not ask for it.
    """

    offset: float
    gain: float
    level: float
    peak: float
    deviation: float
    colour: Float[Tensor, "c"]

    @classmethod
    def of(cls, wave: Float[Tensor, "n"], floor: float = 0.0) -> "Voice":
        """Measure mono 16 kHz sound, its colour excepted.

        Args:
            wave: sound; what is not finite counts as silence.
            floor: quieter loud frames than this RMS are taken for so loud, so that background noise is not made into speech.
        """
        wave = _finite(wave)
        if wave.numel() == 0:
            return cls(0.0, 1.0, 0.0, 0.0, 0.0, torch.zeros(0))
        offset = float(wave.mean())
        level = max(_loud_level(frame_levels(wave - offset)), floor)
        gain = SPEECH_LEVEL / level if level > SILENT_LEVEL else 1.0
        power = F.pad((wave - offset) * gain, (0, -wave.shape[0] % HOP)).square().reshape(-1, HOP).mean(1)
        return cls(offset, gain, level * gain, float(power.max()), float(wave.std(correction=0)), torch.zeros(0))

    def levelled(self, wave: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
        """A part of the recording without offset, at the loudness of the whole; NaN and infinity become silence."""
        return (_finite(wave) - self.offset) * self.gain


@runtime_checkable
class AudioEncoder(Protocol):
    """Turns a waveform into the features that one kind of weights was trained on."""

    kind: str
    """``hubert`` or ``logmel``; must equal `Audio2MotionConfig.audio`."""
    width: int
    """Channels of the feature; must equal `Audio2MotionConfig.audio_width`."""
    rate: int
    """Rows per second; must equal `Audio2MotionConfig.audio_rate`."""

    def measure(self, wave: Float[Tensor, "n"], floor: float = 0.0) -> Voice:
        """What this encoder has to know of a recording; see `Voice.of`."""
        ...

    def __call__(self, wave: Float[Tensor, "n"], voice: Voice | None = None) -> Float[Tensor, "u c"]:
        """Features of mono 16 kHz sound in [-1, 1]; ``voice`` is that of the recording when ``wave`` is a part of it."""
        ...


def frame_levels(wave: Float[Tensor, "n"]) -> Float[Tensor, "u"]:
    """RMS of each 20 ms about its own mean, so that an offset or rumble is not taken for speech."""
    rows = -(-wave.shape[0] // HOP)
    if rows == 0:
        return wave.new_zeros(0)
    # The last value fills the last row: zeros would be a step where the sound has an offset.
    frames = F.pad(wave, (0, rows * HOP - wave.shape[0]), value=float(wave[-1])).reshape(rows, HOP)
    return (frames - frames.mean(1, keepdim=True)).square().mean(1).sqrt()


def normalise_loudness(wave: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    """Replace NaN and infinity by silence, remove the offset and bring the loud frames to `SPEECH_LEVEL`; silence stays silence."""
    return Voice.of(wave).levelled(wave)


def speech_frames(levels: Float[Tensor, "u"], below_db: float = 30.0, loud: float | None = None) -> Bool[Tensor, "u"]:
    """Frames within ``below_db`` of the loud frames (of these, unless ``loud`` tells their level): sound that may be speech."""
    return levels > max((_loud_level(levels) if loud is None else loud) * 10 ** (-below_db / 20), SILENT_LEVEL)


def _finite(wave: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    return torch.nan_to_num(wave.float(), nan=0.0, posinf=0.0, neginf=0.0)


def _loud_level(levels: Float[Tensor, "u"]) -> float:
    """RMS of the frames near the top of the clip (a robust "how loud is the speaker")."""
    top = float(np.quantile(levels.numpy(), 0.95))
    # A click at either end, as an offset gives that is cut off, must not count as the voice of a silent clip.
    return float(levels[levels >= 0.1 * top].clamp(max=10 * top).square().mean().sqrt()) if top > 0 else 0.0
