"""Measuring and editing expressions: how far mouth and eyes are open, closing them, and named motions as directions of the expression code.

Everything here is linear. A measure is a difference of vertex coordinates in canonical pose, so its change per unit of every code is a row
of 64 numbers; because the codes are whitened, the smallest code change that has given effects on some measures is also the most likely one
(conditional mean of a standard normal). A blink is the likeliest change given also that all points away from the lids were seen to rest.
Unit of all measures: the mean face's distance between the outer eye corners.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from core.face.model import FaceModel
from core.face.regions import LEFT_EYE, LIPS_INNER, OUTER_EYE_CORNERS, RIGHT_EYE

Difference = tuple[tuple[int, ...], tuple[int, ...], int]
"""Mean coordinate (0 x, 1 y, 2 z) of the first points less that of the second."""

MEASURES: dict[str, Difference] = {
    "mouth_gap": ((13,), (14,), 1),
    "mouth_width": ((291,), (61,), 0),
    "corner_height": ((61, 291), (0, 17), 1),
    "lip_protrusion": ((0, 17), (33, 263), 2),
    "chin_height": ((152,), (33, 263), 1),
    "eye_gap": ((159, 386), (145, 374), 1),
    "brow_height": ((105, 66, 334, 296), (33, 133, 263, 362), 1),
}


@dataclass(frozen=True)
class Motion:
    """A named motion.

    Attributes:
        effect: change of each driven measure at one unit, a full-strength motion.
        still: measures that the motion must not change.
        lids_only: whether every point away from the lids shall rest as well.
    """

    effect: dict[str, float]
    still: tuple[str, ...]
    lids_only: bool = False


MOTIONS: dict[str, Motion] = {
    "jaw_open": Motion({"mouth_gap": 0.30, "chin_height": -0.17}, ("mouth_width", "eye_gap", "brow_height")),
    "lips_wide": Motion({"mouth_width": 0.12}, ("mouth_gap", "eye_gap", "brow_height")),
    "lips_pursed": Motion({"mouth_width": -0.14, "lip_protrusion": 0.05}, ("mouth_gap", "eye_gap", "brow_height")),
    "lips_closed": Motion({"mouth_gap": -0.10}, ("chin_height", "mouth_width", "eye_gap", "brow_height")),
    "smile": Motion({"corner_height": 0.06, "mouth_width": 0.10}, ("mouth_gap", "brow_height")),
    "brows_up": Motion({"brow_height": 0.05}, ("mouth_gap", "mouth_width", "eye_gap")),
    "blink": Motion({"eye_gap": -0.09}, ("mouth_gap", "mouth_width", "brow_height"), lids_only=True),
}

_LID_PAIRS = tuple((ring[k], ring[-k]) for ring in (RIGHT_EYE, LEFT_EYE) for k in range(2, 7))
_LIP_PAIRS = tuple((LIPS_INNER[k], LIPS_INNER[-k]) for k in range(1, 10))
_RIDGE = 1e-6
_LID_REACH = 0.1
"""Distance from the borders of the eyes within which skin moves with the lids."""
_REST = 0.005
"""Standard deviation of points that shall rest, while codes have 1: small enough for still brows, large enough for likely codes."""


def _unit(face: FaceModel) -> Float[Tensor, ""]:
    right, left = face.keypoints468[list(OUTER_EYE_CORNERS)]
    return (face.mean[left] - face.mean[right]).norm()


def _row(face: FaceModel, measure: Difference) -> Float[Tensor, "64"]:
    """Change of a measure per unit of every expression code."""
    plus, minus, axis = measure
    points = face.exp_basis[face.keypoints468, axis]
    return (points[list(plus)].mean(0) - points[list(minus)].mean(0)) / _unit(face)


def _gaps(
    face: FaceModel, id: Float[Tensor, "b 80"], exp: Float[Tensor, "b 64"], pairs: tuple[tuple[int, int], ...]
) -> Float[Tensor, "b n"]:
    """Height of the first point of every pair over the second."""
    y = face.keypoints(id, exp)[..., 1]
    upper, lower = (list(side) for side in zip(*pairs, strict=True))
    return (y[:, upper] - y[:, lower]) / _unit(face)


def mouth_opening(face: FaceModel, id: Float[Tensor, "b 80"], exp: Float[Tensor, "b 64"]) -> Float[Tensor, " b"]:
    """Height of the mouth hole in its middle; 0 closed, about 0.1 in speech, 0.4 wide open."""
    return _gaps(face, id, exp, ((13, 14),))[:, 0]


def eye_opening(face: FaceModel, id: Float[Tensor, "b 80"], exp: Float[Tensor, "b 64"]) -> Float[Tensor, " b"]:
    """Mean height of both eye holes in their middle; 0 closed, about 0.09 open."""
    return _gaps(face, id, exp, ((159, 145), (386, 374))).mean(1)


def _stiffness(face: FaceModel) -> Float[Tensor, "64 64"]:
    """Inverse covariance of the code once every point away from the lids is known to rest within ``_REST``."""
    points, unit = face.mean[face.keypoints468], _unit(face)
    far = torch.cdist(points, points[list(RIGHT_EYE + LEFT_EYE)]).amin(1) > _LID_REACH * unit
    motion = (face.exp_basis[face.keypoints468][far & face.matched468] / (unit * _REST)).flatten(0, 1).double()
    return torch.eye(motion.shape[1]).to(motion) + motion.T @ motion


def _least_change(
    rows: Float[Tensor, "k 64"], change: Float[Tensor, "b k"], stiffness: Float[Tensor, "64 64"] | None = None
) -> Float[Tensor, "b 64"]:
    """Smallest code changes with the given effects, measured by ``stiffness`` (None: all directions alike)."""
    rows, wanted = rows.double(), change.double()
    reach = rows.T if stiffness is None else torch.linalg.solve(stiffness, rows.T)
    ridge = _RIDGE * torch.eye(len(rows)).to(rows)
    return (torch.linalg.solve(rows @ reach + ridge, wanted.T).T @ reach.T).to(change)


def motion_axis(face: FaceModel, name: str) -> Float[Tensor, "64"]:
    """Direction of a named motion in the expression code; one unit has the effects that ``MOTIONS[name]`` lists.

    Args:
        face: the face model.
        name: ``jaw_open`` (lips part by 0.30 of the eye distance, chin 0.17 down), ``lips_wide`` (mouth 0.12 wider), ``lips_pursed`` (0.14
            narrower, 0.05 forward), ``lips_closed`` (lips approach by 0.10 over a resting jaw), ``smile`` (corners 0.06 up, 0.10 wider),
            ``brows_up`` (0.05), ``blink`` (lids approach by 0.09).

    Raises:
        ValueError: no such motion.
    """
    if name not in MOTIONS:
        raise ValueError(f"no motion {name!r}; choose one of {', '.join(MOTIONS)}")
    motion = MOTIONS[name]
    names = (*motion.effect, *motion.still)
    rows = torch.stack([_row(face, MEASURES[measure]) for measure in names])
    change = rows.new_tensor([[motion.effect.get(measure, 0.0) for measure in names]])
    return _least_change(rows, change, _stiffness(face) if motion.lids_only else None)[0]


def _close(
    face: FaceModel,
    id: Float[Tensor, "b 80"],
    exp: Float[Tensor, "b 64"],
    pairs: tuple[tuple[int, int], ...],
    still: tuple[str, ...],
    amount: Float[Tensor, " b"],
    stiffness: Float[Tensor, "64 64"] | None = None,
) -> Float[Tensor, "b 64"]:
    """Shrink the gaps between paired points to ``1 - amount`` of what they are; gaps that are not open stay."""
    rows = torch.stack([_row(face, ((upper,), (lower,), 1)) for upper, lower in pairs] + [_row(face, MEASURES[name]) for name in still])
    gaps = _gaps(face, id, exp, pairs).clamp_min(0) * amount[:, None]
    return exp + _least_change(rows, torch.cat([-gaps, gaps.new_zeros(len(gaps), len(still))], 1), stiffness)


def close_eyes(
    face: FaceModel, id: Float[Tensor, "b 80"], exp: Float[Tensor, "b 64"], amount: Float[Tensor, " b"]
) -> Float[Tensor, "b 64"]:
    """Edit expression codes so that the eyes close by ``amount`` (0 as they are, 1 shut), whatever their opening now.

    Unlike ``motion_axis(face, "blink")`` it knows the face: five pairs of lid points per eye meet. The rest of the face stays where it is
    as nearly as expressions allow, so that a pose estimated from it does not drift.
    """
    return _close(face, id, exp, _LID_PAIRS, ("mouth_gap", "mouth_width", "brow_height"), amount, _stiffness(face))


def close_lips(
    face: FaceModel, id: Float[Tensor, "b 80"], exp: Float[Tensor, "b 64"], amount: Float[Tensor, " b"]
) -> Float[Tensor, "b 64"]:
    """Edit expression codes so that the lips close by ``amount`` (0 as they are, 1 shut) from any opening; eyes and brows stay."""
    return _close(face, id, exp, _LIP_PAIRS, ("eye_gap", "brow_height"), amount)


def uncross(face: FaceModel, id: Float[Tensor, "b 80"], exp: Float[Tensor, "b 64"]) -> Float[Tensor, "b 64"]:
    """Edit expression codes that push a lip or a lid through its opposite (sampled or extrapolated codes may) so that both just touch."""
    pairs = _LIP_PAIRS + _LID_PAIRS
    rows = torch.stack([_row(face, ((upper,), (lower,), 1)) for upper, lower in pairs])
    return exp + _least_change(rows, (-_gaps(face, id, exp, pairs)).clamp_min(0))
