"""A photograph with its eyes shut: skin continued from around the eye over ball and lid, edged with lashes."""

import numpy as np
from jaxtyping import Float, UInt8

from core.face.lids import EDGES, FOLDS, LOWER, SOCKETS

BROWS = ((46, 53, 52, 65, 55, 107, 66, 105, 63, 70), (276, 283, 282, 295, 285, 336, 296, 334, 293, 300))
"""Outlines of the brows."""
LASHES = 0.7
"""Opacity of the line of lashes, unless asked for otherwise."""


def shut_eyes(image: UInt8[np.ndarray, "h w 3"], xy: Float[np.ndarray, "468 2"], lashes: float = LASHES) -> UInt8[np.ndarray, "h w 3"]:
    """The photograph with skin in place of eyes and upper lids, edged with lashes where the upper lids end.

    It shows what a shut lid looks like laid back over an open eye; where a mesh closes the lid the skin is drawn out again.

    Args:
        image: RGB.
        xy: points of the face, [0, 1] across the image.
        lashes: opacity of their line.
    """
    out = image.copy()
    points = xy[:, :2] * [image.shape[1], image.shape[0]]
    for eye in range(2):
        rows, columns = eye_box(points, eye, image.shape[0])
        if rows.stop - rows.start > 4 and columns.stop - columns.start > 4:
            out[rows, columns] = _shut(image[rows, columns].astype(np.float32), points - [columns.start, rows.start], eye, lashes)
    return out


def _width(points: np.ndarray, eye: int) -> float:
    return float(np.linalg.norm(points[EDGES[eye][0]] - points[EDGES[eye][-1]]))


def eye_box(points: Float[np.ndarray, "468 2"], eye: int, side: int) -> tuple[slice, slice]:
    """Rows and columns around an eye (0 is the right one) of a picture of ``side`` pixels; ``points`` in pixels."""
    around = points[[*EDGES[eye], *FOLDS[eye], *SOCKETS[eye], *LOWER[eye]]]
    reach = 0.25 * _width(points, eye)
    low = np.clip(np.floor(around.min(0) - reach).astype(int), 0, side)
    high = np.clip(np.ceil(around.max(0) + np.array([reach, 0.6 * reach])).astype(int), low, side)
    return slice(low[1], high[1]), slice(low[0], high[0])


def _shut(patch: Float[np.ndarray, "h w 3"], points: Float[np.ndarray, "468 2"], eye: int, opacity: float) -> UInt8[np.ndarray, "h w 3"]:
    import cv2

    width = _width(points, eye)
    edge, fold, socket = (points[list(ring[eye])] for ring in (EDGES, FOLDS, SOCKETS))
    lashes = _area(patch, [*edge, *(fold + 0.4 * (socket - fold))[::-1]], 0.02 * width)
    hole = _area(patch, [*edge, *points[list(LOWER[eye])][::-1]], 0.07 * width)
    made = np.maximum(lashes, hole)
    brow = _area(patch, points[list(BROWS[eye])], 0.06 * width)
    skin = _continued(patch, _skin(patch, 1 - np.maximum(cv2.dilate(made, np.ones((3, 3))), brow)), 0.1 * width)
    skin *= _roundness(patch, edge, fold)[..., None]
    wide, sure = cv2.GaussianBlur(made, (0, 0), max(0.07 * width, 0.6)), 0.9 * _area(patch, [*edge, *fold[::-1]], 0.0)
    soft = np.maximum(cv2.GaussianBlur(np.maximum(wide, sure), (0, 0), max(0.025 * width, 0.6)), hole)[..., None]
    dark = patch[hole + lashes > 0]
    dark = dark[np.argsort(dark.mean(1))[: max(len(dark) // 12, 1)]].mean(0) if len(dark) else np.full(3, 40.0)
    line = opacity * _line(patch, edge, width)[..., None]
    shut = patch * (1 - soft) + skin * soft
    return np.clip(shut * (1 - line) + dark * line + 0.5, 0, 255).astype(np.uint8)


def _roundness(patch: np.ndarray, edge: Float[np.ndarray, "n 2"], fold: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "h w"]:
    """Light on a lid over its ball: full in the middle, less towards the corners, the fold and the lashes."""
    x, y = np.arange(patch.shape[1])[None] + 0.5, np.arange(patch.shape[0])[:, None] + 0.5
    order = np.argsort(edge[:, 0])
    bottom, top = (np.interp(x[0], line[order, 0], line[order, 1]) for line in (edge, fold))
    up = np.clip((bottom - y) / np.maximum(bottom - top, 1.0), 0, 1.6)
    across = (x - edge[:, 0].mean()) / max(np.ptp(edge[:, 0]) / 2, 1.0)
    ball, crease, lashes = np.clip(np.abs(across), 0, 1.2) ** 2, np.exp(-(((up - 1) / 0.28) ** 2)), np.exp(-((up / 0.2) ** 2))
    return (1.03 - 0.09 * ball - 0.12 * crease - 0.05 * lashes).astype(np.float32)


def _area(patch: np.ndarray, outline: "list | np.ndarray", grown: float) -> Float[np.ndarray, "h w"]:
    """1 inside an outline that is grown by so many pixels."""
    import cv2

    mask = np.zeros(patch.shape[:2], np.uint8)
    corners = np.round((np.asarray(outline) - 0.5) * 16).astype(np.int32)
    cv2.fillPoly(mask, [corners], 1, shift=4)
    size = 2 * max(round(grown), 1) + 1
    return cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))).astype(np.float32)


def _skin(patch: np.ndarray, around: np.ndarray) -> Float[np.ndarray, "h w"]:
    """How far each pixel around an eye is lit skin rather than lashes, make-up, or the shadow of the socket."""
    light = patch.mean(-1)
    usual = np.percentile(light[around > 0], 65) if (around > 0).any() else 1.0
    return around * (0.02 + 0.98 * np.clip((light / max(usual, 1.0) - 0.72) / 0.2, 0, 1)).astype(np.float32)


def _continued(patch: np.ndarray, known: np.ndarray, blur: float) -> Float[np.ndarray, "h w 3"]:
    """Means of the known colours around every pixel, over the narrowest of three reaches that meets enough of them."""
    import cv2

    total = np.zeros_like(patch)
    left = np.ones(patch.shape[:2], np.float32)
    for reach in (blur, 2.5 * blur, 8 * blur):
        weight = cv2.GaussianBlur(known, (0, 0), reach)
        colour = cv2.GaussianBlur(patch * known[..., None], (0, 0), reach) / np.maximum(weight, 1e-4)[..., None]
        share = left * (np.clip(weight / 0.2, 0, 1) if reach < 8 * blur else 1)
        total += colour * share[..., None]
        left = left - share
    return total


def _line(patch: np.ndarray, edge: Float[np.ndarray, "n 2"], width: float) -> Float[np.ndarray, "h w"]:
    """1 along the edge of the lid: a thin line, thinner towards the corners."""
    import cv2

    fine = 4
    canvas = np.zeros((patch.shape[0] * fine, patch.shape[1] * fine), np.float32)
    corners = np.round((edge[1:-1] * fine - 0.5) * 16).astype(np.int32)
    for start, stop, middle in zip(corners, corners[1:], np.linspace(-0.85, 0.85, len(corners) - 1), strict=False):
        thick = max(1, round(0.028 * width * fine * (1 - 0.6 * middle**2)))
        cv2.line(canvas, tuple(start.tolist()), tuple(stop.tolist()), 1.0, thick, cv2.LINE_8, 4)
    line = cv2.resize(canvas, patch.shape[1::-1], interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(line, (0, 0), max(0.008 * width, 0.4))
