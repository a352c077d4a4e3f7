"""What the face does, frame by frame at 25 fps: expression codes from speech or from a video."""

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from audio2motion import Audio2Motion, AudioEncoder
from core.errors import PortraitError
from core.face.coeffs import FaceCoeffs
from core.face.fitting import fit_video
from core.face.model import FaceModel
from core.media.sound import Sound, open_sound
from core.media.video import read_video, video_info
from core.perception.crop import crop_window
from core.perception.landmarks import face_from_pixels
from core.perception.tracking import track
from jaxtyping import Float
from torch import Tensor

from portrait.blink import blink_units
from portrait.listening import FPS, motion_from_sound
from portrait.stream import Progress, silently
from portrait.watched_gaze import iris_offset

log = logging.getLogger(__name__)

LONGEST = 4 * 3600
"""Seconds of speech that are accepted: what is planned for every frame stays in memory."""

CHUNK = 250
"""Frames of a driving video that are fitted together: bounds memory."""

OVERLAP = 10
"""Frames that neighbouring chunks share, so that their seam is smooth."""

ReadVideo = Callable[[str | Path], FaceCoeffs]
"""Gives the fitted face of every frame of a video, as ``VideoReader`` does."""


@dataclass(frozen=True)
class Driver:
    """What is seen of a person in a video.

    Attributes:
        coeffs: the fitted face of every frame.
        irises: where the irises are (``portrait.watched_gaze.iris_offset``); NaN where that is not known.
    """

    coeffs: FaceCoeffs
    irises: Float[np.ndarray, " t"]


@dataclass(frozen=True)
class Driving:
    """Expression per frame, and what else the driver brings along.

    Attributes:
        exp: expression codes.
        sound: for the sound track; read from its file while the video is written.
        euler: the driver's own head pose in radians; None for audio.
        trans: the driver's own position in 3DMM units; None for audio.
    """

    exp: Float[Tensor, "t 64"]
    sound: Sound | None = None
    euler: Float[Tensor, "t 3"] | None = None
    trans: Float[Tensor, "t 3"] | None = None


def drive_from_audio(
    path: str | Path, model: Audio2Motion, mouth_amplitude: float | None = None, seed: int = 0, encoder: AudioEncoder | None = None,
    model_blinks: bool = False,
) -> Driving:  # fmt: skip
    """Speech to expression codes; silent sound gives a resting face and the warning ``W_SILENT``.

    Args:
        path: any file with a sound track.
        model: stage 4.
        mouth_amplitude: how far the mouth opens; None is what the weights were made with.
        seed: of the model's noise.
        encoder: of the audio features, to load it once for many clips.
        model_blinks: let stage 4 shut the eyes, at the times of ``natural_blinks``.

    Raises:
        PortraitError: as ``open_sound``; sound of more than ``LONGEST`` seconds is refused.
    """
    sound = open_sound(path, LONGEST)
    blink = blink_units(math.ceil(sound.seconds * FPS), seed) if model_blinks else None
    return Driving(motion_from_sound(sound, model, mouth_amplitude, seed, encoder, blink), sound)


def fit_driver(path: str | Path, face: FaceModel, progress: Progress = silently) -> Driver:
    """Track and fit the face of a video, streaming: frames are dropped as soon as their landmarks are known.

    One identity, found on the first chunk, serves the whole clip. Frames without a face repeat their neighbours and are counted in the
    warning ``W_FACE_LOST``.

    Args:
        path: the video.
        face: the 3DMM.
        progress: shows how far reading is.

    Raises:
        PortraitError: as ``read_video``; ``E_NO_FACE`` when no frame shows a face.
    """
    info = video_info(path)
    frames = progress(read_video(path, FPS), "track driver", round(info.seconds * FPS))
    tracks = _squared(track(frames, FPS), info.height, info.width)
    identity, parts, lost, total, irises = None, [], 0, 0, []
    for landmarks, fresh in _overlapping(tracks, irises):
        total += fresh
        if not np.isfinite(landmarks).all((1, 2)).any():
            lost += fresh
            parts.append((None, fresh))
            continue
        fit = fit_video(face, landmarks, identity)
        identity = fit.coeffs.id[:1] if identity is None else identity
        lost += int((~np.isfinite(landmarks[-fresh:]).all((1, 2))).sum())
        parts.append((fit.coeffs, fresh))
    if identity is None:
        raise PortraitError("E_NO_FACE", f"no face found in {path}", "Use a video that shows one clearly visible, upright human face.")
    if lost:
        log.warning("W_FACE_LOST: %d of %d frames of %s show no face; the face is held there", lost, total, path)
    return Driver(_joined(parts), np.array(irises))


