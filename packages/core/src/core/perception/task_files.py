"""Where the user keeps the optional models of MediaPipe Tasks; nothing is ever downloaded."""

import os
from pathlib import Path

from core.errors import PortraitError

VARIABLE = "REAL3D_MEDIAPIPE"
"""Environment variable: the folder with the models. A folder without them switches the bundled networks on again."""
MULTICLASS = "selfie_multiclass_256x256.tflite"
LANDMARKER = "face_landmarker.task"


def task_folder() -> Path:
    """The folder named by ``REAL3D_MEDIAPIPE``, else ``real3d/mediapipe`` in the user's cache.

    Raises:
        PortraitError: ``E_NO_FOLDER`` when the variable names something that is not a folder.
    """
    named = os.environ.get(VARIABLE)
    if not named:
        cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        return Path(cache).expanduser() / "real3d" / "mediapipe"
    folder = Path(named).expanduser()
    if not folder.is_dir():
        remedy = f"Name the folder that holds {MULTICLASS} or {LANDMARKER}, or unset the variable."
        raise PortraitError("E_NO_FOLDER", f"{VARIABLE} names {named!r}, which is not a folder", remedy)
    return folder


def task_file(name: str) -> Path | None:
    """The model called ``name``, or None when the user has not put it there."""
    path = task_folder() / name
    return path if path.is_file() else None
