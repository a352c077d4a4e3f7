"""Where the person of a driving video looks: at the camera or aside, from the irises that MediaPipe finds.

The irises of one eye are too unsteady to copy, and lids carry most of what is seen of looks up and down. But the mean of both eyes, less
what the head's turn explains, stays within 4 degrees while somebody looks at the camera, and goes far beyond it when they look aside. So
looks are steps of more than ``ASIDE``; in between the eyes stay with the viewer.
"""

import numpy as np
import torch
from core.face.regions import LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS
from jaxtyping import Float
from torch import Tensor

BALL, LEAN = 0.42, 0.15
"""Radius of an eyeball, and how far its iris stands out before the line between the corners, in widths of the opening."""
OPEN = 0.15
"""Height of an opening, in its widths, below which its iris tells nothing."""
ASIDE = np.radians(5.0)
"""By how much a look has to change to be one."""
CALM = 5
"""Frames of the median that leaves out single wrong ones."""


def iris_offset(landmarks: Float[np.ndarray, "478 d"]) -> float:
    """How far the irises lie to the right of the middle between the corners of their eyes, in widths of the eye; NaN with an eye shut.

    Args:
        landmarks: of one face; x and y in the same unit, y down.
    """
    found = []
    for ring, iris in ((RIGHT_EYE, RIGHT_IRIS), (LEFT_EYE, LEFT_IRIS)):
        lids = landmarks[list(ring), :2]
        left, right = sorted((lids[0], lids[8]), key=lambda corner: corner[0])
        width = np.linalg.norm(right - left)
        along = (right - left) / width
        height = np.ptp(lids @ np.array([-along[1], along[0]]))
        middle = landmarks[iris[0], :2] - (left + right) / 2
        found.append(middle @ along / width if height > OPEN * width else np.nan)
    return float(np.mean(found))


def watched_gaze(offsets: Float[np.ndarray, " t"], yaw: Float[Tensor, " t"]) -> Float[Tensor, " t"]:
    """Yaw of the looks away from the camera, radians, positive to the right of the picture: 0 at the viewer, in steps.

    Args:
        offsets: ``iris_offset`` of every frame.
        yaw: of the head, radians.
    """
    turn, known = yaw.double().numpy(), np.isfinite(offsets)
    if not known.any():
        return torch.zeros_like(yaw)
    within = np.arcsin(np.clip((offsets - LEAN * np.tan(turn)) / BALL, -1, 1))
    looks = np.interp(np.arange(len(turn)), np.flatnonzero(known), (within + turn)[known])
    looks -= np.median(looks[known])
    padded = np.pad(looks, CALM // 2, mode="edge")
    looks = np.median(np.lib.stride_tricks.sliding_window_view(padded, CALM), axis=1)
    steps, at = np.empty_like(looks), 0.0
    for t, look in enumerate(looks):
        if abs(look - at) > ASIDE:
            at = float(np.median(looks[t : t + CALM]))
            at = at if abs(at) > ASIDE else 0.0
        steps[t] = at
    return torch.from_numpy(steps).to(yaw)
