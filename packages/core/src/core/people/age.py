"""Older and younger, against the skew of a set of photographs: lines of the skin deepened or softened, hair greyed or coloured again."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy.ndimage import gaussian_filter

from core.people.canvas import to_canvas
from core.people.geometry import LAYER_BACK, LAYER_FRONT, LAYER_SIDE, project
from core.people.lighting import with_photograph
from core.people.person import Person
from core.people.tone import HAIR, SKIN, skin_share, usual_colour

FINE, COARSE = 0.003, 0.028
"""Widths of lines and folds in sides of the canvas: Gaussians between which skin detail lies."""
SILVER = np.array([178.0, 176.0, 174.0])
"""Grey hair in a well exposed photograph."""
_NOSTRILS = (2, 98, 327)
DYE = np.array([74.0, 54.0, 40.0])
"""Hair that grey hair may have been."""


@dataclass(frozen=True)
class Age:
    """A change of looks.

    Attributes:
        lines: factor on the contrast of lines and folds; 1 unchanged, 0.6 clearly smoother, 1.6 clearly older.
        grey: how far hair goes towards grey, 0..1; negative: how far grey hair goes back to brown.
    """

    lines: float
    grey: float

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "Age":
        """Older or younger with equal odds; hair goes along, not always and not evenly."""
        years = rng.uniform(-1, 1)
        hair = rng.uniform(0.3, 1.0) if rng.random() < 0.75 else 0.0
        return cls(float(np.exp(0.47 * years)), float(0.5 * hair * years))


def age(person: Person, change: Age) -> Person:
    """The same person looking older or younger; eyes, brows, lips, clothes and background stay."""
    usual = usual_colour(person)
    textures = person.textures.copy()
    free = _plain_skin(person, textures.shape[1])
    for layer in (LAYER_FRONT, LAYER_BACK, LAYER_SIDE):
        colours, classes = textures[layer, ..., :3], person.classes[layer]
        skin = skin_share(colours, classes, usual)
        hairy = (classes == HAIR).astype(np.float32)
        alike = float((skin * hairy).sum() / max(hairy.sum(), 1))  # hair of the colour of skin cannot be told from it: change it less
        hair = gaussian_filter(hairy * np.clip(1.2 - 1.6 * skin, 0, 1), 3.0) * max(1 - 1.5 * alike, 0)
        lined = _lines(colours, np.isin(classes, SKIN) & free if layer != LAYER_BACK else np.zeros_like(free), change.lines)
        textures[layer, ..., :3] = _greyed(lined, hair, change.grey)
    return with_photograph(replace(person, textures=textures), person)


def _plain_skin(person: Person, side: int) -> Bool[np.ndarray, "c c"]:
    """Where no eye, brow, nostril or lip is: their contrast is not age."""
    import cv2

    from core.face.regions import LEFT_BROW, LEFT_EYE, LIPS_OUTER, RIGHT_BROW, RIGHT_EYE

    xy = to_canvas(project(person.source_pose.apply(person.motion.measured))) * side
    wide = float(np.linalg.norm(xy[263] - xy[33]))
    taken = np.zeros((side, side), np.uint8)
    rings = (RIGHT_EYE, 0.05), (LEFT_EYE, 0.05), (RIGHT_BROW, 0.06), (LEFT_BROW, 0.06), (LIPS_OUTER, 0.03), (_NOSTRILS, 0.07)
    for ring, margin in rings:
        hull = cv2.convexHull(np.round(xy[list(ring)]).astype(np.int32))
        cv2.fillConvexPoly(taken, hull, 1)
        cv2.polylines(taken, [hull], True, 1, max(1, round(2 * margin * wide)))
    return taken == 0


def _lines(image: UInt8[np.ndarray, "c c 3"], where: Bool[np.ndarray, "c c"], factor: float) -> UInt8[np.ndarray, "c c 3"]:
    """Scale brightness detail between ``FINE`` and ``COARSE`` in the skin, measured within the skin only, away from its borders."""
    side = len(image)
    inside = where.astype(np.float32)
    light = np.log(image.astype(np.float32).mean(-1) + 8) * inside

    def smooth(width: float) -> np.ndarray:
        return gaussian_filter(light, width * side) / np.maximum(gaussian_filter(inside, width * side), 1e-3)

    detail = np.clip(smooth(FINE / 3) - smooth(COARSE), -0.35, 0.35)
    deep = np.where(detail < 0, 1.0, 0.5)  # lines are dark; highlights beside them hardly change
    share = np.clip(2.2 * gaussian_filter(inside, 0.012 * side) - 1.2, 0, 1)
    return np.clip(image * np.exp((factor - 1) * detail * deep * share)[..., None] + 0.5, 0, 255).astype(np.uint8)


def _greyed(image: UInt8[np.ndarray, "c c 3"], hair: Float[np.ndarray, "c c"], grey: float) -> UInt8[np.ndarray, "c c 3"]:
    """Hair towards silver or brown: its mean colour moves, the shading of its strands stays; light strands grey first."""
    if not grey or hair.sum() < 50:
        return image
    colours = image.astype(np.float32)
    mean = np.maximum((colours * hair[..., None]).sum((0, 1)) / hair.sum(), 4)
    goal = SILVER * min(1.0, 0.55 + 0.45 * float(mean.mean()) / 120) if grey > 0 else np.minimum(DYE, mean)
    strands = colours.mean(-1) / float(mean.mean())
    amount = np.clip(abs(grey) * np.clip(0.45 + 0.55 * strands if grey > 0 else np.ones_like(strands), 0.2, 1.2), 0, 1)[..., None]
    shade = np.clip(strands, 0.12, 1.7)[..., None] ** (0.65 if grey > 0 else 1.0)  # grey hair has less contrast
    changed = colours + amount * (goal * shade - colours)
    return np.clip(colours + hair[..., None] * (changed - colours) + 0.5, 0, 255).astype(np.uint8)
