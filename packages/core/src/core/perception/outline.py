"""The outline of one person, and of the head within it: hard masks to soft opacities."""

import numpy as np
from jaxtyping import Bool, Float, UInt8

from core.perception.face_frame import FaceFrame
from core.perception.matting import guided_filter


def disc(radius: float) -> UInt8[np.ndarray, "k k"]:
    """Structuring element of at least one pixel's radius."""
    import cv2

    side = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))


def with_face(alpha: Float[np.ndarray, "h w"], frame: FaceFrame) -> Float[np.ndarray, "h w"]:
    """Opacity of a person whose face is surely opaque."""
    import cv2

    return np.maximum(alpha, cv2.erode(frame.oval.astype(np.uint8), disc(0.04 * frame.width)).astype(np.float32))


def one_person(person: Bool[np.ndarray, "h w"], face: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The connected parts that touch the face, without holes."""
    import cv2

    _, parts = cv2.connectedComponents((person | face).astype(np.uint8))
    keep = np.unique(parts[face])
    found = np.isin(parts, keep[keep > 0]).astype(np.uint8)
    outlines, _ = cv2.findContours(found, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(found, outlines, -1, 1, cv2.FILLED) > 0


def near(mask: Bool[np.ndarray, "h w"], width: float) -> Float[np.ndarray, "h w"]:
    """1 on and around the mask, falling to 0 within a tenth of the face's width; removes loose specks and other people."""
    import cv2

    away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5) / (0.1 * width)
    return np.clip(2 - 2 * away, 0, 1).astype(np.float32)


def soft_head(
    image: UInt8[np.ndarray, "h w 3"], head: Bool[np.ndarray, "h w"], person: Bool[np.ndarray, "h w"], frame: FaceFrame
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
