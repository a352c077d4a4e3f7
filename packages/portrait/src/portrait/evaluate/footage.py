"""Frames to be compared: the square of head and shoulders, one for the whole clip, at 25 frames per second."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import chain, islice, tee
from pathlib import Path

import numpy as np
from core.errors import PortraitError
from core.face.fitting import fit_image
from core.face.model import FaceModel
from core.media.image import read_image
from core.media.video import read_video
from core.perception.crop import crop_window, square_crop
from core.perception.landmarks import find_face
from core.perception.tracking import track
from core.perception.window import cut_square
from jaxtyping import Float, UInt8

from portrait.driving import FPS
from portrait.evaluate.pairing import PICTURES, Pose

SIDE = 512
"""Of the squares in pixels: the size of CelebV-HQ and of the paper's results."""

Frames = Iterator[UInt8[np.ndarray, "h w 3"]]
Window = tuple[int, int, int]


def first_picture(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """A photograph, or the first frame of a video.

    Raises:
        PortraitError: as ``read_image`` and ``read_video``.
    """
    return read_image(path) if path.suffix.lower() in PICTURES else next(read_video(path, FPS))


@lru_cache(maxsize=4)
def window_of(path: Path) -> Window:
    """Left, top and side of the square around the face of the first picture, the one that the networks see.

    Raises:
        PortraitError: as ``find_face``.
    """
    picture = first_picture(path)
    return crop_window(*picture.shape[:2], find_face(picture, name=str(path)))


def square_picture(path: Path) -> UInt8[np.ndarray, "s s 3"]:
    """The square of the first picture."""
    return cut_square(first_picture(path), *window_of(path), SIDE)


def square_frames(path: Path, window: Window | None = None, limit: int | None = None) -> Frames:
    """Frames of a video through one window.

    Args:
        path: the video.
        window: what to cut out; None for videos that are squares already.
        limit: frames to stop after.

    Raises:
        PortraitError: ``E_PREDICTION`` when there is no window and the video is not square; as ``read_video``.
    """
    frames = read_video(path, FPS)
    first = next(frames)
    height, width = first.shape[:2]
    if window is None and abs(height - width) > 1:  # codecs pad odd sides
        raise PortraitError("E_PREDICTION", f"{path} is {width} x {height}, not a square", "Crop it, or give --whole-frame.")
    cut = window or (0, 0, min(height, width))
    return islice((cut_square(frame, *cut, SIDE) for frame in chain([first], frames)), limit)


def tracked(frames: Frames) -> Iterator[tuple[UInt8[np.ndarray, "s s 3"], Float[np.ndarray, "478 3"]]]:
    """Frames with the points of the face, NaN where it is lost; two frames are held."""
    ahead, behind = tee(frames)
    return zip(behind, track(ahead, FPS), strict=True)


def head_pose(path: Path, face: FaceModel) -> Pose:
    """Pitch, yaw and roll (radians) of the first picture.

    Raises:
        PortraitError: as ``find_face``.
    """
    picture = first_picture(path)
    crop = square_crop(picture, find_face(picture, name=str(path)), SIDE)
    pitch, yaw, roll = fit_image(face, crop.landmarks[:468]).euler[0].tolist()
    return pitch, yaw, roll
