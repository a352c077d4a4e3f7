"""Square windows of an image that may reach over its border."""

import numpy as np
from jaxtyping import UInt8


def cut_square(image: UInt8[np.ndarray, "h w 3"], left: int, top: int, side: int, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """Cut the square at (left, top), in pixels, and resize it to ``size``; outside the image its border pixels are repeated."""
    import cv2

    height, width = image.shape[:2]
    inner = image[
        max(0, min(top, height - 1)) : max(1, min(top + side, height)), max(0, min(left, width - 1)) : max(1, min(left + side, width))
    ]
    before_y, before_x = min(max(0, -top), side - 1), min(max(0, -left), side - 1)
    after_y, after_x = side - before_y - inner.shape[0], side - before_x - inner.shape[1]
    if before_y or before_x or after_y or after_x:
        inner = cv2.copyMakeBorder(inner, before_y, max(0, after_y), before_x, max(0, after_x), cv2.BORDER_REPLICATE)[:side, :side]
    if side == size:
        return np.ascontiguousarray(inner)
    return cv2.resize(inner, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_CUBIC)
