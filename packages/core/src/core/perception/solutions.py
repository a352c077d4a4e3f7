"""MediaPipe's bundled networks: made once a process, one call at a time, without their chatter on standard error."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import UInt8

from core.errors import PortraitError

lock = threading.RLock()
"""Held round every call of native code."""
CHATTY_CALLS = 3
"""MediaPipe's native code prints warnings of no use while a graph starts and when it first finds something."""


class Solution:
    """One MediaPipe legacy solution; `run` may be called from any thread."""

    def __init__(self, module: str, name: str, **options: Any) -> None:
        """Build ``mediapipe.python.solutions.<module>.<name>(**options)``.

        Raises:
            PortraitError: ``E_NO_MEDIAPIPE`` when MediaPipe is not installed.
        """
        with lock, quiet(), pyplot_when_used():
            try:
                found = import_module(f"mediapipe.python.solutions.{module}")
            except ImportError as error:
                remedy = "Install it with: pip install 'real3d-core[face]'."
                raise PortraitError("E_NO_MEDIAPIPE", f"MediaPipe cannot be imported ({error})", remedy) from error
            self._solution = getattr(found, name)(**options)
            self._warm_up()
        self._calls = 0

    def run(self, image: UInt8[np.ndarray, "h w 3"]) -> Any:
        """MediaPipe's result for one RGB image."""
        image = np.ascontiguousarray(image)
        with lock:
            if self._calls >= CHATTY_CALLS:
                return self._solution.process(image)
            self._calls += 1
            with quiet():
                return self._solution.process(image)

    def reset(self) -> None:
        """Forget what was followed through earlier images."""
        with lock, quiet():
            self._solution.reset()
            self._warm_up()
        self._calls = 0

    def close(self) -> None:
        """Give the memory of the graph back, which Python does not do by itself: about 30 MB."""
        with lock, quiet():
            self._solution.close()

    def _warm_up(self) -> None:
        """Return when all threads of the graph have started and said what they have to say."""
        self._solution.process(np.zeros((64, 64, 3), np.uint8))


def face_mesh() -> Solution:
    """478 points of up to five faces in a single image."""
    return _face_mesh(os.getpid())


def face_detection(full_range: bool) -> Solution:
    """Boxes of near faces (within about 2 m of a camera), or of smaller ones."""
    return _face_detection(os.getpid(), full_range)


def selfie_segmentation() -> Solution:
    """Probability of a person for every pixel, computed at 256 x 256."""
    return _selfie_segmentation(os.getpid())


def tracking_face_mesh() -> Solution:
    """A new face mesh that follows one face through consecutive images."""
    return Solution("face_mesh", "FaceMesh", static_image_mode=False, max_num_faces=1, refine_landmarks=True, min_tracking_confidence=0.5)


@cache  # by process, because MediaPipe's threads do not survive a fork
def _face_mesh(process: int) -> Solution:
    return Solution("face_mesh", "FaceMesh", static_image_mode=True, max_num_faces=5, refine_landmarks=True)


@cache
def _face_detection(process: int, full_range: bool) -> Solution:
    return Solution("face_detection", "FaceDetection", model_selection=int(full_range), min_detection_confidence=0.5)


@cache
def _selfie_segmentation(process: int) -> Solution:
    return Solution("selfie_segmentation", "SelfieSegmentation", model_selection=0)


@contextmanager
def pyplot_when_used() -> Iterator[None]:
    """Modules that import ``matplotlib.pyplot`` meanwhile load it only when they use it.

    MediaPipe imports it for pictures that it can draw, which took an eighth of the time until a first frame.
    """
    if "matplotlib" in sys.modules:
        yield
        return
    package, pyplot = ModuleType("matplotlib"), ModuleType("matplotlib.pyplot")
    package.pyplot = pyplot
    pyplot.__getattr__ = lambda name: getattr(import_module("matplotlib.pyplot"), name)
    stand_ins = {module.__name__: module for module in (package, pyplot)}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, module in stand_ins.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


@contextmanager
def quiet() -> Iterator[None]:
    """Send the file descriptor of standard error, where native code writes, to nowhere."""
    sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # no standard error to protect
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
