"""MediaPipe Tasks models that the user brings: multi-class selfie segmentation and the face landmarker."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from core.errors import PortraitError
from core.perception import solutions

CLASSES = 6
MAX_FACES = 5
FRAME_MS = 40
"""Time between two frames as told to MediaPipe, which only wants it to grow."""


class MulticlassSegmenter:
    """``selfie_multiclass_256x256.tflite``: background, hair, body skin, face skin, clothes, other."""

    def __init__(self, path: Path) -> None:
        """Load the model.

        Raises:
            PortraitError: ``E_NO_MEDIAPIPE`` or ``E_BAD_MODEL``.
        """
        self.path = path
        self._task = _made(path, lambda vision, base: vision.ImageSegmenter.create_from_options(vision.ImageSegmenterOptions(base)))

    def classes(self, image: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "6 h w"]:
        """Probability of every class at every pixel, in the order of `core.perception.parts.Part`.

        Raises:
            PortraitError: ``E_BAD_MODEL`` when the model knows another number of classes.
        """
        with solutions.lock, solutions.quiet():
            masks = self._task.segment(_wrapped(image)).confidence_masks
        if len(masks) != CLASSES:
            raise _bad_model(self.path, f"it has {len(masks)} class(es) instead of {CLASSES}")
        # copied, because the memory belongs to MediaPipe's result
        return np.stack([mask.numpy_view().reshape(image.shape[:2]) for mask in masks]).astype(np.float32)


class FaceLandmarker:
    """``face_landmarker.task`` on single images."""

    def __init__(self, path: Path) -> None:
        """Load the model.

        Raises:
            PortraitError: ``E_NO_MEDIAPIPE`` or ``E_BAD_MODEL``.
        """
        self._task = _made(path, lambda vision, base: _landmarker(vision, base, num_faces=MAX_FACES))

    def meshes(self, image: UInt8[np.ndarray, "h w 3"]) -> list[Float[np.ndarray, "478 3"]]:
        """Faces, normalised by the image as in `core.perception.landmarks.Face`."""
        with solutions.lock, solutions.quiet():
            return [_points(face) for face in self._task.detect(_wrapped(image)).face_landmarks]


class FollowingFaceLandmarker:
    """``face_landmarker.task`` on consecutive images of one face."""

    def __init__(self, path: Path) -> None:
        """Load the model.

        Raises:
            PortraitError: ``E_NO_MEDIAPIPE`` or ``E_BAD_MODEL``.
        """
        self._path = path
        self._start()

    def reset(self) -> None:
        """Forget what was followed through earlier images."""
        self.close()
        self._start()

    def close(self) -> None:
        """Give the memory of the graph back."""
        with solutions.lock, solutions.quiet():
            self._task.close()

    def _start(self) -> None:
        self._task = _made(self._path, lambda vision, base: _landmarker(vision, base, running_mode=vision.RunningMode.VIDEO))
        self._frames = 0

    def next_mesh(self, image: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "478 3"] | None:
        """The face, normalised by the image, or None."""
        self._frames += 1
        with solutions.lock, solutions.quiet():
            found = self._task.detect_for_video(_wrapped(image), FRAME_MS * self._frames).face_landmarks
        return _points(found[0]) if found else None


def multiclass_segmenter(path: Path) -> MulticlassSegmenter:
    """The segmenter of this process for one file."""
    return _multiclass_segmenter(os.getpid(), path)


def face_landmarker(path: Path) -> FaceLandmarker:
    """The landmarker of this process for one file."""
    return _face_landmarker(os.getpid(), path)


@cache  # by process, because MediaPipe's threads do not survive a fork
def _multiclass_segmenter(process: int, path: Path) -> MulticlassSegmenter:
    return MulticlassSegmenter(path)


@cache
def _face_landmarker(process: int, path: Path) -> FaceLandmarker:
    return FaceLandmarker(path)


def _made(path: Path, make: Callable[[Any, Any], Any]) -> Any:
    """Call ``make(vision, base_options)``; the model is handed over as bytes, since MediaPipe cannot open every path."""
    with solutions.lock, solutions.quiet():
        try:
            from mediapipe.tasks.python import vision
            from mediapipe.tasks.python.core.base_options import BaseOptions
        except ImportError as error:
            remedy = "Install it with: pip install 'real3d-core[face]'."
            raise PortraitError("E_NO_MEDIAPIPE", f"MediaPipe cannot be imported ({error})", remedy) from error
        try:
            return make(vision, BaseOptions(model_asset_buffer=path.read_bytes()))
        except (RuntimeError, ValueError, OSError) as error:
            raise _bad_model(path, str(error).splitlines()[0][:120]) from error


def _landmarker(vision: Any, base: Any, **options: Any) -> Any:
    return vision.FaceLandmarker.create_from_options(vision.FaceLandmarkerOptions(base, **options))


def _wrapped(image: UInt8[np.ndarray, "h w 3"]) -> Any:
    import mediapipe

    return mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image))


def _points(face: Any) -> Float[np.ndarray, "478 3"]:
    return np.array([(point.x, point.y, point.z) for point in face], np.float32)


def _bad_model(path: Path, reason: str) -> PortraitError:
    remedy = f"Fetch {path.name} again from MediaPipe's model page, or remove the file to use the bundled networks."
    return PortraitError("E_BAD_MODEL", f"the model {str(path)!r} cannot be used: {reason}", remedy)
