"""Parts of a portrait from a network that knows them: MediaPipe's multi-class selfie segmentation or another of its kind."""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from core.perception.face_frame import face_frame
from core.perception.matting import recolour, refine_alpha
from core.perception.outline import near, one_person, soft_head, with_face
from core.perception.parts import HEAD, Parsing, Part


@runtime_checkable
class Segmenter(Protocol):
    """Tells the parts of people apart."""

    def classes(self, image: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "6 h w"]:
        """Probability of every `Part` at every pixel."""


class ClassParser:
    """Takes the parts from a segmenter and their soft edges from the picture."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter

    def parse(self, image: UInt8[np.ndarray, "h w 3"], landmarks: Float[np.ndarray, "478 d"]) -> Parsing:
        """As `core.perception.parts.Parser.parse`: everybody but the owner of the face is background."""
        classes = self._segmenter.classes(image)
        frame = face_frame(landmarks, *image.shape[:2])
        alpha = with_face(refine_alpha(image, recolour(image, 1 - classes[Part.BACKGROUND])), frame)
        person = one_person(alpha > 0.5, frame.oval)
        alpha = alpha * near(person, frame.width)
        inside = np.uint8(1) + classes[1:].argmax(axis=0).astype(np.uint8)  # the likeliest part, given that it is the person
        labels = np.where(person, inside, np.uint8(Part.BACKGROUND))
        head = np.isin(labels, HEAD)
        return Parsing(labels, alpha * soft_head(image, head, person, frame), alpha)
