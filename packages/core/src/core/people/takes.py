"""Takes: someone talks, looks about and moves for some seconds, 25 frames a second."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from core.people.eyes import MAX_GAZE
from core.people.geometry import Pose
from core.people.motion import axis, named, steady_gaze, turn_about_neck
from core.people.person import Person, PersonFrame, render
from core.people.statistics import FPS, expression_motion, head_motion

TORSO_DELAY = 0.12
"""Seconds that the torso of a take needs to follow the head."""
_SETTLING = FPS


@dataclass(frozen=True)
class Take:
    """Codes of consecutive frames.

    Attributes:
        exp: whitened expression codes.
        euler: pitch, yaw, roll, radians.
        trans: 3DMM units.
        gaze: yaw and pitch of the eyes in the head, radians.
        torso_lag: see ``PersonFrame``.
    """

    exp: Float[np.ndarray, "t 64"]
    euler: Float[np.ndarray, "t 3"]
    trans: Float[np.ndarray, "t 3"]
    gaze: Float[np.ndarray, "t 2"]
    torso_lag: Float[np.ndarray, "t 3"]

    def __len__(self) -> int:
        return len(self.exp)

    def render(self, person: Person, frame: int, size: int = 512, step: int = 2) -> PersonFrame:
        """Show one frame."""
        pose = self.exp[frame], self.euler[frame], self.trans[frame]
        return render(person, *pose, size, step, gaze=self.gaze[frame], torso_lag=self.torso_lag[frame])


def sample_take(person: Person, frames: int, rng: np.random.Generator, torso_delay: float = TORSO_DELAY) -> Take:
    """A random take: expressions and head motion with measured statistics, blinks, glances, and a torso that follows with delay.

    Args:
        person: who.
        frames: how many.
        rng: decides everything.
        torso_delay: time constant in seconds; 0: the torso follows at once.
    """
    total = frames + _SETTLING
    turns, sways = head_motion(total, rng)
    limit = person.reach
    own = person.coeffs.euler[0].double().numpy()
    middle = own * [1.0, 1.0, 0.5] + rng.normal(size=3) * np.radians([3.0, 7.0, 1.5])
    euler = middle + turns * rng.uniform(0.5, 1.3)
    euler[:, 1] = own[1] + limit * np.tanh((euler[:, 1] - own[1]) / limit)
    sways *= rng.uniform(0.5, 1.3)
    trans = np.stack([turn_about_neck(person.coeffs, angles, shift) for angles, shift in zip(euler, sways, strict=True)])
    lag = torso_lag(person, euler, trans, torso_delay)
    gaze = np.stack([steady_gaze(person, angles, 0.7) for angles in euler]) + glances(total, rng)
    parts = euler, trans, np.clip(gaze, -MAX_GAZE, MAX_GAZE), lag
    return Take(_talking(person, frames, rng), *(part[_SETTLING:].astype(np.float32) for part in parts))


def _talking(person: Person, frames: int, rng: np.random.Generator) -> Float[np.ndarray, "t 64"]:
    """Expression codes around a mild version of the person's own, lips and lids never crossed, with blinks."""
    from core.face.expression import close_eyes, uncross
    from core.face.model import FaceModel

    rest = named(person, "neutral") + 0.3 * rng.uniform() * person.coeffs.exp[0].numpy() + axis("jaw_open") * rng.uniform(0.05, 0.2)
    face, exp = FaceModel.embedded(), torch.from_numpy(rest + rng.uniform(0.6, 1.1) * expression_motion(frames, rng)).float()
    id = person.coeffs.id.expand(frames, -1)
    return close_eyes(face, id, uncross(face, id, exp), torch.from_numpy(blinks(frames, rng))).numpy()


def blinks(frames: int, rng: np.random.Generator) -> Float[np.ndarray, " t"]:
    """How far the eyes are closed, 0..1: lids fall in 0.1 s and rise in 0.2 s; pauses are log-normal around 3 s."""
    time, amount = np.arange(frames) / FPS, np.zeros(frames, np.float32)
    middle = rng.uniform(0, 3)
    while middle < frames / FPS:
        away = np.where(time < middle, (middle - time) / 0.1, (time - middle) / 0.2)
        amount = np.maximum(amount, 0.5 + 0.5 * np.cos(np.pi * np.minimum(away, 1)))
        middle += 0.3 + rng.lognormal(np.log(2.8), 0.5)
    return amount.astype(np.float32)


def glances(frames: int, rng: np.random.Generator) -> Float[np.ndarray, "t 2"]:
    """Where the eyes look beside their target, yaw and pitch in radians: they jump, and rest for about a second."""
    jumps = rng.random(frames) < 1 / FPS
    jumps[0] = True
    targets = rng.normal(size=(frames, 2)) * np.radians([5.0, 3.0])
    return targets[np.maximum.accumulate(np.where(jumps, np.arange(frames), 0))]


def torso_lag(person: Person, euler: Float[np.ndarray, "t 3"], trans: Float[np.ndarray, "t 3"], delay: float) -> Float[np.ndarray, "t 3"]:
    """How far a torso is behind the foot of the neck that it follows, camera space, 3DMM units.

    The torso goes the way of the neck through a low-pass: per frame it makes up for ``1 - exp(-1 / (25 delay))`` of its distance.

    Args:
        person: whose torso.
        euler: angles of consecutive frames.
        trans: their translations.
        delay: time constant in seconds; 0: none.
    """
    path = np.stack([Pose.from_euler(*pose).apply(person.torso.pivot[None])[0] for pose in zip(euler, trans, strict=True)])
    if delay <= 0:
        return np.zeros_like(path)
    keep, torso = np.exp(-1 / (FPS * delay)), path.copy()
    for frame in range(1, len(path)):
        torso[frame] = path[frame] + keep * (torso[frame - 1] - path[frame])
    return torso - path
