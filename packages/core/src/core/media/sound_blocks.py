"""Sound of every common kind, also the track of a video, as a stream of blocks of all its channels."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from core.errors import PortraitError
from core.media.decoding import decode, open_media

if TYPE_CHECKING:
    import av

GAP = 0.1
"""Seconds by which time stamps may jump ahead of the samples before the gap is filled with silence; less is rounding."""
LONGEST_GAP = 60.0
"""Seconds; a larger jump of the time stamps is their fault, and no silence."""
BLOCK = 1 << 15
NATIVE_MP3 = (".mp1", ".mp2", ".mp3")


@dataclass(frozen=True)
class SoundBlocks:
    """A stream of samples.

    Attributes:
        rate: samples per second.
        may_exceed: whether samples over full scale were meant by whoever made the file: lossy codecs make some by themselves.
        blocks: consecutive samples of all channels, to be read once.
        promised: seconds that the file says it lasts; 0 if it says nothing.
        centre: the channel that films keep for speech, of more than two that the file names (5.1, 7.1); None if there is none.
    """

    rate: int
    may_exceed: bool
    blocks: Iterator[Float[np.ndarray, "_ c"]]
    promised: float = 0.0
    centre: int | None = None


def sound_blocks(file: Path, name: str, quiet: bool = False) -> SoundBlocks:
    """Open the sound of a file, starting when its picture starts if it has one.

    Args:
        file: a file that exists.
        name: what to call it in messages.
        quiet: do not warn of damage.

    Raises:
        PortraitError: ``E_AUDIO_READ`` or ``E_AUDIO_EMPTY`` (no sound track). Raised by the call, before iterating.
    """
    import av

    try:
        container = open_media(file)
        stream = container.streams.best("audio")
        if stream is None:
            raise PortraitError("E_AUDIO_EMPTY", f"{name!r} has no sound track", "Give a file with sound.")
        frames = decode(container, stream, name, quiet)
        first = next(frames, None)
    except (av.FFmpegError, ValueError) as error:
        return _by_libsndfile(file, name, getattr(error, "strerror", None) or str(error))
    if first is None:
        return SoundBlocks(16000, False, iter(()))
    parts = _interleaved(chain([first], frames), first, name)
    blocks = _closing(container, _merged(_aligned(parts, first.sample_rate, _lead(container, stream))))
    promised = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
    names = [channel.name for channel in first.layout.channels]
    centre = names.index("FC") if len(names) > 2 and "FC" in names else None
    return SoundBlocks(first.sample_rate, stream.codec_context.name.startswith("pcm_f"), blocks, promised, centre)


def _closing(container: "av.container.InputContainer", blocks: Iterator[Float[np.ndarray, "_ c"]]) -> Iterator[Float[np.ndarray, "_ c"]]:
    with container:
        yield from blocks


def _merged(parts: Iterator[Float[np.ndarray, "_ c"]]) -> Iterator[Float[np.ndarray, "_ c"]]:
    """Larger pieces: fewer steps for whoever works on them."""
    held: list[np.ndarray] = []
    for part in parts:
        held.append(part)
        if sum(map(len, held)) >= BLOCK:
            yield np.concatenate(held)
            held = []
    if held:
        yield np.concatenate(held)


def _interleaved(
    frames: Iterator["av.AudioFrame"], first: "av.AudioFrame", name: str
) -> Iterator[tuple[float | None, Float[np.ndarray, "_ c"]]]:
    """Time stamp (seconds) and samples of every frame in the channels and at the rate of the first.

    Channels stay interleaved until they are in an array, because PyAV reads eight and more planes from beyond the end of its own list.
    """
    import av

    resampler, kind = None, None
    for frame in frames:
        if kind != (frame.format.name, frame.layout.name, frame.sample_rate):
            kind = (frame.format.name, frame.layout.name, frame.sample_rate)
            resampler = av.AudioResampler(format="flt", layout=first.layout, rate=first.sample_rate)
        time = frame.time
        try:
            parts = resampler.resample(frame)
        except (av.FFmpegError, ValueError) as error:
            message = f"the {frame.layout.nb_channels} channels of {name!r} cannot be mixed"
            raise PortraitError("E_AUDIO_READ", message, "Convert it to mono or stereo.") from error
        for part in parts:
            yield time, part.to_ndarray().reshape(-1, first.layout.nb_channels)
            time = None


def _aligned(parts: Iterator[tuple[float | None, Float[np.ndarray, "_ c"]]], rate: int, lead: float) -> Iterator[Float[np.ndarray, "_ c"]]:
    """The samples behind ``lead`` seconds of silence (or without their first ``-lead`` seconds), gaps between time stamps filled."""
    drop, count, start, width = max(0, round(-lead * rate)), 0, None, None
    for time, samples in parts:
        if width is None:
            width = samples.shape[1]
            yield np.zeros((max(0, round(lead * rate)), width), np.float32)
        if time is not None:
            start = time if start is None else start
            gap = time - start - count / rate
            if GAP < gap < LONGEST_GAP:
                missing = round(gap * rate)
                yield np.zeros((missing, width), np.float32)
                count += missing
            elif abs(gap) >= GAP:
                start += gap  # the clock was set anew
        count += len(samples)
        cut = min(drop, len(samples))
        drop -= cut
        yield samples[cut:]


def _lead(container: "av.container.InputContainer", stream: "av.AudioStream") -> float:
    """Seconds by which the sound starts after the picture; negative when it starts before."""
    import av

    video = container.streams.best("video")
    if video is None or video.disposition & av.stream.Disposition.attached_pic:
        return 0.0
    if None in (stream.start_time, stream.time_base, video.start_time, video.time_base):
        return 0.0
    late = float(stream.start_time * stream.time_base - video.start_time * video.time_base)
    return late if 0.02 < abs(late) < LONGEST_GAP else 0.0


def _by_libsndfile(file: Path, name: str, reason: str) -> SoundBlocks:
    """Second try, for the few kinds that only libsndfile reads; not for MP3, about which it complains on standard error."""
    import soundfile

    refused = PortraitError("E_AUDIO_READ", f"{name!r} is not sound that can be decoded ({reason})", "Convert it to WAV or MP3.")
    if file.suffix.lower() in NATIVE_MP3:
        raise refused
    try:
        source = soundfile.SoundFile(str(file))
    except (soundfile.SoundFileError, RuntimeError, TypeError) as error:
        raise refused from error
    return SoundBlocks(source.samplerate, source.subtype in ("FLOAT", "DOUBLE"), _read_on(source), source.frames / source.samplerate)


def _read_on(source: Any) -> Iterator[Float[np.ndarray, "_ c"]]:
    with source:
        while len(block := source.read(BLOCK, dtype="float32", always_2d=True)):
            yield block
