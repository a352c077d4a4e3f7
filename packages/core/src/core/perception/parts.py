"""What a parsing of a portrait is, whoever makes it."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8


class Part(IntEnum):
    """Classes of spec section 10, in the order of MediaPipe's multi-class selfie segmentation."""

    BACKGROUND = 0
    HAIR = 1
    BODY_SKIN = 2
    FACE_SKIN = 3
    CLOTHES = 4
    OTHER = 5


HEAD = (Part.HAIR, Part.FACE_SKIN, Part.OTHER)
"""The classes that move with the skull; the torso is ``BODY_SKIN`` and ``CLOTHES``."""


@dataclass(frozen=True)
class Parsing:
    """Parts of one portrait."""

    labels: UInt8[np.ndarray, "h w"]
    """One `Part` for every pixel."""
    head_alpha: Float[np.ndarray, "h w"]
    """Opacity of head and hair, in [0, 1]."""
    person_alpha: Float[np.ndarray, "h w"]
    """Opacity of head and torso, in [0, 1]."""


@runtime_checkable
class Parser(Protocol):
    """Divides a portrait into its parts."""

    def parse(self, image: UInt8[np.ndarray, "h w 3"], landmarks: Float[np.ndarray, "478 d"]) -> Parsing:
        """Parts of an RGB picture of head and shoulders; landmarks are normalised by its width and height."""
