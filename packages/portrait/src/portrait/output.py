"""Where the results go: checked before the work starts."""

import os
from pathlib import Path

from core.errors import PortraitError

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def check_output(path: str | Path, suffixes: tuple[str, ...], inputs: tuple[str | Path | None, ...] = (), create: bool = False) -> Path:
    """Find out now, not after minutes of rendering, that ``path`` cannot be written. An existing file will be replaced.

    Args:
        path: file to write.
        suffixes: accepted endings, lower case.
        inputs: files that are read and must not be replaced.
        create: make the folder if there is none.

    Raises:
        PortraitError: ``E_OUT``.
    """
    path = Path(path).expanduser()
    if path.suffix.lower() not in suffixes:
        raise PortraitError("E_OUT", f"cannot write {path}: the name must end in {' or '.join(suffixes)}", "Give such a name.")
    if create:
        _make_folder(path.parent)
    if not path.parent.is_dir():
        raise PortraitError("E_OUT", f"cannot write {path}: no folder {path.parent}", "Create the folder first, or choose another.")
    if path.is_dir():
        raise PortraitError("E_OUT", f"cannot write {path}: it is a folder", "Give the name of a file.")
    if not os.access(path.parent, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise PortraitError("E_OUT", f"cannot write {path}: permission denied", "Choose a place that you may write to.")
    if path.exists() and any(given and Path(given).exists() and os.path.samefile(given, path) for given in inputs):
        raise PortraitError("E_OUT", f"{path} is also an input", "Choose another name for the output.")
    return path


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PortraitError("E_OUT", f"cannot make the folder {folder}: {error.strerror}", "Choose another place.") from error
