"""The sound of a file, listened to once and then read block by block: memory does not grow with its length."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from core.errors import PortraitError
from core.media.files import check_input
from core.media.resampling import resample_blocks, resampled_length
from core.media.sound_blocks import SoundBlocks, sound_blocks

log = logging.getLogger(__name__)

SHORTEST = 0.04
"""Seconds of one video frame at 25 frames per second; less sound than this cannot move a face."""
CANCELLED = 0.01
"""Share of its channels' energy that their mean may keep before they count as opposed to each other (-20 dB)."""
CENTRED = 0.01
"""Share of the loudest channel's energy from which the centre is heard alone: in films it holds the speech, the others music and noise."""
MISJUDGED = 1.1
"""A file that says it lasts longer than is allowed by more than this is believed at once; by less, it is listened to."""
RIPPLE = 1.05
"""Over full scale by less is rounding, and is cut off."""


@dataclass(frozen=True)
class Sound:
    """What it takes to read a file as mono samples in [-1, 1]; the file has to stay where it is.

    Attributes:
        path: the file.
        rate: its own samples per second.
        samples: their number at that rate.
        gain: what they are multiplied with; below 1 for files that go over full scale.
        channel: the one that is heard; None for the mean of all.
    """

    path: Path
    rate: int
    samples: int
    gain: float = 1.0
    channel: int | None = None

    @property
    def seconds(self) -> float:
        """Length."""
        return self.samples / self.rate

    def blocks(self, rate: int) -> Iterator[Float[np.ndarray, " _"]]:
        """All of it at ``rate`` samples per second, in pieces of about a second or less."""
        for block in resample_blocks(self._mono(), self.rate, rate):
            yield np.clip(block, -1.0, 1.0)

    def read(self, rate: int) -> Float[np.ndarray, " n"]:
        """All of it in one array."""
        whole, filled = np.zeros(resampled_length(self.samples, self.rate, rate), np.float32), 0
        for block in self.blocks(rate):
            part = block[: len(whole) - filled]
            whole[filled : filled + len(part)] = part
            filled += len(part)
        return whole

    def _mono(self) -> Iterator[Float[np.ndarray, " _"]]:
        for block in sound_blocks(self.path, str(self.path), quiet=True).blocks:
            samples = np.nan_to_num(block, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
            yield (samples.mean(axis=1) if self.channel is None else samples[:, self.channel]) * np.float32(self.gain)


def open_sound(path: str | Path, max_seconds: float | int = 3600.0) -> Sound:
    """Listen to a file once: how long, how loud, which channels.

    Samples that are not finite become zero. Of sound with a centre channel (5.1) that is heard alone, unless it is all but silent. Other
    channels are averaged, unless that cancels them out: then the loudest is taken. Samples over full scale are scaled down to it where the
    format can hold such; what a lossy codec adds to full scale is cut off, as players do.

    Args:
        path: any file with a sound track.
        max_seconds: longer sound is refused.

    Raises:
        PortraitError: ``E_NOT_FOUND``, ``E_AUDIO_READ``, ``E_AUDIO_EMPTY`` (zero bytes, samples or tracks), ``E_AUDIO_SHORT`` or
            ``E_AUDIO_LONG``.
    """
    file = check_input(path, "AUDIO")
    source = sound_blocks(file, str(path))
    too_long = PortraitError("E_AUDIO_LONG", f"{str(path)!r} is longer than {max_seconds:.0f} s", "Cut it into parts.")
    if source.promised > MISJUDGED * max_seconds:
        raise too_long
    levels = _Levels()
    for block in source.blocks:
        levels.add(block)
        if levels.samples > max_seconds * source.rate:
            raise too_long
    if levels.samples == 0:
        raise PortraitError("E_AUDIO_EMPTY", f"{str(path)!r} holds no samples", "Record or export the sound again.")
    if levels.samples < SHORTEST * source.rate:
        message = f"{str(path)!r} lasts {1000 * levels.samples / source.rate:.0f} ms"
        raise PortraitError("E_AUDIO_SHORT", message, f"Give at least {1000 * SHORTEST:.0f} ms of sound.")
    return _described(file, str(path), source, levels)


class _Levels:
    """Counts, energies and peaks of a stream of blocks; the last entry of the arrays is the mean of the channels."""

    def __init__(self) -> None:
        self.samples = self.broken = 0
        self.energy = self.peak = np.zeros(1)

    def add(self, block: Float[np.ndarray, "n c"]) -> None:
        finite = np.isfinite(block)
        self.broken += block.size - int(finite.sum())
        self.samples += len(block)
        sound = np.where(finite, block, 0).astype(np.float64)
        heard = np.concatenate([sound, sound.mean(axis=1, keepdims=True)], axis=1)
        self.energy = self.energy + np.square(heard).sum(axis=0)
        self.peak = np.maximum(self.peak, np.abs(heard).max(axis=0, initial=0.0))


def _described(file: Path, name: str, source: SoundBlocks, levels: _Levels) -> Sound:
    if levels.broken:
        log.warning("W_SOUND_BROKEN: %d samples of %s are not finite and were set to zero.", levels.broken, name)
    channel = None
    if source.centre is not None and levels.energy[source.centre] > CENTRED * levels.energy[:-1].max():
        channel = source.centre
    elif levels.energy[-1] < CANCELLED * levels.energy[:-1].mean():
        channel = int(levels.energy[:-1].argmax())
        log.warning("W_SOUND_OPPOSED: the channels of %s cancel each other out; only channel %d is used.", name, channel + 1)
    peak, gain = float(levels.peak[-1 if channel is None else channel]), 1.0
    if source.may_exceed and peak > RIPPLE:
        log.warning("W_SOUND_LOUD: %s goes %.3g times over full scale; it was made quieter.", name, peak)
        gain = 1.0 / peak
    return Sound(file, source.rate, levels.samples, gain, channel)
