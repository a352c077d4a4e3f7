"""The visible mark: a small "AI generated" label in the lower right corner."""

import numpy as np
from jaxtyping import Float, UInt8

BADGE_TEXT = "AI generated"


def badge_patch(side: int) -> tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w 1"]]:
    """The label for an image of ``side`` pixels: colour in [0, 255] and opacity in [0, 1]."""
    from PIL import Image, ImageDraw, ImageFont

    size = max(6, round(side * 0.028))
    font = ImageFont.load_default(size=size)
    left, top, right, bottom = font.getbbox(BADGE_TEXT)
    pad = max(1, size // 3)
    width, height = min(int(right - left) + 2 * pad, side), min(int(bottom - top) + 2 * pad, side)
    plate = Image.new("L", (width, height), 0)
    ImageDraw.Draw(plate).rounded_rectangle((0, 0, width - 1, height - 1), radius=pad, fill=255)
    text = Image.new("L", (width, height), 0)
    ImageDraw.Draw(text).text((pad - left, pad - top), BADGE_TEXT, font=font, fill=255)
    letters = np.asarray(text, np.float32)[..., None] / 255
    opacity = np.maximum(np.asarray(plate, np.float32)[..., None] / 255 * 0.45, letters * 0.9)
    return np.repeat(letters * 255, 3, axis=2), opacity


class Badge:
    """Draws the label; the patch is made once per image size.

    Args:
        side: width and height of the images.
    """

    def __init__(self, side: int) -> None:
        colour, opacity = badge_patch(side)
        height, width = opacity.shape[:2]
        margin = max(1, round(side * 0.015))
        bottom, right = max(side - margin, height), max(side - margin, width)
        self._area = (slice(bottom - height, bottom), slice(right - width, right))
        self._keep, self._add = 1 - opacity, colour * opacity

    def __call__(self, image: UInt8[np.ndarray, "s s 3"]) -> UInt8[np.ndarray, "s s 3"]:
        """A copy of ``image`` with the label."""
        marked = image.copy()
        marked[self._area] = (marked[self._area] * self._keep + self._add + 0.5).astype(np.uint8)
        return marked
