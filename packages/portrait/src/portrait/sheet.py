"""Contact sheet: what each stage made of a few frames, as one picture."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

if TYPE_CHECKING:
    from portrait.pipeline import Frame

COLUMNS = ("source", "PNCC", "raw render", "depth", "result")


def sheet_frames(total: int, rows: int = 4) -> list[int]:
    """Indices of up to ``rows`` frames spread evenly over ``total``, away from the very ends."""
    return sorted({int((row + 0.5) * total / rows) for row in range(rows)}) if total else []


def _cell(image: UInt8[np.ndarray, "h w 3"], side: int) -> UInt8[np.ndarray, "s s 3"]:
    from PIL import Image

    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))


def contact_sheet(source: UInt8[np.ndarray, "s s 3"], frames: "Sequence[Frame]", side: int = 256) -> UInt8[np.ndarray, "h w 3"]:
    """One row per frame with the columns source, PNCC, raw render, depth and result.

    Args:
        source: the cropped photograph.
        frames: frames that carry their maps (asked for through ``maps=`` of ``Portrait.animate``).
        side: of one cell in pixels.
    """
    from PIL import Image, ImageDraw, ImageFont

    pictures = [(source, frame.maps["pncc"], frame.maps["raw"], frame.maps["depth"], frame.image) for frame in frames]
    rows = [np.concatenate([_cell(image, side) for image in row], 1) for row in pictures]
    header = Image.new("RGB", (len(COLUMNS) * side, 28), "white")
    draw, font = ImageDraw.Draw(header), ImageFont.load_default(size=16)
    for column, title in enumerate(COLUMNS):
        draw.text((column * side + 8, 4), title, font=font, fill="black")
    return np.concatenate([np.asarray(header), *rows])
