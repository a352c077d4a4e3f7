"""Photograph, driver and result next to each other, as a video and as one picture."""

from itertools import repeat
from pathlib import Path

import numpy as np
from core.media.image import write_image
from core.media.video import VideoWriter
from jaxtyping import UInt8

from portrait.driving import FPS
from portrait.evaluate.footage import square_frames, square_picture, window_of
from portrait.evaluate.pairing import Pair
from portrait.evaluate.scoring import pair_sound

CELL = 256
"""Side of each picture in pixels."""
SOUND_RATE = 48000
POSTER = 50
"""Frame that the picture shows, or the last one of a shorter clip: two seconds in, when something has happened."""


def _small(image: UInt8[np.ndarray, "s s 3"]) -> UInt8[np.ndarray, "c c 3"]:
    import cv2

    return cv2.resize(image, (CELL, CELL), interpolation=cv2.INTER_AREA)


def write_side(pair: Pair, prediction: Path, video: Path, picture: Path, limit: int | None, whole_frame: bool = False) -> None:
    """Write both, with the sound of the clip.

    Args:
        pair: the clip.
        prediction: the result.
        video: MP4 to write.
        picture: one of its frames, to write.
        limit: frames to stop after.
        whole_frame: as for ``portrait.evaluate.scoring.score``.

    Raises:
        PortraitError: as the readers and writers.
    """
    source = _small(square_picture(pair.source))
    made = square_frames(prediction, window_of(pair.source) if whole_frame else None, limit)
    driver = square_frames(pair.video, window_of(pair.video), limit) if pair.video else repeat(None)
    samples = pair_sound(pair, SOUND_RATE)
    width = CELL * (3 if pair.video else 2)
    with VideoWriter(video, (CELL, width), FPS, None if samples is None else (samples, SOUND_RATE)) as out:
        for number, (frame, wanted) in enumerate(zip(made, driver, strict=False)):
            row = np.concatenate([source, *([] if wanted is None else [_small(wanted)]), _small(frame)], 1)
            out.write(row)
            if number <= POSTER:
                poster = row
    write_image(picture, poster)
