"""The head alone, seen from all sides that stage 1 knows: a video that circles it."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from core.media.video import VideoWriter
from jaxtyping import UInt8

from portrait.badge import Badge
from portrait.head import Head
from portrait.listening import FPS
from portrait.stream import Progress, closed, silently

YAW, PITCH = math.radians(35), math.radians(12)
"""How far the camera goes to the sides, and up and down."""


def orbit(head: Head, frames: int) -> Iterator[UInt8[np.ndarray, "s s 3"]]:
    """Once round an ellipse of ``YAW`` by ``PITCH``; the last frame leads to the first."""
    for index in range(frames):
        phase = 2 * math.pi * index / frames
        yield head.seen_from(PITCH * math.cos(phase), YAW * math.sin(phase))


def write_orbit(head: Head, path: Path, seconds: float = 4.0, badge: bool = True, progress: Progress = silently) -> None:
    """Write the video of an orbit; it plays in a loop without a jump.

    Raises:
        PortraitError: ``E_WRITE`` or ``E_FORMAT`` when the file cannot be written.
    """
    side, count = head.renderer.config.image_size, max(2, round(seconds * FPS))
    mark = Badge(side) if badge else None
    frames = progress(orbit(head, count), "render", count)
    with VideoWriter(path, side, FPS) as video, closed(frames):
        for frame in frames:
            video.write(mark(frame) if mark else frame)
