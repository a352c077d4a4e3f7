"""Parts of a portrait without a network that knows them: the bundled outline, the face mesh and the photo's own colours."""

import numpy as np
from jaxtyping import Bool, Float, UInt8

from core.perception.face_frame import FaceFrame, face_frame
from core.perception.matting import person_alpha
from core.perception.outline import disc, near, one_person, soft_head, with_face
from core.perception.part_odds import View, look, part_odds
from core.perception.parts import Parsing, Part
from core.perception.walk import random_walk

SURE = 50.0
"""Trust in pixels that belong to the head by their place."""


class MeshParser:
    """Needs nothing but what MediaPipe bundles."""

    def parse(self, image: UInt8[np.ndarray, "h w 3"], landmarks: Float[np.ndarray, "478 d"]) -> Parsing:
        """As `core.perception.parts.Parser.parse`."""
        frame = face_frame(landmarks, *image.shape[:2])
        alpha = with_face(person_alpha(image), frame)
        person = one_person(alpha > 0.5, frame.oval)
        alpha = alpha * near(person, frame.width)
        view = look(image, landmarks, person, frame.width)
        odds = part_odds(view)
        head = _whole(_enlarged(_head_share(view, odds), view.person, person.shape) > 0.5, person, frame)
        return Parsing(_label(odds, head, person, view), alpha * soft_head(image, head, person, frame), alpha)


def _head_share(view: View, odds: Float[np.ndarray, "4 h w"]) -> Float[np.ndarray, "h w"]:
    """Hair and face against neck and clothes; where colours say little, the line follows edges of the picture."""
    import cv2

    asked = view.person & (cv2.dilate(view.doubtful.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)  # with their sure neighbours
    belief = np.where(view.doubtful, odds[0] + odds[1], 1)
    trust = np.where(view.doubtful, 0.03 + 0.25 * np.square(2 * belief - 1), SURE)
    return np.where(asked, random_walk(view.lab, asked, belief, trust), view.person).astype(np.float32)


def _enlarged(values: Float[np.ndarray, "h w"], known: Bool[np.ndarray, "h w"], shape: tuple[int, ...]) -> Float[np.ndarray, "h2 w2"]:
    """Resize what is known inside a mask, continued outside by the nearest value."""
    import cv2

    _, nearest = cv2.distanceTransformWithLabels((~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    of_label = np.zeros(nearest.max() + 1, np.float32)
    of_label[nearest[known]] = values[known]
    return cv2.resize(of_label[nearest], shape[::-1], interpolation=cv2.INTER_CUBIC)


def _whole(head: Bool[np.ndarray, "h w"], person: Bool[np.ndarray, "h w"], frame: FaceFrame) -> Bool[np.ndarray, "h w"]:
    """The part of the head that hangs together with the face; what is left over beside it (curls, ear rings) joins it."""
    import cv2

    head = (head | frame.oval) & person
    _, parts = cv2.connectedComponents(head.astype(np.uint8))
    head &= np.isin(parts, np.unique(parts[frame.oval & head]))
    rest, tip = person & ~head, disc(0.02 * frame.width)
    _, parts = cv2.connectedComponents(cv2.morphologyEx(rest.astype(np.uint8), cv2.MORPH_OPEN, tip))
    low = np.unique(parts[-1])
    if not low.any():
        return head
    torso = cv2.dilate(np.isin(parts, low[low > 0]).astype(np.uint8), tip, iterations=2) > 0
    return head | (rest & ~torso & (frame.v < 1.3) & (np.abs(frame.u) < 2.5))


def _label(
    odds: Float[np.ndarray, "4 a b"], head: Bool[np.ndarray, "h w"], person: Bool[np.ndarray, "h w"], view: View
) -> UInt8[np.ndarray, "h w"]:
    import cv2

    hairy = _enlarged(odds[0] - odds[1], view.person, person.shape) > 0
    bare = _enlarged(odds[2] - odds[3], view.person, person.shape) > 0
    labels = np.where(head, np.where(hairy, Part.HAIR, Part.FACE_SKIN), np.where(bare, Part.BODY_SKIN, Part.CLOTHES)).astype(np.uint8)
    smooth = cv2.medianBlur(labels * person, 5)
    return np.where(smooth > 0, smooth, labels) * person
