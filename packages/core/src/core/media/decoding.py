"""Media files opened and decoded with FFmpeg, past whatever is damaged in them."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import av

log = logging.getLogger(__name__)


def open_media(file: Path) -> "av.container.InputContainer":
    """Open a file that exists; its path is made absolute, because FFmpeg takes what precedes a colon for a protocol.

    Raises:
        av.FFmpegError: it is no medium.
        ValueError: its name cannot be given to FFmpeg.
    """
    import av

    return av.open(str(file.absolute()), metadata_errors="ignore")


def decode(container: "av.container.InputContainer", stream: Any, name: str, quiet: bool = False) -> Iterator[Any]:
    """Yield the frames of one stream; packets that do not decode are skipped and counted in the warning ``W_DAMAGED``.

    Args:
        container: an open file.
        stream: one of its picture or sound streams.
        name: what to call the file in the warning.
        quiet: do not warn.

    Raises:
        av.FFmpegError: nothing decodes.
    """
    import av

    first_error, lost, count = None, 0, 0
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                break
        except av.FFmpegError as error:
            first_error, lost = first_error or error, lost + 1
            break
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            first_error, lost = first_error or error, lost + 1
            continue
        for frame in frames:
            count += 1
            yield frame
    if first_error is not None and count == 0:
        raise first_error
    if first_error is not None and not quiet:
        kind = "picture" if stream.type == "video" else "sound"
        log.warning("W_DAMAGED: the %s of %s is damaged: %d of its packets did not decode and were left out.", kind, name, lost)
