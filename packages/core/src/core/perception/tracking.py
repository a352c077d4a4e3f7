"""One face followed through a video."""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing

import numpy as np
from jaxtyping import Float, UInt8

from core.perception.faces import Box, box_of, face_follower
from core.perception.landmarks import detect_faces, face_from_pixels
from core.perception.window import cut_square

SMOOTHING = np.array([-3, 12, 17, 12, -3], np.float32) / 35
"""Savitzky-Golay, window 5, order 2: removes jitter, keeps the height of blinks and the closing of lips."""
WINDOW_SCALE = 2.0
WINDOW_SIZE = 512
SETTLED = 1e-4
"""Sides of the window by which points may still move when the same picture is measured again."""
SETTLING = 12
"""How often a picture is measured at most until it settles: the mesh approaches a face over some frames, which would look like a nod."""
SAME = 2.5
"""Levels of 255 by which the pixels of a part may differ on average in a picture that need not be measured again. An encoded still stays
below 2 and a shift by a tenth of a pixel lies above 3; measuring it would make the points tremble, as the mesh never quite rests."""
PART = 8
"""Pixels of the window along a side of such a part."""
PATIENCE = 2.0
"""Seconds without the face after which any face will do (another scene)."""


def track(frames: Iterable[UInt8[np.ndarray, "h w 3"]], fps: float | int = 25.0) -> Iterator[Float[np.ndarray, "478 3"]]:
    """Follow the face that is largest when the first one appears, and only that one.

    The face is measured in a window that rests until the face leaves its middle, so that a still camera gives still points.

    Args:
        frames: upright RGB frames of equal size; read as they are needed.
        fps: frames per second.

    Yields:
        For every frame, two frames late, the points as in `Face.landmarks`; NaN where the face is not seen.
    """
    follower = _Follower(round(PATIENCE * fps))
    recent: deque[np.ndarray] = deque(maxlen=5)
    count = 0
    with closing(follower.mesh):
        for frame in frames:
            recent.append(follower.find(frame))
            count += 1
            if count >= 3:
                yield _smooth(recent, min(count - 1, 4) - 2)
    for ahead in range(min(2, count), 0, -1):
        yield _smooth(recent, len(recent) - ahead)


def _smooth(recent: "deque[np.ndarray]", position: int) -> Float[np.ndarray, "478 3"]:
    if len(recent) == 5 and position == 2 and all(np.isfinite(points[0, 0]) for points in recent):
        return np.einsum("t,tnd->nd", SMOOTHING, np.stack(recent)).astype(np.float32)
    return recent[position]


class _Follower:
    """What is known of the face from earlier frames; boxes in pixels."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.box: Box | None = None
        self.window: tuple[int, int, int] | None = None
        self.lost = 0
        self.settled = False
        self.last: tuple[np.ndarray, np.ndarray] | None = None
        self.mesh = face_follower()

    def find(self, frame: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "478 3"]:
        points = self._in_window(frame)
        if points is None and self._search(frame):
            points = self._in_window(frame)
        if points is None:
            self.lost += 1
            self.window = None
            return np.full((478, 3), np.nan, np.float32)
        self.lost = 0
        self.box = box_of(points[:468])
        self._keep_centred()
        return face_from_pixels(points, *frame.shape[:2]).landmarks

    def _in_window(self, frame: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "478 3"] | None:
        """Points in pixels of the frame, if the mesh in the window plausibly continues the last one."""
        if self.window is None:
            return None
        left, top, side = self.window
        mesh = self._measured(cut_square(frame, left, top, side, WINDOW_SIZE))
        if mesh is None:
            return None
        points = mesh * np.float32(side) + np.array([left, top, 0], np.float32)
        return points if self.box is None or _continues(self.box, box_of(points[:468]), 0.5) else None

    def _measured(self, picture: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "478 3"] | None:
        """The next mesh; the first one in a new window is measured until it rests, and a picture that repeats the last one not at all."""
        if self.last is not None and _difference(picture, self.last[0]) <= SAME:
            return self.last[1]
        mesh = self.mesh.next_mesh(picture)
        for _ in range(0 if self.settled else SETTLING):
            before, mesh = mesh, None if mesh is None else self.mesh.next_mesh(picture)
            if before is None or mesh is None or np.abs(mesh - before)[:468, :2].max() < SETTLED:
                break
        self.settled = mesh is not None
        self.last = None if mesh is None else (picture, mesh)
        return mesh

    def _search(self, frame: UInt8[np.ndarray, "h w 3"]) -> bool:
        """Look in the whole frame for the face, and set the window on it."""
        faces = detect_faces(frame, thorough=self.box is None)
        if self.box is not None and self.lost < self.patience:
            reach = 0.75 + 0.05 * self.lost
            faces = [face for face in faces if _continues(self.box, face.box, reach)]
            faces.sort(key=lambda face: _distance(self.box, face.box))
        if not faces:
            return False
        self.box = faces[0].box
        self._look_at(self.box)
        return True

    def _look_at(self, box: Box) -> None:
        side = round(WINDOW_SCALE * _side(box))
        self.window = round((box[0] + box[2] - side) / 2), round((box[1] + box[3] - side) / 2), side
        self.mesh.reset()
        self.settled, self.last = False, None

    def _keep_centred(self) -> None:
        assert self.box is not None
        assert self.window is not None
        left, top, side = self.window
        away = np.hypot((self.box[0] + self.box[2]) / 2 - left - side / 2, (self.box[1] + self.box[3]) / 2 - top - side / 2)
        if away > 0.18 * side or not 0.7 < WINDOW_SCALE * _side(self.box) / side < 1.4:
            self._look_at(self.box)


def _difference(a: UInt8[np.ndarray, "h w 3"], b: UInt8[np.ndarray, "h w 3"]) -> float:
    """Mean difference of two pictures, in levels of 255, in the part where they differ most."""
    import cv2

    parts = cv2.resize(cv2.absdiff(a, b), None, fx=1 / PART, fy=1 / PART, interpolation=cv2.INTER_AREA)
    return float(parts.mean(axis=2).max())


def _side(box: Box) -> float:
    return max(box[2] - box[0], box[3] - box[1])


def _distance(a: Box, b: Box) -> float:
    """Between the middles, in sides of ``a``."""
    return float(np.hypot(a[0] + a[2] - b[0] - b[2], a[1] + a[3] - b[1] - b[3])) / (2 * _side(a))


def _continues(a: Box, b: Box, reach: float) -> bool:
    return _distance(a, b) < reach and 0.6 < _side(b) / _side(a) < 1.7
