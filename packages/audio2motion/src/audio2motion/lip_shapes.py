"""Rounded and tucked lips as directions of the expression code.

A few pairs of lip points say what a shape is: in "oo" the corners come in, the lips come forward and the hole is round, open in its
middle and shut beside it; in "f" the red of the lower lip goes back and under the upper teeth. The direction is the likeliest code change
that comes near to all of them (codes are whitened, so that is the least one), as `core.face.expression` does for named motions; near,
because a model of measured faces has no exact "oo", and exact numbers would have to be paid with unlikely faces. Unit: the distance of the
outer eye corners.
"""

from collections.abc import Sequence

import torch
from core.face.expression import MEASURES, Difference
from core.face.model import FaceModel
from core.face.regions import OUTER_EYE_CORNERS
from jaxtyping import Float
from torch import Tensor

Shape = Sequence[tuple[Difference, float]]
"""By how much the mean coordinate of some points shall grow against that of others."""

_X, _Y, _Z = range(3)
_PARTED = (((13,), (14,)), ((82,), (87,)), ((312,), (317,)), ((81,), (178,)), ((311,), (402,)), ((80,), (88,)), ((310,), (318,)),
           ((191,), (95,)), ((415,), (324,)))  # fmt: skip
"""Facing points of the inner lips, from the middle to the corners."""
_STILL: Shape = ((MEASURES["eye_gap"], 0.0), (MEASURES["brow_height"], 0.0))


def _parted(middle: float, *sides: float) -> Shape:
    """Inner lips apart by so much in the middle and at pairs farther and farther beside it."""
    amounts = [middle, *(side for side in sides for _ in range(2))]
    return [((upper, lower, _Y), amount) for (upper, lower), amount in zip(_PARTED, amounts, strict=False)]


ROUNDED: Shape = (
    (MEASURES["mouth_width"], -0.18), (((308,), (78,), _X), -0.22), (MEASURES["lip_protrusion"], 0.09),
    *_parted(0.07, 0.06, 0.03, 0.0, 0.0), *_STILL,
)  # fmt: skip
"""A firm "oo"."""
TUCKED: Shape = (
    (MEASURES["mouth_width"], 0.0), *_parted(0.03, 0.027),
    (((14,), (17,), _Y), -0.08), (((87,), (84,), _Y), -0.072), (((317,), (314,), _Y), -0.072),
    (((13,), (14,), _Z), 0.05), (((82,), (87,), _Z), 0.05), (((312,), (317,), _Z), 0.05), (((0,), (1,), _Y), 0.01),
    *_STILL,
)  # fmt: skip
"""The lower lip thin and behind the upper one, at the teeth."""
_GIVE = 1e-4
"""How far a shape may be missed for a likelier face: variance that is granted to every amount."""


def shape_axis(face: FaceModel, shape: Shape) -> Float[Tensor, "64"]:
    """Code change that brings the lips near to ``shape``; one unit is the whole shape."""
    right, left = face.mean[face.keypoints468[list(OUTER_EYE_CORNERS)]]
    rows = torch.stack([_row(face, measure) for measure, _ in shape]).double() / float((left - right).norm())
    wanted = torch.tensor([amount for _, amount in shape], dtype=torch.float64)
    spread = rows @ rows.T + _GIVE * torch.eye(len(rows), dtype=torch.float64)
    return (rows.T @ torch.linalg.solve(spread, wanted)).to(face.exp_basis)


def _row(face: FaceModel, measure: Difference) -> Float[Tensor, "64"]:
    """Change of a measure per unit of every code, in face units."""
    plus, minus, axis = measure
    points = face.exp_basis[face.keypoints468, axis]
    return points[list(plus)].mean(0) - points[list(minus)].mean(0)
