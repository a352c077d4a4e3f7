"""A larger sheet around the photograph: what the picture's border cut off of the head is completed, so that it can turn into view."""

import numpy as np
from jaxtyping import Float, UInt8
from scipy.ndimage import gaussian_filter

HEAD_CLASSES, TORSO_CLASSES = (1, 3, 5), (2, 4)
"""Segmentation labels of the head (hair, face, other) and the torso (neck and body skin, clothes)."""
HAIR = 1

PAD = 0.1875
"""Width of the added margin on every side, in sides of the photograph."""
ROUNDNESS = 0.9
"""Height over half width of the crown."""


def to_canvas(xy: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    """Photograph coordinates to canvas coordinates in [0, 1]."""
    return (xy + PAD) / (1 + 2 * PAD)


def from_canvas(xy: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    """Canvas coordinates to photograph coordinates."""
    return xy * (1 + 2 * PAD) - PAD


def extend(
    image: UInt8[np.ndarray, "s s 3"], labels: UInt8[np.ndarray, "s s"], alpha: Float[np.ndarray, "s s"]
) -> tuple[UInt8[np.ndarray, "c c 3"], UInt8[np.ndarray, "c c"], Float[np.ndarray, "c c"]]:
    """Complete a head that the upper border cuts: a dome over the cut whose hair continues that below.

    Args:
        image: photograph.
        labels: its segmentation.
        alpha: soft head mask.
    """
    side = image.shape[0]
    pad = round(PAD * side)
    around = ((pad, pad), (pad, pad))
    picture = np.pad(image, (*around, (0, 0)), mode="reflect")
    classes, mask = np.pad(labels, around, mode="edge"), np.pad(alpha, around, mode="edge")
    classes[:pad], mask[:pad] = 0, 0.0
    cut = (alpha[:3].min(0) > 0.5) & np.isin(labels[0], HEAD_CLASSES)
    if cut.sum() < 4:
        return picture, classes, mask
    columns = np.flatnonzero(cut)
    wide = 0.5 * float((alpha > 0.5).sum(1).max())
    centre, half = (columns[0] + columns[-1]) / 2, (columns[-1] - columns[0]) / 2 + 1
    wide = max(wide, 1.02 * half)  # the crown continues an ellipse as wide as the head
    x, rise = np.arange(side), ROUNDNESS * wide
    base = np.sqrt(1 - (half / wide) ** 2)
    dome = rise * (np.sqrt(np.clip(1 - ((x - centre) / wide) ** 2, 0, 1)) - base)  # rows above the border
    dome = np.clip(dome, 0, 0.97 * pad)
    above = np.arange(pad, 0, -1)[:, None]
    mask[:pad, pad:-pad] = gaussian_filter(np.clip(dome[None] - above + 0.5, 0, 1), (0.8, 0.8)) * cut
    mask[pad - 1, pad:-pad] = np.maximum(mask[pad - 1, pad:-pad], cut * (dome > 1))
    hair = np.where(labels == labels[:1], 0, 1)
    depth = np.where(hair.any(0), hair.argmax(0), side)  # rows of the same class below the border
    depth = np.clip(depth - 4, 1, None)
    row = (above - 1) % (2 * depth)
    row = np.minimum(row, 2 * depth - 1 - row)
    picture[:pad, pad:-pad] = image[row, x[None]]
    classes[:pad, pad:-pad] = np.where(mask[:pad, pad:-pad] > 0.01, labels[:1], 0)
    return picture, classes, mask
