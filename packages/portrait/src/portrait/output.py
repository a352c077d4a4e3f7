"""Where the results go: checked before the work starts."""

import os
import tempfile
from pathlib import Path

from core.errors import PortraitError
from core.media.files import shortened

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
    given = path
    try:
        path = Path(given).expanduser()
        _check(path, suffixes, create)
        used = path.exists() and any(_same(name, path) for name in inputs if name)
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PortraitError("E_OUT", f"cannot write {shortened(given)!r}: {reason}", "Choose another name or place.") from error
    if used:
        raise PortraitError("E_OUT", f"{path} is also an input", "Choose another name for the output.")
    return path


def _check(path: Path, suffixes: tuple[str, ...], create: bool) -> None:
    if "\0" in str(path):
        raise ValueError("a null byte in the name")
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
    with tempfile.TemporaryFile(dir=path.parent):  # some folders look writable and are not
        pass


def _same(name: str | Path, path: Path) -> bool:
    try:
        return os.path.samefile(Path(name).expanduser(), path)
    except (OSError, ValueError, RuntimeError):  # not a file: a colour, a word, or a name that will be complained about later
        return False


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PortraitError("E_OUT", f"cannot make the folder {folder}: {error.strerror}", "Choose another place.") from error
