"""Places of a video where nothing moves: there a result has no excuse."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float, UInt8

TOLERANCE = 16
"""8-bit levels by which a channel may vary over a clip: sensor and codec noise, not motion."""
MARGIN = 4
"""Pixels around whatever moves that do not count either."""


def steady_mask(frames: Iterable[UInt8[np.ndarray, "h w 3"]]) -> Float[np.ndarray, "h w"] | None:
    """1 where no channel varies by more than ``TOLERANCE`` over the whole clip, with ``MARGIN`` to what does; None without frames.

    Frames are looked at one by one. Each is averaged over 3 x 3 pixels first, against noise.
    """
    import cv2

    low: np.ndarray | None = None
    high: np.ndarray | None = None
    for frame in frames:
        smooth = cv2.blur(frame, (3, 3))
        low = smooth if low is None else np.minimum(low, smooth)
        high = smooth if high is None else np.maximum(high, smooth)
    if low is None or high is None:
        return None
    moving = ((high - low) > TOLERANCE).any(2).astype(np.uint8)
    return 1.0 - cv2.dilate(moving, np.ones((2 * MARGIN + 1, 2 * MARGIN + 1), np.uint8)).astype(np.float32)
