"""Parts of a portrait: head (hair, face) against torso (neck, clothes) against background."""

import numpy as np
from jaxtyping import Float, UInt8

from core.perception import tasks
from core.perception.class_parser import ClassParser
from core.perception.mesh_parser import MeshParser
from core.perception.parts import Parser, Parsing, Part
from core.perception.task_files import MULTICLASS, task_file

__all__ = ["Parser", "Parsing", "Part", "default_parser", "parse"]


def parse(image: UInt8[np.ndarray, "h w 3"], landmarks: Float[np.ndarray, "478 d"], parser: Parser | None = None) -> Parsing:
    """Divide a portrait into head, torso and background.

    Args:
        image: RGB, head and shoulders.
        landmarks: of the face, x and y normalised by width and height.
        parser: who does it; without one, `default_parser`.

    Raises:
        PortraitError: ``E_NO_MEDIAPIPE``; with a model of the user's also ``E_BAD_MODEL`` and ``E_NO_FOLDER``.
    """
    return (parser or default_parser()).parse(image, landmarks)


def default_parser() -> Parser:
    """The user's multi-class model when its file is there (`core.perception.task_files`), else what MediaPipe bundles."""
    path = task_file(MULTICLASS)
    return MeshParser() if path is None else ClassParser(tasks.multiclass_segmenter(path))
