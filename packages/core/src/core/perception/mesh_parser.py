"""Parts of a portrait without a network that knows them: the bundled outline, the face mesh and the photo's own colours.

The outline comes from MediaPipe's selfie segmentation, the parts from the face mesh and colours: the jaw line divides head and torso, and
hair that falls below it is followed by colour.
"""

import numpy as np
from jaxtyping import Bool, Float, UInt8

from core.perception.colours import hair_evidence, skin_distance
from core.perception.face_frame import FaceFrame, face_frame
from core.perception.matting import person_alpha
from core.perception.outline import disc, near, one_person, soft_head, with_face
from core.perception.parts import Parsing, Part

SKIN_LIMIT = 9.0
"""Squared distance (in standard deviations of the face's colour) up to which a pixel is skin."""


class MeshParser:
    """Needs nothing but what MediaPipe bundles."""

    def parse(self, image: UInt8[np.ndarray, "h w 3"], landmarks: Float[np.ndarray, "478 d"]) -> Parsing:
        """As `core.perception.parts.Parser.parse`."""
        frame = face_frame(landmarks, *image.shape[:2])
        alpha = with_face(person_alpha(image), frame)
        person = one_person(alpha > 0.5, frame.oval)
        alpha = alpha * near(person, frame.width)
        skin = skin_distance(image, frame.oval & (frame.v < 0.95)) < SKIN_LIMIT
        hair = _hair(image, person, skin, frame)
        head = _head(person, hair, frame)
        return Parsing(_label(person, head, skin & ~hair, frame), alpha * soft_head(image, head, person, frame), alpha)


def _head(person: Bool[np.ndarray, "h w"], hair: Bool[np.ndarray, "h w"], frame: FaceFrame) -> Bool[np.ndarray, "h w"]:
    """Face, everything above the ear lobes, and hair that hangs below them."""
    import cv2

    above = person & (frame.v < frame.lobe) & ~((np.abs(frame.u) > 2.2) & (frame.v > 0.6))
    head = above | (frame.oval & person) | _hanging(person & hair & ~frame.oval, above, frame)
    rest, tip = person & ~head, disc(0.02 * frame.width)
    _, parts = cv2.connectedComponents(cv2.morphologyEx(rest.astype(np.uint8), cv2.MORPH_OPEN, tip))
    low = np.unique(parts[-1])
    torso = cv2.dilate(np.isin(parts, low[low > 0]).astype(np.uint8), tip, iterations=2) > 0
    # curls and ear rings do not reach the bottom of the picture; narrow rims far from the face are torso all the same
    curls = rest & ~torso & (frame.v < 1.1) & (np.abs(frame.u) < 2.2)
    return head | curls if low.any() else head


def _hair(
    image: UInt8[np.ndarray, "h w 3"], person: Bool[np.ndarray, "h w"], skin: Bool[np.ndarray, "h w"], frame: FaceFrame
) -> Bool[np.ndarray, "h w"]:
    """Pixels coloured like the top of the head and unlike the face and the chest."""
    u, v = frame.u, frame.v
    seeds = person & ~frame.oval & ((v < 0.02) | ((v < 0.35) & ~skin))
    others = (person & (v > 1.35) & (np.abs(u) < 0.5)) | (frame.oval & skin)
    if seeds.sum() < 0.01 * frame.width**2:  # the top of the head is outside the picture
        return np.zeros_like(person)
    return hair_evidence(image, seeds, others) > 0.5


def _hanging(hair: Bool[np.ndarray, "h w"], above: Bool[np.ndarray, "h w"], frame: FaceFrame) -> Bool[np.ndarray, "h w"]:
    """Hair below the ear lobes, connected to hair beside the cheeks.

    Collars of the hair's colour do not pass, because with short hair there is nothing beside the cheeks that they could continue.
    """
    import cv2

    u, v = frame.u, frame.v
    found = np.zeros_like(hair)
    cleaned = cv2.morphologyEx(hair.astype(np.uint8), cv2.MORPH_OPEN, disc(0.015 * frame.width)) > 0
    cleaned &= ~((np.abs(u) < 0.55) & (v < 1.25))  # the throat's shadow
    for sign in (-1, 1):
        beside = cleaned & (v > frame.lobe - 0.3) & (v < frame.lobe - 0.02) & (sign * u > 0.75) & (sign * u < 2.2)
        if beside.sum() < 0.012 * frame.width**2:
            continue
        reach = float(np.percentile(np.abs(u[beside]), 98)) + 0.3
        region = (cleaned & (v > frame.lobe - 0.3) & (np.abs(u) < reach) & (sign * u > -0.1)).astype(np.uint8)
        _, parts = cv2.connectedComponents(region)
        touching = np.unique(parts[beside])
        found |= np.isin(parts, touching[touching > 0])
    closed = cv2.morphologyEx((found | above).astype(np.uint8), cv2.MORPH_CLOSE, disc(0.025 * frame.width)) > 0
    return found | (closed & hair)


def _label(
    person: Bool[np.ndarray, "h w"], head: Bool[np.ndarray, "h w"], skin: Bool[np.ndarray, "h w"], frame: FaceFrame
) -> UInt8[np.ndarray, "h w"]:
    import cv2

    smooth = cv2.medianBlur(skin.astype(np.uint8), 5) > 0
    labels = np.zeros(person.shape, np.uint8)
    labels[person] = Part.CLOTHES
    throat = (np.abs(frame.u) < 0.55) & (frame.v < 1.12)
    labels[person & (smooth | throat)] = Part.BODY_SKIN
    labels[person & head] = Part.HAIR
    labels[person & head & (frame.oval | (smooth & (frame.v > -0.2)))] = Part.FACE_SKIN
    return cv2.medianBlur(labels, 3)
