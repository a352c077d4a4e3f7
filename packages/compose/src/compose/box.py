"""The rectangle of an image that is worth computing."""

from dataclasses import dataclass

from jaxtyping import Bool, Shaped
from torch import Tensor

STEP = 4
"""Boxes start and end on multiples of this, so that few different shapes occur (libraries prepare kernels per shape)."""


@dataclass(frozen=True)
class Box:
    """Rows ``top:bottom`` and columns ``left:right`` of a base image; ``scale`` in the methods is pixels per base pixel."""

    top: int
    bottom: int
    left: int
    right: int

    @classmethod
    def whole(cls, image: Shaped[Tensor, "b c h w"]) -> "Box":
        """All of an image."""
        return cls(0, image.shape[2], 0, image.shape[3])

    @classmethod
    def around(cls, mask: Bool[Tensor, "b 1 h w"], margin: int) -> "Box":
        """All true pixels of a batch and ``margin`` pixels around them; one step in the corner where there are none."""
        sides = []
        for axis in (3, 2):
            line = mask.any(axis).any(0).any(0)
            hits = line.nonzero().flatten()
            first, last = (int(hits[0]), int(hits[-1]) + 1) if len(hits) else (0, 0)
            start = max(0, first - margin) // STEP * STEP
            sides += [start, min(len(line), max(start + STEP, -(-(last + margin) // STEP) * STEP))]
        return cls(*sides)

    def cut(self, image: Shaped[Tensor, "b c h w"], scale: int = 1) -> Shaped[Tensor, "b c hh ww"]:
        """The part of ``image`` inside the box."""
        rows, columns = slice(self.top * scale, self.bottom * scale), slice(self.left * scale, self.right * scale)
        return image[:, :, rows, columns]

    def paste(self, part: Shaped[Tensor, "b c hh ww"], image: Shaped[Tensor, "b c h w"], scale: int = 1) -> Shaped[Tensor, "b c h w"]:
        """A copy of ``image`` in which the box holds ``part``."""
        if part.shape == image.shape:
            return part
        image = image.clone()
        self.cut(image, scale).copy_(part)
        return image
