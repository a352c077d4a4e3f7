"""The face's own axes in a picture, so that a tilted head is handled like an upright one."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

# fmt: off
FACE_OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
             152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)
# fmt: on


@dataclass(frozen=True)
class FaceFrame:
    """Coordinates of all pixels along the face's axes."""

    u: Float[np.ndarray, "h w"]
    """Across, 0 in the middle, -1 and 1 at the sides of the face."""
    v: Float[np.ndarray, "h w"]
    """Down, 0 at the top of the forehead, 1 at the chin."""
    oval: Bool[np.ndarray, "h w"]
    """Inside the outline of the face, chin included."""
    lobe: Float[np.ndarray, "h w"]
    """v of the ear lobe on the side of the pixel."""
    width: float
    """Of the face, in pixels."""


def face_frame(landmarks: Float[np.ndarray, "478 d"], height: int, width: int) -> FaceFrame:
    """Axes of a face from its landmarks, normalised by ``width`` and ``height``."""
    import cv2

    points = landmarks[:, :2] * np.array([width, height], np.float32)
    top, chin, left, right = points[10], points[152], points[234], points[454]
    down = chin - top
    across = np.array([down[1], -down[0]])  # to the viewer's right for an upright face
    middle = (left + right) / 2
    half = max(float(np.linalg.norm(right - left)) / 2, 0.3 * float(np.linalg.norm(down)))
    y, x = np.mgrid[:height, :width].astype(np.float32)
    length = float(down @ down)
    v = ((x - top[0]) * down[0] + (y - top[1]) * down[1]) / length
    u = ((x - middle[0]) * across[0] + (y - middle[1]) * across[1]) / (np.sqrt(length) * half)
    outline = points[list(FACE_OVAL)]
    outline = outline + 0.02 * (outline - outline.mean(axis=0))
    oval = np.zeros((height, width), np.uint8)
    cv2.fillPoly(oval, [np.round(outline * 16).astype(np.int32)], 1, shift=4)
    lobes = [np.float32((points[i] - top) @ down / length) + 0.02 for i in (132, 361)]
    return FaceFrame(u.astype(np.float32), v.astype(np.float32), oval > 0, np.where(u < 0, *lobes), 2 * half)
