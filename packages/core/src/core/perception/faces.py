"""Two sources of face meshes behind one protocol: MediaPipe's bundled networks, or the user's ``face_landmarker.task``."""

from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from core.errors import PortraitError
from core.perception import solutions, tasks
from core.perception.task_files import LANDMARKER, task_file

Box = tuple[float, float, float, float]
"""left, top, right, bottom in pixels."""
TASK_SCORE = 0.9
"""Confidence given to every face of the landmarker, which tells none: that of an upright face."""


@runtime_checkable
class FaceFinder(Protocol):
    """Looks for faces in one image."""

    def boxes(self, image: UInt8[np.ndarray, "h w 3"]) -> list[tuple[float, Box]]:
        """Confidence and place (in pixels) of whatever may be a face."""

    def meshes(self, image: UInt8[np.ndarray, "h w 3"]) -> list[Float[np.ndarray, "478 3"]]:
        """Points of the faces that fill much of a square image: x divided by its width, y by its height, z by its width."""


@runtime_checkable
class FaceFollower(Protocol):
    """Follows one face through consecutive images."""

    def next_mesh(self, image: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "478 3"] | None:
        """The face's points as in `FaceFinder.meshes`, or None."""

    def reset(self) -> None:
        """Forget the earlier images."""

    def close(self) -> None:
        """Give its memory back; it cannot be used again."""


class BundledFaces:
    """The detectors for near and far faces and the mesh that come with MediaPipe 0.10.21."""

    def boxes(self, image: UInt8[np.ndarray, "h w 3"]) -> list[tuple[float, Box]]:
        """As `FaceFinder.boxes`."""
        height, width = image.shape[:2]
        boxes: list[tuple[float, Box]] = []
        for full_range in (False, True):
            for found in solutions.face_detection(full_range).run(image).detections or []:
                box = found.location_data.relative_bounding_box
                x, y = box.xmin * width, box.ymin * height
                boxes.append((float(found.score[0]), (x, y, x + box.width * width, y + box.height * height)))
        return boxes

    def meshes(self, image: UInt8[np.ndarray, "h w 3"]) -> list[Float[np.ndarray, "478 3"]]:
        """As `FaceFinder.meshes`."""
        return [_points(face) for face in solutions.face_mesh().run(image).multi_face_landmarks or []]


class BundledFollower:
    """The bundled mesh, following."""

    def __init__(self) -> None:
        self._mesh = solutions.tracking_face_mesh()

    def next_mesh(self, image: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "478 3"] | None:
        """As `FaceFollower.next_mesh`."""
        found = self._mesh.run(image).multi_face_landmarks
        return _points(found[0]) if found else None

    def reset(self) -> None:
        """As `FaceFollower.reset`."""
        self._mesh.reset()

    def close(self) -> None:
        """As `FaceFollower.close`."""
        self._mesh.close()


class TaskFaces:
    """Any `tasks.FaceLandmarker`, with the bundled detectors where MediaPipe still has them."""

    def __init__(self, landmarker: Any) -> None:
        """``landmarker`` needs ``meshes(image)`` only."""
        self._landmarker = landmarker

    def boxes(self, image: UInt8[np.ndarray, "h w 3"]) -> list[tuple[float, Box]]:
        """As `FaceFinder.boxes`: a detector's scores tell upside-down faces from upright ones, which the landmarker cannot."""
        try:
            return BundledFaces().boxes(image)
        except PortraitError:  # newer MediaPipe
            size = np.array(image.shape[1::-1], np.float32)
            return [(TASK_SCORE, box_of(mesh[:468, :2] * size)) for mesh in self.meshes(image)]

    def meshes(self, image: UInt8[np.ndarray, "h w 3"]) -> list[Float[np.ndarray, "478 3"]]:
        """As `FaceFinder.meshes`."""
        return self._landmarker.meshes(image)


def face_finder() -> FaceFinder:
    """The user's landmarker when its file is there, else the bundled networks."""
    path = task_file(LANDMARKER)
    return BundledFaces() if path is None else TaskFaces(tasks.face_landmarker(path))


def face_follower() -> FaceFollower:
    """A new follower, chosen as in `face_finder`."""
    path = task_file(LANDMARKER)
    return BundledFollower() if path is None else tasks.FollowingFaceLandmarker(path)


def box_of(points: Float[np.ndarray, "n d"]) -> Box:
    """Bounding box (left, top, right, bottom) of points."""
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _points(face: Any) -> Float[np.ndarray, "478 3"]:
    """MediaPipe's landmark list as an array."""
    return np.array([(point.x, point.y, point.z) for point in face.landmark], np.float32)
