"""Eyes that look elsewhere: between the lids of the photograph its eyes turn as balls do, and the lids stay (ours, not in the paper).

What the look back lends to a frame is the photograph's head; so the eyes are turned there, once for every gaze, and follow all else.
"""

from dataclasses import dataclass

import numpy as np
import torch
from core.face.regions import LEFT_EYE, RIGHT_EYE
from core.people.eyes import ball_back, direction
from jaxtyping import Float, Int
from torch import Tensor

WIDTH = 0.42
"""Radius of an eyeball in widths of the opening: 12 of 29 mm."""
OPEN = 0.12
"""Height of an opening, in its widths, below which an eye is shut and stays as it is."""
MARGIN = 0.6
"""What is worked on around an opening, in its widths."""
SUPER = 4
"""Outlines are drawn in so many parts of a pixel."""


@dataclass(frozen=True)
class Eye:
    """One open eye of a photograph.

    Attributes:
        rows, columns: of the picture, around the opening.
        share: of the eye in every pixel of these, soft at the lids.
        nearest: row and column, in the same, of the pixel of the opening nearest to every pixel.
        middle: of the opening, x and y in the same.
        radius: of the ball, pixels.
    """

    rows: slice
    columns: slice
    share: Float[np.ndarray, "h w"]
    nearest: Int[np.ndarray, "2 h w"]
    middle: Float[np.ndarray, "2"]
    radius: float


def open_eyes(landmarks: Float[np.ndarray, "468 2"], size: int) -> tuple[Eye, ...]:
    """The eyes of a photograph that are open and not cut off.

    Args:
        landmarks: of the face, [0, 1] across the picture, y down.
        size: side of the picture in pixels.
    """
    eyes = (_eye(landmarks[list(ring)].astype(np.float64) * size, size) for ring in (RIGHT_EYE, LEFT_EYE))
    return tuple(eye for eye in eyes if eye is not None)


def _eye(lids: Float[np.ndarray, "n 2"], size: int) -> Eye | None:
    import cv2

    along = lids[8] - lids[0]  # from corner to corner
    width = float(np.linalg.norm(along))
    height = np.ptp((lids - lids[0]) @ [-along[1], along[0]]) / max(width, 1e-6)
    low, high = np.floor(lids.min(0) - MARGIN * width).astype(int), np.ceil(lids.max(0) + MARGIN * width).astype(int)
    if width < 6 or height < OPEN * width or low.min() < 0 or high.max() > size:
        return None
    shape = (high - low)[::-1] * SUPER
    area = cv2.fillPoly(np.zeros(shape, np.uint8), [np.round((lids - low) * SUPER).astype(np.int32)], 255)
    area = cv2.resize(area, tuple(high - low), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    inside = area > 0.6
    _, label = cv2.distanceTransformWithLabels((~inside).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    places = np.zeros((label.max() + 1, 2), np.int64)
    places[label[inside]] = np.argwhere(inside)
    core = cv2.erode(inside.astype(np.float32), np.ones((3, 3), np.uint8))
    share = cv2.GaussianBlur(core, (0, 0), max(0.012 * width, 0.5)) * inside
    rows, columns = (slice(int(low[axis]), int(high[axis])) for axis in (1, 0))
    return Eye(rows, columns, share, places[label].transpose(2, 0, 1), (lids.min(0) + lids.max(0)) / 2 - low, WIDTH * width)


def looking(layer: Float[Tensor, "b c S S"], eyes: tuple[Eye, ...], gaze: tuple[float, float]) -> Float[Tensor, "b c S S"]:
    """The head layer of a photograph whose eyes turn away from where they look in it; a copy.

    Args:
        layer: ``head_skip.head_layer``; the first three channels are its colours with open eyes.
        eyes: of the photograph.
        gaze: yaw and pitch in radians; positive yaw looks to the right of the picture, positive pitch down.
    """
    result = layer.clone(memory_format=torch.preserve_format)
    for eye in eyes:
        part = layer[:, :3, eye.rows, eye.columns]
        for old, new in zip(part, result[:, :3, eye.rows, eye.columns], strict=True):
            new.copy_(torch.from_numpy(_turned(old.permute(1, 2, 0).contiguous().cpu().numpy(), eye, gaze)).permute(2, 0, 1))
    return result


def _turned(picture: Float[np.ndarray, "h w 3"], eye: Eye, gaze: tuple[float, float]) -> Float[np.ndarray, "h w 3"]:
    import cv2

    height, width = eye.share.shape
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    flat = (np.stack([x, -y], -1).reshape(-1, 2) - eye.middle * [1, -1]) / eye.radius
    moved = (ball_back(flat, direction(np.asarray(gaze)).T) - flat).reshape(height, width, 2) * eye.radius * [1, -1]
    there = np.stack([x - 0.5, y - 0.5], -1) + moved
    column, row = (np.clip(np.round(there[..., k]).astype(int), 0, side - 1) for k, side in ((0, width), (1, height)))
    nearest = eye.nearest[:, row, column]
    beyond = ((nearest[0] != row) | (nearest[1] != column))[..., None]  # under a lid: its eye goes on
    place = np.where(beyond, nearest[::-1].transpose(1, 2, 0), there).astype(np.float32)
    found = cv2.remap(picture, place[..., 0], place[..., 1], cv2.INTER_LINEAR)
    return picture + eye.share[..., None] * (found - picture)
