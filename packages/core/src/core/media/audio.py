"""Sound of every common kind, also the track of a video, to mono float32, and back."""

import logging
import wave
from math import gcd
from pathlib import Path

import numpy as np
from jaxtyping import Float

from core.errors import PortraitError
from core.media.files import atomic_path, check_input

log = logging.getLogger(__name__)

SHORTEST = 0.04
"""Seconds of one video frame at 25 frames per second; less sound than this cannot move a face."""


def read_audio(path: str | Path, rate: int = 16000, max_seconds: float | int = 3600.0) -> Float[np.ndarray, " n"]:
    """Read sound as mono in [-1, 1], starting when the file's picture starts if it has one.

    Channels are averaged, samples that are not finite become zero, and sound over full scale is scaled down to it.

    Args:
        path: any file with a sound track.
        rate: samples per second of the result.
        max_seconds: longer sound is refused.

    Raises:
        PortraitError: ``E_NOT_FOUND``, ``E_AUDIO_READ``, ``E_AUDIO_EMPTY`` (zero bytes, samples or tracks), ``E_AUDIO_SHORT`` or
            ``E_AUDIO_LONG``.
    """
    file = check_input(path, "AUDIO")
    samples, original = _decode(file, str(path), max_seconds)
    if samples.size == 0:
        raise PortraitError("E_AUDIO_EMPTY", f"{str(path)!r} holds no samples", "Record or export the sound again.")
    if samples.size < SHORTEST * original:
        message = f"{str(path)!r} lasts {1000 * samples.size / original:.0f} ms"
        raise PortraitError("E_AUDIO_SHORT", message, f"Give at least {1000 * SHORTEST:.0f} ms of sound.")
    return _in_range(resample(_finite(samples, str(path)), original, rate), str(path))


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


def resample(samples: Float[np.ndarray, " n"], source: int, target: int) -> Float[np.ndarray, " m"]:
    """Change the sampling rate with a polyphase anti-aliasing filter; ``m = ceil(n * target / source)``."""
    from scipy.signal import resample_poly

    if source == target:
        return samples
    divisor = gcd(source, target)
    return resample_poly(samples, target // divisor, source // divisor).astype(np.float32)


def _finite(samples: Float[np.ndarray, " n"], name: str) -> Float[np.ndarray, " n"]:
    broken = ~np.isfinite(samples)
    if broken.any():
        log.warning("%s: %d samples are not finite and were set to zero.", name, int(broken.sum()))
        samples = np.where(broken, np.float32(0), samples)
    return samples


def _in_range(samples: Float[np.ndarray, " n"], name: str) -> Float[np.ndarray, " n"]:
    peak = float(np.abs(samples).max())
    if peak > 1.05:  # less is the ripple of lossy codecs and resampling
        log.warning("%s goes %.1f times over full scale; it was made quieter.", name, peak)
        return (samples / peak).astype(np.float32)
    return np.clip(samples, -1.0, 1.0)


def _decode(file: Path, name: str, max_seconds: float | int) -> tuple[Float[np.ndarray, " n"], int]:
    """Samples averaged over channels at the file's own rate, and that rate."""
    import av

    try:
        with av.open(str(file), metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise PortraitError("E_AUDIO_EMPTY", f"{name!r} has no sound track", "Give a file with sound.")
            stream = container.streams.audio[0]
            blocks = _blocks(container, stream, name, max_seconds * (stream.rate or 48000))
            rate = int(stream.rate or 0)
            lead = _lead(container, stream)
    except (av.FFmpegError, ValueError) as error:
        return _decode_soundfile(file, name, max_seconds, str(error))
    if not blocks or rate <= 0:
        return np.zeros(0, np.float32), 16000
    return np.concatenate([np.zeros(int(lead * rate), np.float32), *blocks]), rate


def _blocks(container: "av.container.InputContainer", stream: "av.AudioStream", name: str, limit: float | int) -> list[np.ndarray]:
    import av

    resampler = av.AudioResampler(format="fltp", rate=stream.rate) if stream.rate else None
    blocks: list[np.ndarray] = []
    total = 0
    try:
        for frame in container.decode(stream):
            for part in resampler.resample(frame) if resampler else [frame]:
                blocks.append(part.to_ndarray().astype(np.float32).mean(axis=0))
                total += blocks[-1].size
            if total > limit:
                raise _too_long(name, limit / max(stream.rate or 1, 1))
    except av.FFmpegError as error:
        if not blocks:
            raise
        log.warning("%s is damaged after %.1f s (%s); the sound before is used.", name, total / max(stream.rate or 1, 1), error)
    return blocks


def _lead(container: "av.container.InputContainer", stream: "av.AudioStream") -> float:
    """Seconds by which the sound starts after the picture."""
    if not container.streams.video or stream.start_time is None or stream.time_base is None:
        return 0.0
    video = container.streams.video[0]
    if video.start_time is None or video.time_base is None:
        return 0.0
    late = float(stream.start_time * stream.time_base - video.start_time * video.time_base)
    return late if 0.02 < late < 60.0 else 0.0


def _decode_soundfile(file: Path, name: str, max_seconds: float, reason: str) -> tuple[Float[np.ndarray, " n"], int]:
    """Second try, for the few kinds that only libsndfile reads."""
    import soundfile

    try:
        with soundfile.SoundFile(str(file)) as source:
            if source.frames > max_seconds * source.samplerate:
                raise _too_long(name, max_seconds)
            return source.read(dtype="float32", always_2d=True).mean(axis=1), source.samplerate
    except (soundfile.SoundFileError, RuntimeError, TypeError) as error:
        message = f"{name!r} is not sound that can be decoded ({reason})"
        raise PortraitError("E_AUDIO_READ", message, "Convert it to WAV or MP3.") from error


def _too_long(name: str, seconds: float | int) -> PortraitError:
    return PortraitError("E_AUDIO_LONG", f"{name!r} is longer than {seconds:.0f} s", "Cut it into parts.")
