"""What the frames of a made person's clip shall show, decided before any of them is drawn.

Stills come first: ``groups`` expressions, the first that of the source view, each seen by several cameras; frame 0 is the source view
itself. Triples follow: three consecutive frames each, from one take of the person talking.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from core.people.motion import neighbours, sample_expression, sample_gaze, sample_pose
from core.people.person import Person, PersonFrame, render, render_source
from core.people.takes import sample_take

FAR = 50
"""Frames that the triples of a take are apart at least (spec 9.2)."""


@dataclass(frozen=True)
class PlanOptions:
    """How many frames of which kind, and how they move."""

    frames: int = 12
    """Stills of a person."""
    groups: int = 3
    """Expressions among them."""
    triples: int = 0
    """Triples t-1, t, t+1, besides."""
    gaze: float = 3.0
    """Standard deviation of the gaze sideways, degrees, in the groups of stills; 0: as in the source view."""
    torso_delay: float = 0.0
    """Seconds by which the torso of triples lags behind the head (``core.people.takes.TORSO_DELAY`` looks natural); the label
    ``torso_keypoints`` tells networks where it is."""

    def __len__(self) -> int:
        return self.frames + 3 * self.triples


@dataclass(frozen=True)
class ClipPlan:
    """All frames of a clip.

    Attributes:
        group: frames with one number share expression and gaze and differ in camera.
        take: frames with one number belong to one recording; stills each have their own.
        time: number of the video frame within the take.
        exp: expression.
        exp_before: the same one video frame (1/25 s) earlier.
        exp_after: one later.
        euler: radians.
        trans: 3DMM units.
        gaze: radians.
        torso_lag: 3DMM units.
    """

    group: Int[np.ndarray, " n"]
    take: Int[np.ndarray, " n"]
    time: Int[np.ndarray, " n"]
    exp: Float[np.ndarray, "n 64"]
    exp_before: Float[np.ndarray, "n 64"]
    exp_after: Float[np.ndarray, "n 64"]
    euler: Float[np.ndarray, "n 3"]
    trans: Float[np.ndarray, "n 3"]
    gaze: Float[np.ndarray, "n 2"]
    torso_lag: Float[np.ndarray, "n 3"]

    def __len__(self) -> int:
        return len(self.group)

    def render(self, person: Person, index: int, size: int) -> PersonFrame:
        """Draw one frame; frame 0 is the source view."""
        if index == 0:
            return render_source(person, size)
        pose = self.exp[index], self.euler[index], self.trans[index]
        return render(person, *pose, size, gaze=self.gaze[index], torso_lag=self.torso_lag[index])


def plan_clip(person: Person, options: PlanOptions, rng: np.random.Generator) -> ClipPlan:
    """Decide on all frames; ``rng`` decides everything."""
    rows = _stills(person, options, rng)
    if options.triples:
        more = _triples(person, options, rng, first_group=options.groups, take=options.frames)
        rows = {name: np.concatenate([rows[name], more[name]]) for name in rows}
    return ClipPlan(**rows)


def _stills(person: Person, options: PlanOptions, rng: np.random.Generator) -> dict[str, np.ndarray]:
    count, c = options.frames, person.coeffs
    group = np.arange(count) * options.groups // count
    codes = [c.exp[0].numpy()] + [sample_expression(person, rng) for _ in range(options.groups - 1)]
    around = [neighbours(code, rng) for code in codes]
    looks = [person.eyes.rest] + [sample_gaze(person, rng, np.radians(options.gaze)) for _ in codes[1:]]
    poses = [(c.euler[0].numpy(), c.trans[0].numpy())] + [sample_pose(person, rng) for _ in range(count - 1)]
    return {
        "group": group,
        "take": np.arange(count),
        "time": np.zeros(count, np.int64),
        "exp": np.stack(codes)[group].astype(np.float32),
        "exp_before": np.stack([before for before, _ in around])[group],
        "exp_after": np.stack([after for _, after in around])[group],
        "euler": np.stack([euler for euler, _ in poses]).astype(np.float32),
        "trans": np.stack([trans for _, trans in poses]).astype(np.float32),
        "gaze": np.stack(looks)[group].astype(np.float32),
        "torso_lag": np.zeros((count, 3), np.float32),
    }


def _triples(person: Person, options: PlanOptions, rng: np.random.Generator, first_group: int, take: int) -> dict[str, np.ndarray]:
    """Triples ``FAR`` frames and more apart in one take; of its frames only these are drawn, and their neighbours' codes kept."""
    middles = 2 + np.arange(options.triples) * (FAR + 3) + rng.integers(0, 3, options.triples)
    filmed = sample_take(person, int(middles[-1]) + 3, rng, options.torso_delay)
    time = (middles[:, None] + [-1, 0, 1]).ravel()
    return {
        "group": first_group + np.arange(len(time)),
        "take": np.full(len(time), take),
        "time": time,
        "exp": filmed.exp[time],
        "exp_before": filmed.exp[time - 1],
        "exp_after": filmed.exp[time + 1],
        "euler": filmed.euler[time],
        "trans": filmed.trans[time],
        "gaze": filmed.gaze[time],
        "torso_lag": filmed.torso_lag[time],
    }
