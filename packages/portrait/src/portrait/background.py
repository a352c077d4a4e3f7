"""The background that the person is set on: the photograph's own, a colour, or a picture."""

import os
from pathlib import Path

import numpy as np
import torch
from core.errors import PortraitError
from core.media.files import shortened
from core.media.image import read_image
from jaxtyping import Float, UInt8
from torch import Tensor

from portrait.source import Source, to_network


def centre_square(image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "s s 3"]:
    """The largest square in the middle: the aspect ratio is kept."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]


def colour(name: str) -> tuple[int, int, int] | None:
    """RGB of ``#rgb``, ``#rrggbb``, ``rgb(r, g, b)`` or a CSS colour name; None when ``name`` is none of these."""
    from PIL import ImageColor

    try:
        red, green, blue, *_ = ImageColor.getrgb(name)
    except ValueError:
        return None
    return (red, green, blue) if max(red, green, blue) <= 255 else None


def choose_background(choice: str | Path | None, source: Source) -> Float[Tensor, "1 3 s s"]:
    """The background picture for ``source`` in [-1, 1].

    Args:
        choice: None or ``"source"`` for the photograph's own filled-in background, a colour, or a picture file (cut to a square).
        source: the prepared photograph.

    Raises:
        PortraitError: ``E_BACKGROUND`` for a word that is neither a file nor a colour; else what reading the picture raises.
    """
    size = source.head.shape[-1]
    if choice is None or choice == "source":
        return source.background
    file = os.path.expanduser(choice)
    is_file = os.path.exists(file)
    rgb = None if is_file else colour(str(choice))
    if rgb is not None:
        return (torch.tensor(rgb, dtype=torch.float32) / 127.5 - 1).view(1, 3, 1, 1).expand(1, 3, size, size).contiguous()
    if not is_file:
        raise PortraitError("E_BACKGROUND", f"no such file or colour: {shortened(choice)!r}",
                            "Give a picture, a colour such as '#204060' or 'teal', or 'source'.")  # fmt: skip
    return to_network(centre_square(read_image(file)), size)
