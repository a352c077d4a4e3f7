"""H.264 video with AAC sound, written frame by frame."""

from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8

from core.errors import PortraitError
from core.media.files import atomic_path
from core.media.resampling import resample
from core.media.sound import Sound

if TYPE_CHECKING:
    import av

AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
SOUND_RATE = 48000
"""Of the sound track when the sound comes from a file."""
AAC_FRAME = 1024
"""Samples that are encoded together."""
BT709 = 1  # the number of ITU-R BT.709 in H.264's colour fields


class VideoWriter:
    """Context manager that encodes frames as they come; the file appears under its name only when it is complete.

    H.264 4:2:0 in BT.709, index at the front (plays while it loads). Sound is cut where the picture ends, and starts with it.
    An exception inside the ``with`` block leaves no file behind.

    Example:
        >>> with VideoWriter("out.mp4", size=(512, 512), audio=(samples, 16000)) as video:
        ...     video.write(frame)
    """

    def __init__(
        self,
        path: str | Path,
        size: tuple[int, int] | int,
        fps: float | int = 25.0,
        audio: Sound | tuple[Float[np.ndarray, " n"], int] | None = None,
        crf: int = 18,
        preset: str = "veryfast",
    ) -> None:
        """Check the arguments; the file is opened by ``with``.

        Args:
            path: output, ending in .mp4, .m4v, .mov or .mkv.
            size: (height, width) or the side of a square, in pixels; an odd side is padded by one line.
            fps: frames per second.
            audio: the sound of a file, which is read while the video is written, or mono samples in [-1, 1] and their rate.
            crf: quality, 0 (lossless) to 51; 18 looks like the input.
            preset: x264's speed against size.

        Raises:
            PortraitError: ``E_FORMAT`` for another ending.
        """
        self.path = Path(path)
        self.height, self.width = (size, size) if isinstance(size, int) else size
        self.fps = Fraction(fps).limit_denominator(1001)
        self.audio = audio
        self.options = {"crf": str(crf), "preset": preset}
        self.frames = 0
        if self.path.suffix.lower() not in (".mp4", ".m4v", ".mov", ".mkv"):
            raise PortraitError("E_FORMAT", f"cannot write a video named {str(path)!r}", "End the name with .mp4, .mov or .mkv.")

    def __enter__(self) -> "VideoWriter":
        import av

        self._stack = ExitStack()
        try:
            temporary = self._stack.enter_context(atomic_path(self.path))
            options = {} if self.path.suffix.lower() == ".mkv" else {"movflags": "+faststart"}
            self._container = self._stack.enter_context(av.open(str(temporary.absolute()), "w", options=options))
            self._video = self._add_video()
            self._sound = self._add_sound()
        except BaseException as error:
            self._stack.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None:
            self._stack.__exit__(kind, error, trace)
            return
        try:
            if self.frames == 0:
                raise PortraitError("E_VIDEO_EMPTY", f"no frame was written to {str(self.path)!r}", "Give at least one frame.")
            self._write_sound(float(self.frames / self.fps), last=True)
            self._container.mux(self._video.encode(None))
        except BaseException as failure:
            self._stack.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._stack.close()

    def write(self, frame: UInt8[np.ndarray, "h w 3"]) -> None:
        """Encode one RGB frame of the promised size.

        Raises:
            ValueError: the frame has another size.
        """
        import av
        from av.video.reformatter import ColorRange, Colorspace

        if frame.shape[:2] != (self.height, self.width):
            raise ValueError(f"VideoWriter(size={(self.height, self.width)}) got a frame of {frame.shape[:2]}")
        if self.height % 2 or self.width % 2:  # 4:2:0 shares colour among two by two pixels
            frame = np.pad(frame, ((0, self.height % 2), (0, self.width % 2), (0, 0)), mode="edge")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture = picture.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
        picture.pts, picture.time_base = self.frames, 1 / self.fps
        self._container.mux(self._video.encode(picture))
        self.frames += 1
        self._write_sound(float(self.frames / self.fps))

    def _add_video(self) -> "av.VideoStream":
        stream = self._container.add_stream("libx264", rate=self.fps, options=self.options)
        stream.width, stream.height = self.width + self.width % 2, self.height + self.height % 2
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc = BT709, BT709, BT709
        context.color_range = 1  # limited ("MPEG")
        return stream

    def _add_sound(self) -> "av.AudioStream | None":
        if self.audio is None:
            return None
        self._blocks, self._rate = _mono_blocks(self.audio)
        self._pending, self._sent = np.zeros(0, np.float32), 0
        return self._container.add_stream("aac", rate=self._rate, layout="mono", options={"b": "128k"})

    def _write_sound(self, until: float, last: bool = False) -> None:
        """Encode the sound before the time ``until`` (seconds) in blocks of one AAC frame, so that both tracks grow together."""
        import av

        if self._sound is None:
            return
        end = round(until * self._rate)
        while (wanted := min(AAC_FRAME, end - self._sent)) == AAC_FRAME or (last and wanted > 0):
            block = self._next_samples(wanted)
            if not block.size:
                break
            frame = av.AudioFrame.from_ndarray(np.clip(block, -1, 1)[None], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = self._rate, self._sent, Fraction(1, self._rate)
            self._container.mux(self._sound.encode(frame))
            self._sent += block.size
        if last:
            self._container.mux(self._sound.encode(None))

    def _next_samples(self, count: int) -> Float[np.ndarray, " n"]:
        """``count`` samples; fewer where the sound ends."""
        while self._pending.size < count and (block := next(self._blocks, None)) is not None:
            self._pending = np.concatenate([self._pending, block])
        taken, self._pending = self._pending[:count], self._pending[count:]
        return taken


def _mono_blocks(audio: Sound | tuple[Float[np.ndarray, " n"], int]) -> tuple[Iterator[Float[np.ndarray, " _"]], int]:
    """The samples at a rate that AAC knows, and that rate."""
    if isinstance(audio, Sound):
        return audio.blocks(SOUND_RATE), SOUND_RATE
    samples, rate = audio
    if rate not in AAC_RATES:
        samples, rate = resample(samples, rate, 44100), 44100
    return iter([samples.astype(np.float32, copy=False)]), rate
