"""MediaPipe's share, for reference: finding a face in a photograph, following it through a video."""

import numpy as np
import torch
from core.perception.landmarks import find_face, track_faces

from benchmarks.row import Case, Row

FRAMES = 25


def _still(_: torch.device) -> Case:
    photo = _photo()
    return Case(lambda: find_face(photo), unit="photo")


def _video(_: torch.device) -> Case:
    photo = _photo()
    frames = [np.roll(photo, k, axis=1) for k in range(FRAMES)]  # a picture that repeats would not be measured again
    return Case(lambda: list(track_faces(frames)), items=FRAMES)


def _photo() -> np.ndarray:
    """NASA's portrait of Eileen Collins, in the public domain, 512 x 512."""
    from skimage.data import astronaut

    return astronaut()


ROWS = (Row("landmarks.still", _still), Row("landmarks.video", _video))
