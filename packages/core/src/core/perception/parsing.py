"""Parts of a portrait: head (hair, face) against torso (neck, clothes) against background.

The outline comes from MediaPipe's selfie segmentation, the parts from the face mesh and colours: the jaw line divides head and torso, and
hair that falls below it is followed by colour. A network that knows hair and clothes would do better, but none comes with MediaPipe.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from jaxtyping import Bool, Float, UInt8

from core.perception.colours import hair_evidence, skin_distance
from core.perception.matting import guided_filter, person_alpha

# fmt: off
FACE_OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
             152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)
# fmt: on
SKIN_LIMIT = 9.0
"""Squared distance (in standard deviations of the face's colour) up to which a pixel is skin."""


class Part(IntEnum):
    """Classes of spec section 10, in the order of MediaPipe's multi-class selfie segmentation."""

    BACKGROUND = 0
    HAIR = 1
    BODY_SKIN = 2
    FACE_SKIN = 3
    CLOTHES = 4
    OTHER = 5


@dataclass(frozen=True)
class Parsing:
    """Parts of one portrait."""

    labels: UInt8[np.ndarray, "h w"]
    """One `Part` for every pixel."""
    head_alpha: Float[np.ndarray, "h w"]
    """Opacity of head and hair, in [0, 1]."""
    person_alpha: Float[np.ndarray, "h w"]
    """Opacity of head and torso, in [0, 1]."""


@dataclass(frozen=True)
class _Frame:
    """Coordinates of all pixels along the face's own axes, so that a tilted head is handled like an upright one."""

    u: Float[np.ndarray, "h w"]
    """Across, 0 in the middle, -1 and 1 at the sides of the face."""
    v: Float[np.ndarray, "h w"]
    """Down, 0 at the top of the forehead, 1 at the chin."""
    oval: Bool[np.ndarray, "h w"]
    """Inside the outline of the face, chin included."""
    lobe: Float[np.ndarray, "h w"]
    """v of the ear lobe on the side of the pixel."""
    width: float
    """Of the face, in pixels."""


def parse(image: UInt8[np.ndarray, "h w 3"], landmarks: Float[np.ndarray, "478 d"]) -> Parsing:
    """Divide a portrait into head, torso and background.

    Args:
        image: RGB, head and shoulders.
        landmarks: of the face, x and y normalised by width and height.
    """
    alpha = person_alpha(image)
    frame = _frame(landmarks, *image.shape[:2])
    alpha = np.maximum(alpha, _shrunk(frame.oval, frame.width).astype(np.float32))
    person = _one_person(alpha > 0.5, frame.oval)
    alpha = alpha * _near(person, frame.width)
    skin = skin_distance(image, frame.oval & (frame.v < 0.95)) < SKIN_LIMIT
    hair = _hair(image, person, skin, frame)
    head = _head(person, hair, frame)
    return Parsing(_label(person, head, skin & ~hair, frame), alpha * _soft(image, head, person, frame), alpha)


def _frame(landmarks: Float[np.ndarray, "478 d"], height: int, width: int) -> _Frame:
    import cv2

    points = landmarks[:, :2] * np.array([width, height], np.float32)
    top, chin, left, right = points[10], points[152], points[234], points[454]
    down = chin - top
    across = np.array([down[1], -down[0]])  # to the viewer's right for an upright face
    middle = (left + right) / 2
    half = max(float(np.linalg.norm(right - left)) / 2, 0.3 * float(np.linalg.norm(down)))
    y, x = np.mgrid[:height, :width].astype(np.float32)
    length = float(down @ down)
    v = ((x - top[0]) * down[0] + (y - top[1]) * down[1]) / length
    u = ((x - middle[0]) * across[0] + (y - middle[1]) * across[1]) / (np.sqrt(length) * half)
    outline = points[list(FACE_OVAL)]
    outline = outline + 0.02 * (outline - outline.mean(axis=0))
    oval = np.zeros((height, width), np.uint8)
    cv2.fillPoly(oval, [np.round(outline * 16).astype(np.int32)], 1, shift=4)
    lobes = [np.float32((points[i] - top) @ down / length) + 0.02 for i in (132, 361)]
    return _Frame(u.astype(np.float32), v.astype(np.float32), oval > 0, np.where(u < 0, *lobes), 2 * half)


def _shrunk(mask: Bool[np.ndarray, "h w"], width: float) -> Bool[np.ndarray, "h w"]:
    import cv2

    return cv2.erode(mask.astype(np.uint8), _disc(0.04 * width)) > 0


def _disc(radius: float) -> UInt8[np.ndarray, "k k"]:
    import cv2

    side = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))


