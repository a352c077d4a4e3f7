"""Faces in photographs: where they are and their 478 MediaPipe points."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from core.errors import PortraitError
from core.perception.faces import Box, box_of, face_finder
from core.perception.window import cut_square

log = logging.getLogger(__name__)

MIN_SIDE = 24.0
POOR_SIDE = 80.0
MIN_VISIBLE = 0.75
SURE = 0.7
"""Detector score needed in parts of an image, where textures pass for faces more often."""
UPRIGHT = 0.85
"""Upside-down faces pass for upright ones too, with scores of 0.5 to 0.8 where the upright picture gives 0.82 to 0.98 (35 portraits)."""
MAX_TILES = 40
MAX_ROLL = 60.0


@dataclass(frozen=True)
class Face:
    """One upright face."""

    landmarks: Float[np.ndarray, "478 3"]
    """x divided by the image's width, y by its height (y down, outside [0, 1] when cut off), z by its width (negative is nearer).
    Points 0-467 are the mesh, 468-472 and 473-477 the irises."""
    box: Box
    """Bounding box of points 0-467 in pixels."""
    area_fraction: float
    """Area of the box divided by the area of the image."""
    visible: float
    """Fraction of points 0-467 inside the image."""
    roll: float
    """Degrees by which the line between the outer eye corners is turned, clockwise as seen."""
    score: float = 1.0
    """Confidence of the detector, 0 to 1."""

    @property
    def side(self) -> float:
        """Longer side of the box in pixels."""
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])


def detect_faces(image: UInt8[np.ndarray, "h w 3"], thorough: bool = True) -> list[Face]:
    """Find all upright faces, largest first; an empty list if there is none.

    Detectors for near and far faces look at the whole image, and at overlapping parts of it when the whole shows none. Each find is
    measured twice on a square window, the second time well centred.

    Args:
        image: RGB of any size.
        thorough: look for small faces in parts of the image.
    """
    boxes = _candidates(image)
    for parts in (2, 4) if thorough else ():
        if boxes or max(image.shape[:2]) < 160 * parts:
            break
        boxes = [found for tile in _tiles(image, parts) for found in _candidates(image, tile)]
    found: list[Face] = []
    for score, box in sorted(boxes, reverse=True):
        if all(_overlap(box, other.box) < 0.5 for other in found):
            face = _measure(image, box, score)
            if face is not None and abs(face.roll) < MAX_ROLL and all(_overlap(face.box, other.box) < 0.3 for other in found):
                found.append(face)
    return sorted(found, key=lambda face: -face.area_fraction)


def choose_face(faces: list[Face], index: int | None = None, name: str = "the picture") -> Face:
    """Pick one of the faces that `detect_faces` returned.

    Args:
        faces: largest first.
        index: which one, 0 = largest; without it the largest is taken, with a warning when there are several.
        name: what to call the picture in messages.

    Raises:
        PortraitError: ``E_NO_FACE``, ``E_FACE_INDEX``, ``E_FACE_SMALL`` (box side under 24 px) or ``E_FACE_CUT`` (over a quarter outside).
    """
    if not faces:
        remedy = "Use a photo that shows one person's face from the front, upright, sharp and well lit."
        raise PortraitError("E_NO_FACE", f"no face was found in {name}", remedy)
    if index is not None and not 0 <= index < len(faces):
        raise PortraitError("E_FACE_INDEX", f"{name} has {len(faces)} face(s), there is no number {index}", "Count from 0, largest first.")
    if index is None and len(faces) > 1:
        log.warning("%s has %d faces; the largest is used (choose another by its index, 0 to %d).", name, len(faces), len(faces) - 1)
    face = faces[index or 0]
    if face.side < MIN_SIDE:
        raise PortraitError("E_FACE_SMALL", f"the face in {name} is {face.side:.0f} pixels high", "Use a larger photo of the face.")
    if face.visible < MIN_VISIBLE:
        message = f"{100 * (1 - face.visible):.0f} % of the face in {name} is outside the picture"
        raise PortraitError("E_FACE_CUT", message, "Use a photo that shows the whole face.")
    if face.visible < 0.97:
        log.warning("The face in %s is cut by the edge of the picture; that side will look smeared.", name)
    if face.side < POOR_SIDE:
        log.warning("The face in %s is only %.0f pixels high; the result will be soft.", name, face.side)
    return face


def find_face(image: UInt8[np.ndarray, "h w 3"], index: int | None = None, name: str = "the picture") -> Face:
    """`detect_faces` and `choose_face`, and a hint when the picture lies on its side or upside down.

    Raises:
        PortraitError: as `choose_face`, and ``E_FACE_ROTATED``.
    """
    faces = detect_faces(image)
    score = max((face.score for face in faces), default=0.0)
    if score < UPRIGHT:
        for quarter, turn in ((2, "by 180 degrees"), (1, "to the left"), (3, "to the right")):
            if any(face.score > max(score + 0.08, SURE) for face in detect_faces(np.rot90(image, quarter), thorough=False)):
                message = f"the face in {name} is not upright"
                raise PortraitError("E_FACE_ROTATED", message, f"Rotate the picture {turn} and try again.")
    return choose_face(faces, index, name)


def track_faces(frames: Iterable[UInt8[np.ndarray, "h w 3"]], fps: float | int = 25.0) -> Iterator[Float[np.ndarray, "478 3"]]:
    """Follow one face through a video: one array per frame, NaN where it is not seen; see `core.perception.tracking.track`."""
    from core.perception.tracking import track

    return track(frames, fps)


def mesh_in_window(image: UInt8[np.ndarray, "h w 3"], box: Box, scale: float, size: int = 384) -> Float[np.ndarray, "478 3"] | None:
    """Measure the face nearest to the middle of a square window.

    Args:
        image: RGB.
        box: where the face should be, in pixels.
        scale: side of the window divided by the longer side of ``box``.
        size: pixels of the window when measured.

    Returns:
        Points in pixels of ``image``, z in the same unit, or None.
    """
    left, top, side = _window(box, scale)
    meshes = face_finder().meshes(cut_square(image, left, top, side, size))
    if not meshes:
        return None
    best = min(meshes, key=lambda points: float(np.square(points[:468, :2].mean(axis=0) - 0.5).sum()))
    return best * np.float32(side) + np.array([left, top, 0], np.float32)


def face_from_pixels(points: Float[np.ndarray, "478 3"], height: int, width: int, score: float = 1.0) -> Face:
    """Wrap points in pixels of an image of the given size."""
    box = box_of(points[:468])
    inside = (points[:468, :2] >= 0).all(axis=1) & (points[:468, 0] < width) & (points[:468, 1] < height)
    area = (box[2] - box[0]) * (box[3] - box[1]) / (height * width)
    across = points[263] - points[33]
    roll = float(np.degrees(np.arctan2(across[1], across[0])))
    return Face((points / np.array([width, height, width])).astype(np.float32), box, float(area), float(inside.mean()), roll, score)


def _window(box: Box, scale: float) -> tuple[int, int, int]:
    side = max(8, round(scale * max(box[2] - box[0], box[3] - box[1])))
    return round((box[0] + box[2] - side) / 2), round((box[1] + box[3] - side) / 2), side


def _measure(image: UInt8[np.ndarray, "h w 3"], box: Box, score: float) -> Face | None:
    for scale in (2.4, 1.7, 3.4):
        rough = mesh_in_window(image, box, scale)
        if rough is not None:
            exact = mesh_in_window(image, box_of(rough[:468]), 1.8, size=512)
            return face_from_pixels(rough if exact is None else exact, *image.shape[:2], score)
    return None


def _candidates(image: UInt8[np.ndarray, "h w 3"], tile: tuple[int, int, int] | None = None) -> list[tuple[float, Box]]:
    """Scores and boxes of the detectors in the image, or in a square part of it, in pixels of the image."""
    import cv2

    left, top, side = tile or (0, 0, 0)
    part = image if tile is None else image[top : top + side, left : left + side]
    height, width = part.shape[:2]
    shrink = min(1.0, 1024 / max(height, width))
    small = cv2.resize(part, (max(1, round(width * shrink)), max(1, round(height * shrink))), interpolation=cv2.INTER_AREA)
    across, down = width / small.shape[1], height / small.shape[0]
    boxes = [(score, box) for score, box in face_finder().boxes(small) if tile is None or score >= SURE]
    return [(score, (x0 * across + left, y0 * down + top, x1 * across + left, y1 * down + top)) for score, (x0, y0, x1, y1) in boxes]


def _tiles(image: UInt8[np.ndarray, "h w 3"], parts: int) -> list[tuple[int, int, int]]:
    """Squares (left, top, side) that cover the image, each overlapping its neighbour by 40 % or more."""
    height, width = image.shape[:2]
    side = min(height, width, round(1.6 * max(height, width) / parts))
    if max(height, width) > MAX_TILES * 0.6 * side:  # a strip
        return []
    lefts = np.linspace(0, width - side, 1 + int(np.ceil((width - side) / (0.6 * side)))).round().astype(int)
    tops = np.linspace(0, height - side, 1 + int(np.ceil((height - side) / (0.6 * side)))).round().astype(int)
    return [(int(left), int(top), side) for top in tops for left in lefts]


def _overlap(a: Box, b: Box) -> float:
    """Intersection over the smaller area."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return max(0.0, width) * max(0.0, height) / max(smaller, 1e-6)
