"""What reading and writing any medium have in common: input checks and files that appear only when complete."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from core.errors import PortraitError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_input(path: str | Path, kind: str) -> Path:
    """Return ``path`` as a ``Path`` if it is a readable file with content.

    Args:
        path: the file to read.
        kind: ``"IMAGE"``, ``"AUDIO"`` or ``"VIDEO"``; becomes part of the error code.

    Raises:
        PortraitError: ``E_NOT_FOUND`` (absent or a folder), ``E_<kind>_READ`` (no permission) or ``E_<kind>_EMPTY`` (zero bytes).
    """
    noun = kind.lower()
    try:
        file, reason = Path(path).expanduser(), ""
        found = bool(str(path)) and file.exists()
    except (OSError, RuntimeError) as error:  # too long, behind a folder that may not be entered, of an unknown user
        found, reason = False, f" ({getattr(error, 'strerror', None) or error})"
    if not found:
        raise PortraitError("E_NOT_FOUND", f"there is no {noun} file {shortened(path)!r}{reason}", "Check the spelling of the path.")
    if not file.is_file():
        raise PortraitError("E_NOT_FOUND", f"{str(path)!r} is not a file", f"Give the {noun} file itself, not its folder.")
    if not os.access(file, os.R_OK):
        raise PortraitError(f"E_{kind}_READ", f"{str(path)!r} may not be read by this user", "Change the permissions of the file.")
    if file.stat().st_size == 0:
        raise PortraitError(f"E_{kind}_EMPTY", f"{str(path)!r} has zero bytes", "Download or record the file again.")
    return file


def shortened(path: str | Path, longest: int = 300) -> str:
    """``path`` for a message of one line."""
    text = str(path)
    return text if len(text) <= longest else f"{text[:longest]}..."


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; it takes the name ``path`` on success and is removed on any exception.

    Raises:
        PortraitError: ``E_WRITE`` when the folder cannot be made or written to, or the disk is full.
    """
    target = Path(path).expanduser()
    temporary = target.with_name(f".{target.stem[:40]}.{secrets.token_hex(4)}.part{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()  # finds out now, and not after minutes of work, whether it can be written
        yield temporary
        temporary.replace(target)
    except OSError as error:
        about = {str(name) for name in (target, temporary, *target.parents)}
        if error.errno not in FULL and str(error.filename) not in about:
            raise  # of some other file that the caller touches meanwhile
        remedy = "Choose a folder that exists and can be written to, with enough free space."
        raise PortraitError("E_WRITE", f"{str(path)!r} could not be written ({error.strerror or error})", remedy) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
