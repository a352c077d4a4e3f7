"""Video as a stream of upright RGB frames at a constant rate."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from core.errors import PortraitError
from core.media.decoding import decode, open_media
from core.media.files import check_input
from core.media.video_writer import VideoWriter

if TYPE_CHECKING:
    import av

__all__ = ["VideoInfo", "VideoWriter", "read_video", "video_info"]

log = logging.getLogger(__name__)

MAX_PIXELS = 100_000_000
"""Of a frame: more than any camera gives, fewer than fill the memory."""


@dataclass(frozen=True)
class VideoInfo:
    """What the header of a video says."""

    width: int
    """Pixels, upright and square."""
    height: int
    """Pixels, upright and square."""
    fps: float
    """Mean frames per second; 0 if unknown."""
    seconds: float
    """Length; 0 if unknown."""
    rotation: int
    """Degrees by which stored pixels are turned to be upright, one of 0, 90, 180, 270."""
    has_audio: bool
    """Whether there is a sound track."""


def video_info(path: str | Path) -> VideoInfo:
    """Describe a video; decodes one frame, because rotation travels with the frames.

    Raises:
        PortraitError: as `read_video`.
    """
    container, stream = _open(path)
    with container:
        frame = next(_decoded(container, stream, str(path)), None)
        if frame is None:
            raise _unreadable(str(path), "no frame decodes")
        width, height = _square(frame)
        if round(frame.rotation / 90) % 2:
            width, height = height, width
        length = stream.duration * stream.time_base if stream.duration and stream.time_base else (container.duration or 0) / 1_000_000
        rate = float(stream.average_rate or 0)
        return VideoInfo(width, height, rate, float(length), round(frame.rotation) % 360, bool(container.streams.audio))


def read_video(path: str | Path, fps: float | int = 25.0, max_side: int | None = 1920) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Yield upright RGB frames at a constant rate; frame ``k`` is the one shown nearest to the time ``k / fps``.

    Only two frames are in memory. A damaged file yields what decodes, with a warning.

    Args:
        path: anything FFmpeg reads, animated GIF included.
        fps: frames per second of the result, chosen by time stamps, so variable rates keep their timing.
        max_side: larger frames are shrunk to this length of the longer side (pixels).

    Raises:
        PortraitError: ``E_NOT_FOUND``, ``E_VIDEO_EMPTY`` (zero bytes) or ``E_VIDEO_READ`` (not a video, no picture, nothing decodes).
            Raised by the call, before iterating.
    """
    frames = _retimed(path, fps, max_side)
    return chain([next(frames)], frames)  # the first frame now: a bad file fails here and not in the middle of the caller's loop


def _retimed(path: str | Path, fps: float | int, max_side: int | None) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    container, stream = _open(path)
    with container:
        step = 1.0 / float(stream.average_rate or 25)
        start, time, count, held = None, 0.0, 0, None
        for frame in _decoded(container, stream, str(path)):
            stamp = frame.time if frame.time is not None else (time + step + (start or 0.0) if held is not None else 0.0)
            start = stamp if start is None else start
            now = max(stamp - start, time)
            while held is not None and count / fps < (time + now) / 2:
                yield held
                count += 1
            step = float(frame.duration * frame.time_base) if frame.duration and frame.time_base else step
            held, time = _upright(frame, max_side), now
        if held is None:
            raise _unreadable(str(path), "no frame decodes")
        promised = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
        if time + step < 0.9 * promised:
            log.warning("W_INCOMPLETE: %s should last %.1f s but only %.1f s decode; the file is incomplete.", path, promised, time + step)
        for _ in range(max(1, round((time + step) * fps)) - count):
            yield held


def _open(path: str | Path) -> tuple["av.container.InputContainer", "av.VideoStream"]:
    import av

    file = check_input(path, "VIDEO")
    try:
        container = open_media(file)
    except (av.FFmpegError, ValueError) as error:
        raise _unreadable(str(path), getattr(error, "strerror", None) or str(error)) from error
    stream = container.streams.best("video")
    if stream is None:
        container.close()
        raise _unreadable(str(path), "it has no picture track")
    if stream.width * stream.height > MAX_PIXELS:
        container.close()
        remedy = f"Shrink it below {MAX_PIXELS // 1_000_000} megapixels."
        raise PortraitError("E_VIDEO_TOO_LARGE", f"{str(path)!r} has frames of {stream.width} x {stream.height} pixels", remedy)
    stream.thread_type = "AUTO"
    return container, stream


def _decoded(container: "av.container.InputContainer", stream: "av.VideoStream", name: str) -> Iterator["av.VideoFrame"]:
    import av

    try:
        yield from decode(container, stream, name)
    except av.FFmpegError as error:
        raise _unreadable(name, error.strerror or str(error)) from error


def _square(frame: "av.VideoFrame") -> tuple[int, int]:
    """Width and height in square pixels, before any turning."""
    return max(1, round(frame.width * float(getattr(frame, "sample_aspect_ratio", None) or 1))), frame.height


def _upright(frame: "av.VideoFrame", max_side: int | None) -> UInt8[np.ndarray, "h w 3"]:
    """RGB pixels: square, turned by the display matrix, at most ``max_side`` long."""
    width, height = _square(frame)
    shrink = min(1.0, max_side / max(width, height)) if max_side else 1.0
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    pixels = frame.to_ndarray(format="rgb24", width=size[0], height=size[1])
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90) % 4))


def _unreadable(name: str, reason: str) -> PortraitError:
    return PortraitError("E_VIDEO_READ", f"{name!r} is not a video that can be decoded ({reason})", "Convert it to MP4 (H.264).")