def _squared(tracks: Iterator[np.ndarray], height: int, width: int) -> Iterator[np.ndarray]:
    """Points of whole frames, seen through one square window for the whole clip: the crop that a photograph like the first frame gets."""
    size = np.array([width, height, width], np.float32)
    corner, side = np.zeros(3, np.float32), 1
    for points in tracks:
        if side == 1 and np.isfinite(points).all():
            left, top, side = crop_window(height, width, face_from_pixels(points * size, height, width))
            corner = np.array([left, top, 0], np.float32)
        yield (points * size - corner) / np.float32(side)


def _overlapping(tracks: Iterator[np.ndarray], irises: list[float]) -> Iterator[tuple[np.ndarray, int]]:
    """Chunks of ``CHUNK`` new frames behind ``OVERLAP`` old ones, and the number of new ones; where their irises are is added to a list."""
    tail: list[np.ndarray] = []
    while fresh := list(islice(tracks, CHUNK)):
        irises += [iris_offset(points) for points in fresh]
        yield np.stack(tail + fresh)[:, :468].astype(np.float32), len(fresh)
        tail = (tail + fresh)[-OVERLAP:]


def _joined(parts: list[tuple[FaceCoeffs | None, int]]) -> FaceCoeffs:
    """Chunks one after the other, cut in the middle of what they share; chunks without any face hold the nearest one before (or after)."""
    done = next(coeffs for coeffs, _ in parts if coeffs is not None)[:0]
    for number, (coeffs, fresh) in enumerate(parts):
        if coeffs is None:
            nearest = done[-1:] if len(done) else next(later for later, _ in parts[number:] if later is not None)[:1]
            done = FaceCoeffs.cat([done, nearest[torch.zeros(fresh, dtype=torch.long)]])
        else:
            half = (len(coeffs) - fresh) // 2
            done = FaceCoeffs.cat([done[: len(done) - half], coeffs[len(coeffs) - fresh - half :]])
    return done


def drive_from_video(
    path: str | Path, face: FaceModel, source: FaceCoeffs, expression: Literal["absolute", "relative"] = "absolute",
    progress: Progress = silently, read: ReadVideo | None = None,
) -> Driving:  # fmt: skip
    """A talking person's expression, pose and sound.

    Args:
        path: the video.
        face: the 3DMM.
        source: the fitted photograph.
        expression: ``absolute`` takes the driver's codes as they are; ``relative`` adds their difference from the driver's median
            face to the photograph's expression, which keeps a smile or raised brows of the photograph.
        progress: shows how far reading is.
        read: what reads the video, when it may have been read before (`VideoReader`); None reads it.

    Raises:
        PortraitError: as ``fit_driver``.
    """
    coeffs = (read or VideoReader(face, progress))(path)
    exp = coeffs.exp
    if expression == "relative":
        exp = source.exp + exp - exp.median(0, keepdim=True).values
    return Driving(exp, _sound_track(path), coeffs.euler, coeffs.trans)


def _sound_track(path: str | Path) -> Sound | None:
    """The sound of a video; one that cannot be used is left out with a warning, for the picture is what drives."""
    if not video_info(path).has_audio:
        return None
    try:
        return open_sound(path, float("inf"))
    except PortraitError as error:
        log.warning("W_NO_SOUND: the video will be silent (%s).", error)
        return None


class VideoReader:
    """Reads no file twice: one video may drive pose, blinks, brows and gaze."""

    def __init__(self, face: FaceModel, progress: Progress = silently) -> None:
        """Arguments of ``fit_driver``."""
        self.face, self.progress = face, progress
        self._read: dict[Path, Driver] = {}

    def driver(self, path: str | Path) -> Driver:
        """All that is seen; raises as ``fit_driver``."""
        file = Path(path).expanduser()
        if file not in self._read:
            self._read[file] = fit_driver(path, self.face, self.progress)
        return self._read[file]

    def __call__(self, path: str | Path) -> FaceCoeffs:
        """The fitted face of every frame."""
        return self.driver(path).coeffs
