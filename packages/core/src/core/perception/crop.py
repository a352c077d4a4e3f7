"""The square picture of head and shoulders that the networks work on."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from core.perception.faces import box_of
from core.perception.landmarks import Face
from core.perception.window import cut_square

TARGET_AREA = 0.25
"""Share of the crop that the box of the face should cover (spec 11.1)."""
TIGHTEST_AREA = 0.6
"""A photo that ends closer to the face than ``TARGET_AREA`` asks for is padded only when the face would cover more than this."""
FACE_CENTRE = (0.5, 0.53)
"""Where the middle of the face's box goes, so that the middle of the whole head is a little above the middle of the crop."""
MAX_SHIFT = 0.12
"""How far (in sides) the window may move from there to stay inside the photo, before it is padded instead."""


@dataclass(frozen=True)
class Crop:
    """A square cut from a photo, and the way back."""

    image: UInt8[np.ndarray, "size size 3"]
    """RGB."""
    left: int
    """Column of the photo at the crop's left edge; negative when padded."""
    top: int
    """Row of the photo at the crop's top edge; negative when padded."""
    side: int
    """Side of the square in pixels of the photo."""
    landmarks: Float[np.ndarray, "478 3"]
    """The face's points, normalised by the side of the crop; z too."""

    @property
    def scale(self) -> float:
        """Pixels of the crop for one pixel of the photo."""
        return self.image.shape[0] / self.side

    @property
    def to_photo(self) -> Float[np.ndarray, "2 3"]:
        """Affine matrix from crop coordinates in [0, 1] to pixels of the photo."""
        return np.array([[self.side, 0, self.left], [0, self.side, self.top]], np.float32)

    @property
    def area_fraction(self) -> float:
        """Share of the crop that the box of the face covers."""
        box = box_of(self.landmarks[:468])
        return (box[2] - box[0]) * (box[3] - box[1])


def square_crop(image: UInt8[np.ndarray, "h w 3"], face: Face, size: int = 512) -> Crop:
    """Cut head and shoulders: the face's box covers a fifth of the square where the photo allows; proportions are kept.

    The square prefers to stay inside the photo: it moves a little, then shrinks until the face covers a third; what still lies outside
    repeats the photo's border pixels. Photos that are such crops already pass nearly unchanged, so training and use agree.

    Args:
        image: RGB photo.
        face: the face in it.
        size: side of the result in pixels.
    """
    left, top, side = crop_window(image.shape[0], image.shape[1], face)
    height, width = image.shape[:2]
    pixels = face.landmarks * np.array([width, height, width], np.float32)
    landmarks = (pixels - np.array([left, top, 0], np.float32)) / np.float32(side)
    return Crop(cut_square(image, left, top, side, size), left, top, side, landmarks.astype(np.float32))


def crop_window(height: int, width: int, face: Face) -> tuple[int, int, int]:
    """Left, top and side in pixels of the square that `square_crop` cuts from a photo of ``height`` x ``width``."""
    x0, y0, x1, y1 = face.box
    area = (x1 - x0) * (y1 - y0)
    side = np.sqrt(area / TARGET_AREA)
    room = min(width, height)
    if side > room:
        side = max(float(room), np.sqrt(area / TIGHTEST_AREA))
    side = round(side)
    left = _place((x0 + x1) / 2 - FACE_CENTRE[0] * side, side, width)
    top = _place((y0 + y1) / 2 - FACE_CENTRE[1] * side, side, height)
    return left, top, side


def _place(start: float, side: int, length: int) -> int:
    """Move ``start`` towards the interval where [start, start + side] lies in [0, length], by at most ``MAX_SHIFT`` sides."""
    low, high = sorted((0.0, float(length - side)))
    inside = min(max(start, low), high)
    return round(start + float(np.clip(inside - start, -MAX_SHIFT * side, MAX_SHIFT * side)))
