"""Gauss-Newton steps that fit the morphable face to landmarks: many frames at once, with an identity of their own or in common.

Residuals are in 3DMM units (image distances divided by the scale at the face's depth), so that one noise level serves faces of any size.
The unknowns of a frame are (turn 3, move 3, expression 64); a shared identity (80) is solved for first, through the Schur complement.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from core.camera import FIT_DISTANCE, FIT_FOCAL

POSE = 6


@dataclass(frozen=True)
class Basis:
    """The face model at the 468 points.

    Attributes:
        mean: mean points.
        id: motion per identity code.
        exp: motion per expression code.
    """

    mean: Float[Tensor, "n 3"]
    id: Float[Tensor, "n 3 80"]
    exp: Float[Tensor, "n 3 64"]


@dataclass(frozen=True)
class Evidence:
    """What the frames show.

    Attributes:
        points: image coordinates from the image centre, y up, in image sides; a third coordinate grows towards the viewer.
        weights: weight of every residual, 1 / noise in 3DMM units; column 2 belongs to the third coordinate (0: none).
    """

    points: Float[Tensor, "b n 3"]
    weights: Float[Tensor, "b n 3"]


@dataclass(frozen=True)
class State:
    """Current estimate; ``id`` has one row when the frames share it."""

    id: Float[Tensor, "i 80"]
    exp: Float[Tensor, "b 64"]
    rotation: Float[Tensor, "b 3 3"]
    trans: Float[Tensor, "b 3"]


def skew(v: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 3"]:
    """Matrix of the cross product ``v x .``."""
    x, y, z = v.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))


def affine_pose(mean: Float[Tensor, "n 3"], evidence: Evidence) -> tuple[Float[Tensor, "b 3 3"], Float[Tensor, "b 3"]]:
    """First rotation and translation: least squares under a scaled orthographic camera (DeMenthon and Davis 1995, first step)."""
    design = torch.cat([mean, torch.ones_like(mean[:, :1])], 1)
    solution = torch.linalg.pinv(design) @ evidence.points[..., :2]  # (b, 4, 2)
    u, s, vt = torch.linalg.svd(solution[:, :3].transpose(1, 2), full_matrices=False)
    rows = u @ vt
    scale = s.mean(1)
    rotation = torch.cat([rows, torch.linalg.cross(rows[:, :1], rows[:, 1:])], 1)
    trans = torch.cat([solution[:, 3] / scale[:, None], FIT_DISTANCE - FIT_FOCAL / scale[:, None]], 1)
    return rotation, trans


def posed(basis: Basis, state: State) -> tuple[Float[Tensor, "b n 3"], Float[Tensor, "b n 3"]]:
    """Turned points, and turned and moved points."""
    shape = basis.mean + (state.id @ basis.id.flatten(0, 1).T + state.exp @ basis.exp.flatten(0, 1).T).unflatten(1, (-1, 3))
    turned = shape @ state.rotation.transpose(1, 2)
    return turned, turned + state.trans[:, None]


def residuals(points: Float[Tensor, "b n 3"], evidence: Evidence) -> Float[Tensor, "b n 3"]:
    """Evidence less projection in 3DMM units; the third column compares depths up to a common offset."""
    depth = FIT_DISTANCE - points[..., 2:]
    unit = depth.mean(1, keepdim=True) / FIT_FOCAL
    flat = (evidence.points[..., :2] - FIT_FOCAL * points[..., :2] / depth) * unit
    relief = evidence.points[..., 2:] * unit - points[..., 2:]
    return torch.cat([flat, relief - relief.mean(1, keepdim=True)], 2)


def _design(basis: Basis, evidence: Evidence, state: State, with_id: bool) -> tuple[list[Float[Tensor, "b m _"]], Float[Tensor, "b m"]]:
    """Derivatives of the predictions by pose (turn, move), expression and perhaps identity, and residuals, all weighted."""
    turned, points = posed(basis, state)
    depth = FIT_DISTANCE - points[..., 2]
    ratio = depth.mean(1, keepdim=True) / depth
    zero = torch.zeros_like(ratio)
    rows = [ratio, zero, ratio * points[..., 0] / depth, zero, ratio, ratio * points[..., 1] / depth, zero, zero, torch.ones_like(ratio)]
    columns = 3 if evidence.weights[..., 2].any() else 2
    camera = torch.stack(rows, -1).unflatten(-1, (3, 3))[:, :, :columns]  # (b, n, columns, 3): by moved point
    shape = camera @ state.rotation[:, None]
    bases = [basis.exp, basis.id] if with_id else [basis.exp]
    parts = [torch.cat([camera @ -skew(turned), camera], 3), *(torch.einsum("bnki,nij->bnkj", shape, axes) for axes in bases)]
    weights = evidence.weights[..., :columns]
    for part in parts:
        part[:, :, 2:] -= part[:, :, 2:].mean(1, keepdim=True)  # depths are compared up to an offset
        part *= weights[..., None]
    error = residuals(points, evidence)[..., :columns] * weights
    return [part.flatten(1, 2) for part in parts], error.flatten(1, 2)


def _turn(rotation: Float[Tensor, "b 3 3"], step: Float[Tensor, "b 3"]) -> Float[Tensor, "b 3 3"]:
    """Rotate further by a small rotation vector."""
    return torch.linalg.matrix_exp(skew(step)) @ rotation


def _solve_shared(
    normal: Float[Tensor, "b k k"], right: Float[Tensor, "b k"], own: int, prior: Float[Tensor, "k"]
) -> tuple[Float[Tensor, "b own"], Float[Tensor, " rest"]]:
    """Steps of ``own`` unknowns per frame and of the rest, which the frames share (and whose prior counts once)."""
    block, coupling = normal[:, :own, :own] + torch.diag(prior[:own]), normal[:, :own, own:]
    solved = torch.linalg.solve(block, torch.cat([coupling, right[:, :own, None]], 2))
    schur = (normal[:, own:, own:] - coupling.transpose(1, 2) @ solved[..., :-1]).sum(0) + torch.diag(prior[own:])
    rest = torch.linalg.solve(schur, (right[:, own:] - (coupling.transpose(1, 2) @ solved[..., -1:])[..., 0]).sum(0))
    return solved[..., -1] - solved[..., :-1] @ rest, rest


def gauss_newton(basis: Basis, evidence: Evidence, state: State, steps: int, exp_prior: float, id_prior: float = 0.0) -> State:
    """Iterate on pose and expression, and on the one identity that all frames share if ``id_prior`` is positive.

    Args:
        basis: the model.
        evidence: frames.
        state: where to start.
        steps: number of iterations.
        exp_prior: weight of ``|exp|^2`` of every frame.
        id_prior: weight of ``|id|^2``; 0 keeps the identity.
    """
    shared, own = id_prior > 0, POSE + 64
    prior = state.exp.new_tensor([1e-6] * POSE + [exp_prior] * 64 + [id_prior] * (80 if shared else 0), dtype=torch.float64)
    for _ in range(steps):
        design, error = _design(basis, evidence, state, shared)
        normal = torch.cat([torch.cat([a.transpose(1, 2) @ b for b in design], 2) for a in design], 1).double()
        right = torch.cat([torch.einsum("bmk,bm->bk", part, error) for part in design], 1).double()
        right[:, POSE:own] -= exp_prior * state.exp
        if shared:
            right[:, own:] -= id_prior * state.id / len(state.exp)
        step, rest = _solve_shared(normal, right, own, prior)
        step = step.float()
        state = replace(
            state,
            rotation=_turn(state.rotation, step[:, :3]),
            trans=state.trans + step[:, 3:POSE],
            exp=state.exp + step[:, POSE:],
            id=state.id + rest.float() if shared else state.id,
        )
    return state
