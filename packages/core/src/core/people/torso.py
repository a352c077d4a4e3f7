"""The flat torso of a lifted person: what the head hides of neck and shoulders is completed, so that the head can move away from it."""

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy.ndimage import gaussian_filter, label

from core.people.canvas import HEAD_CLASSES, TORSO_CLASSES
from core.people.openings import continue_colours

NECK = 0.68
"""Half width of the hidden part of the neck, in half widths of the face."""
TUCKED = 0.03
"""How far the torso goes on behind whatever of the head hides it, in sides of the photograph."""


def complete_torso(
    image: UInt8[np.ndarray, "s s 3"], mask: Float[np.ndarray, "s s"], labels: UInt8[np.ndarray, "s s"], xy: Float[np.ndarray, "468 2"]
) -> tuple[UInt8[np.ndarray, "s s 3"], Float[np.ndarray, "s s"]]:
    """Tidy an inpainted torso.

    Loose pieces (ear lobes, strands) go; the continuation behind the head is narrowed to a neck; behind hair that hangs over the
    shoulders the line of the shoulders is interpolated.

    Args:
        image: colours of the torso, continued upwards behind the head.
        mask: its opacity.
        labels: segmentation of the photograph.
        xy: landmarks.

    Returns:
        Colours that are meaningful everywhere, and the opacity.
    """
    side = image.shape[0]
    head, torso = np.isin(labels, HEAD_CLASSES), np.isin(labels, TORSO_CLASSES)
    visible = _standing(torso)
    if not visible.any():
        return image, np.zeros_like(mask)
    seen = mask * gaussian_filter(_grown(visible, 3).astype(np.float32), 1.0) * ~head
    neck = _neck(xy, side) * (mask > 0.3)
    hidden = np.maximum(neck, _shoulders(visible, head) | _grown(visible, round(TUCKED * side))) * head
    soft = gaussian_filter(np.maximum(hidden, visible).astype(np.float32), 1.0)
    alpha = np.where(head, soft, np.maximum(seen, soft * (mask > 0.5)))
    known = visible | (head & (neck > 0.5) & (mask > 0.7))
    return continue_colours(image, known, 3.0), np.clip(alpha, 0, 1).astype(np.float32)


def _grown(mask: Bool[np.ndarray, "h w"], pixels: int) -> Bool[np.ndarray, "h w"]:
    from scipy.ndimage import binary_dilation

    return binary_dilation(mask, iterations=pixels)


def _standing(torso: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The connected parts that reach the lower border, or else the largest."""
    parts, count = label(torso)
    if not count:
        return torso
    low = np.unique(parts[-3:])
    low = low[low > 0]
    return np.isin(parts, low) if len(low) else parts == np.bincount(parts.ravel())[1:].argmax() + 1


def _neck(xy: Float[np.ndarray, "468 2"], side: int) -> Float[np.ndarray, "s s"]:
    """Soft region where a neck can be: below the mouth, narrower than the jaw."""
    down = xy[152] - xy[10]
    tall = float(np.linalg.norm(down))
    down = down / tall
    across = np.array([down[1], -down[0]])
    half = abs(float((xy[454] - xy[234]) @ across)) / 2
    grid = (np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1) + 0.5) / side - (xy[10] + xy[152]) / 2
    u, v = np.abs(grid @ across) / half, grid @ down / tall
    return np.clip((NECK - u) / 0.06, 0, 1) * np.clip((v - 0.05) / 0.1, 0, 1)


def _shoulders(visible: Bool[np.ndarray, "h w"], head: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Below the line between the shoulders' free outlines, where hair hides them."""
    height, width = visible.shape
    top = np.where(visible.any(0), visible.argmax(0), height)
    above = head[np.maximum(top - 3, 0), np.arange(width)]
    free = visible.any(0) & ~above
    columns = np.flatnonzero(free)
    if len(columns) < 2:
        return np.zeros_like(visible)
    line = np.interp(np.arange(width), columns, top[columns])
    return np.arange(height)[:, None] > np.maximum(line, line.min())[None] + 2