def _near(mask: Bool[np.ndarray, "h w"], width: float) -> Float[np.ndarray, "h w"]:
    """1 on and around the mask, falling to 0 within a tenth of the face's width; removes loose specks and other people."""
    import cv2

    away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5) / (0.1 * width)
    return np.clip(2 - 2 * away, 0, 1).astype(np.float32)


def _one_person(person: Bool[np.ndarray, "h w"], face: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The connected parts that touch the face, without holes."""
    import cv2

    _, parts = cv2.connectedComponents((person | face).astype(np.uint8))
    keep = np.unique(parts[face])
    found = np.isin(parts, keep[keep > 0]).astype(np.uint8)
    outlines, _ = cv2.findContours(found, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(found, outlines, -1, 1, cv2.FILLED) > 0


def _head(person: Bool[np.ndarray, "h w"], hair: Bool[np.ndarray, "h w"], frame: _Frame) -> Bool[np.ndarray, "h w"]:
    """Face, everything above the ear lobes, and hair that hangs below them."""
    import cv2

    above = person & (frame.v < frame.lobe) & ~((np.abs(frame.u) > 2.2) & (frame.v > 0.6))
    head = above | (frame.oval & person) | _hanging(person & hair & ~frame.oval, above, frame)
    rest, disc = person & ~head, _disc(0.02 * frame.width)
    _, parts = cv2.connectedComponents(cv2.morphologyEx(rest.astype(np.uint8), cv2.MORPH_OPEN, disc))
    low = np.unique(parts[-1])
    torso = cv2.dilate(np.isin(parts, low[low > 0]).astype(np.uint8), disc, iterations=2) > 0
    # curls and ear rings do not reach the bottom of the picture; narrow rims far from the face are torso all the same
    curls = rest & ~torso & (frame.v < 1.1) & (np.abs(frame.u) < 2.2)
    return head | curls if low.any() else head


def _hair(
    image: UInt8[np.ndarray, "h w 3"], person: Bool[np.ndarray, "h w"], skin: Bool[np.ndarray, "h w"], frame: _Frame
) -> Bool[np.ndarray, "h w"]:
    """Pixels coloured like the top of the head and unlike the face and the chest."""
    u, v = frame.u, frame.v
    seeds = person & ~frame.oval & ((v < 0.02) | ((v < 0.35) & ~skin))
    others = (person & (v > 1.35) & (np.abs(u) < 0.5)) | (frame.oval & skin)
    if seeds.sum() < 0.01 * frame.width**2:  # the top of the head is outside the picture
        return np.zeros_like(person)
    return hair_evidence(image, seeds, others) > 0.5


def _hanging(hair: Bool[np.ndarray, "h w"], above: Bool[np.ndarray, "h w"], frame: _Frame) -> Bool[np.ndarray, "h w"]:
    """Hair below the ear lobes, connected to hair beside the cheeks.

    Collars of the hair's colour do not pass, because with short hair there is nothing beside the cheeks that they could continue.
    """
    import cv2

    u, v = frame.u, frame.v
    found = np.zeros_like(hair)
    cleaned = cv2.morphologyEx(hair.astype(np.uint8), cv2.MORPH_OPEN, _disc(0.015 * frame.width)) > 0
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
    closed = cv2.morphologyEx((found | above).astype(np.uint8), cv2.MORPH_CLOSE, _disc(0.025 * frame.width)) > 0
    return found | (closed & hair)


def _label(
    person: Bool[np.ndarray, "h w"], head: Bool[np.ndarray, "h w"], skin: Bool[np.ndarray, "h w"], frame: _Frame
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


def _soft(
    image: UInt8[np.ndarray, "h w 3"], head: Bool[np.ndarray, "h w"], person: Bool[np.ndarray, "h w"], frame: _Frame
) -> Float[np.ndarray, "h w"]:
    """Share of the person's opacity that is head: follows strands over clothes, one pixel soft along the jaw."""
    import cv2

    _, nearest = cv2.distanceTransformWithLabels((~person).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    of_label = np.zeros(nearest.max() + 1, np.float32)
    of_label[nearest[person]] = head[person]
    spread = of_label[nearest]  # the background belongs to the part beside it
    strands = np.clip((guided_filter(image.astype(np.float32) / 255, spread, max(2, round(0.03 * frame.width)), 1e-3) - 0.1) / 0.8, 0, 1)
    plain = cv2.GaussianBlur(spread, (0, 0), max(0.7, 0.006 * frame.width))
    jaw = cv2.GaussianBlur(((np.abs(frame.u) < 0.9) & (frame.v > 0.5)).astype(np.float32), (0, 0), 0.04 * frame.width)
    return (jaw * plain + (1 - jaw) * strands).astype(np.float32)
