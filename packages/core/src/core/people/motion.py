"""Random and named poses and expressions for made people."""

from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float

from core.camera import FIT_DISTANCE, rotation_from_euler
from core.face.coeffs import FaceCoeffs
from core.face.torso_points import NECK
from core.people.eyes import MAX_GAZE
from core.people.person import Person
from core.people.statistics import expression_motion

Named = Literal["neutral", "open", "smile", "pursed", "blink"]
NAMED: tuple[str, ...] = get_args(Named)
MAX_PITCH, MAX_YAW, MAX_ROLL = np.radians([20.0, 38.0, 15.0])
MAX_ELEVATION = np.arcsin(2 / np.pi * np.radians(26.0))
NEARER, FARTHER = 1.4, 0.9
"""How far a random camera comes closer than the source view's and goes away from it, 3DMM units."""
NEAREST, FARTHEST = (2.4 - 0.161) / 0.27, (5.0 - 0.161) / 0.27
"""Distances of the paper's cameras (2.4 to 5.0 in the world of the tri-plane) in 3DMM units."""
Code = Float[np.ndarray, "64"]


def turn_about_neck(base: FaceCoeffs, euler: Float[np.ndarray, "3"], shift: Float[np.ndarray, "3"] | None = None) -> Float[np.ndarray, "3"]:
    """Translation that keeps the foot of the neck where ``base`` has it (plus ``shift``, 3DMM units) while the head turns to ``euler``."""
    before = rotation_from_euler(base.euler[:1].double())[0].numpy()
    after = rotation_from_euler(torch.as_tensor(np.asarray(euler, np.float64))[None])[0].numpy()
    trans = base.trans[0].double().numpy() + before @ np.array(NECK) - after @ np.array(NECK)
    return (trans + (0 if shift is None else shift)).astype(np.float32)


def sample_pose(person: Person, rng: np.random.Generator) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """A random view (spec 9.1): every other one drawn evenly from a part of a sphere, the others like the poses of talking people.

    The sphere: yaw within 38 degrees, elevation within 16.6 (26 as ``Camera.look_at`` counts it), distance within 2.4 to 5.0 world units as
    far as the source view's framing allows. Yaw stays within ``person.reach`` of the source view: a photograph lacks its far side.

    Returns:
        euler in radians and trans in 3DMM units.
    """
    base = person.coeffs
    if rng.random() < 0.5:
        euler = np.array([rng.uniform(-1, 1) * MAX_ELEVATION, rng.uniform(-1, 1) * MAX_YAW, np.clip(rng.normal(), -2, 2) * np.radians(3.0)])
        shift = np.append(np.clip(rng.normal(size=2), -2, 2) * [0.08, 0.06], rng.uniform(-FARTHER, NEARER))
    else:
        limits = np.array([MAX_PITCH, MAX_YAW, MAX_ROLL])
        euler = np.clip(rng.normal(size=3) * np.radians([8.5, 17.0, 5.0]), -limits, limits)
        shift = np.clip(rng.normal(size=3), -2, 2) * np.array([0.08, 0.06, 0.45])
    own = float(base.euler[0, 1])
    euler[1] = np.clip(euler[1], own - person.reach, own + person.reach)
    trans = turn_about_neck(base, euler, shift)
    trans[2] = np.clip(trans[2], FIT_DISTANCE - FARTHEST, FIT_DISTANCE - NEAREST)
    return euler.astype(np.float32), trans


def steady_gaze(person: Person, euler: Float[np.ndarray, "3"], hold: float = 0.5) -> Float[np.ndarray, "2"]:
    """Eyes that half stay where they look while the head turns: yaw and pitch in the head for ``render``.

    Args:
        person: whose gaze and pose in the source view are the start.
        euler: pitch, yaw, roll that the head turns to.
        hold: 0 the eyes turn with the head, 1 they keep their target.
    """
    turned = np.asarray(euler, np.float64)[[1, 0]] - person.coeffs.euler[0].double().numpy()[[1, 0]]
    return np.clip(person.eyes.rest - hold * turned, -MAX_GAZE, MAX_GAZE).astype(np.float32)


def sample_gaze(person: Person, rng: np.random.Generator, spread: float = np.radians(9.0)) -> Float[np.ndarray, "2"]:
    """A random gaze: mostly near that of the source view, wider sideways (``spread``, radians) than up and down."""
    return np.clip(person.eyes.rest + rng.normal(size=2) * spread * [1.0, 0.56], -MAX_GAZE, MAX_GAZE).astype(np.float32)


def _edit(person: Person, code: Code, lids: float = 0.0, lips: float = 0.0) -> Code:
    """Close lids and lips by 0..1 for this person's face."""
    from core.face.expression import close_eyes, close_lips
    from core.face.model import FaceModel

    face, exp = FaceModel.embedded(), torch.as_tensor(code, dtype=torch.float32)[None]
    if lips > 0:
        exp = close_lips(face, person.coeffs.id, exp, torch.tensor([float(lips)]))
    if lids > 0:
        exp = close_eyes(face, person.coeffs.id, exp, torch.tensor([float(lids)]))
    return exp[0].numpy()


def axis(name: str) -> Code:
    """One unit of a named motion of ``core.face.expression``."""
    from core.face.expression import motion_axis
    from core.face.model import FaceModel

    return motion_axis(FaceModel.embedded(), name).numpy()


def sample_expression(person: Person, rng: np.random.Generator) -> Code:
    """A random expression: some of the person's own, some at random, speech-like or wide mouths, blinks; one in twelve is neutral."""
    if rng.random() < 1 / 12:
        return named(person, "neutral")
    own = person.coeffs.exp[0].numpy()
    code = own * rng.uniform(0, 0.7) + rng.normal(size=64).astype(np.float32) * rng.uniform(0.2, 0.55)
    code = code + axis("brows_up") * rng.normal() * 0.5
    kind = rng.random()
    if kind < 0.22:
        code = code + axis("lips_pursed") * rng.uniform(0.2, 1.0)
    elif kind < 0.4:
        code = code + axis("smile") * rng.uniform(0.2, 0.9)
    elif kind < 0.5:
        code = code + axis("lips_wide") * rng.uniform(0.2, 0.9)
    code = _edit(person, code, lips=1.0)
    mouth = rng.random()
    if mouth > 0.3:
        code = code + axis("jaw_open") * (rng.uniform(0.05, 0.5) if mouth < 0.8 else rng.uniform(0.5, 1.2))
    lids = rng.random()
    return _edit(person, code, lids=1.0 if lids < 0.15 else rng.uniform(0.2, 0.9) if lids < 0.3 else 0.0)


def neighbours(code: Code, rng: np.random.Generator) -> tuple[Code, Code]:
    """The expression one video frame (1/25 s) before and after, moving as measured in talking faces."""
    before, now, after = expression_motion(3, rng)
    return (code + before - now).astype(np.float32), (code + after - now).astype(np.float32)


def named(person: Person, kind: Named) -> Code:
    """One of five expressions that show what a person can do."""
    if kind == "neutral":
        return _edit(person, np.zeros(64, np.float32), lips=1.0)
    if kind == "blink":
        return _edit(person, person.coeffs.exp[0].numpy(), lids=1.0)
    rest = _edit(person, np.zeros(64, np.float32), lips=1.0)
    return (rest + {"open": axis("jaw_open") * 0.9, "smile": axis("smile"), "pursed": axis("lips_pursed")}[kind]).astype(np.float32)
