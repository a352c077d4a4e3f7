"""Contact sheets: people over yaw, pitch, expression, gaze and light, to judge them by eye."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import UInt8

from core.people.lighting import Light, relight
from core.people.motion import NAMED, Named, named, turn_about_neck
from core.people.person import Person, render, render_source
from core.people.procedural import look_of, make_person

YAWS = (-35.0, -20.0, 20.0, 35.0)
PITCHES = (-15.0, 15.0)
GAZES = ((20.0, 0.0), (-20.0, 8.0))
SEED_VIEWS: tuple[tuple[float, float, Named], ...] = (
    (0.0, -75.0, "neutral"), (0.0, -40.0, "smile"), (0.0, 0.0, "neutral"), (0.0, 15.0, "open"),
    (0.0, 40.0, "pursed"), (0.0, 75.0, "blink"), (-25.0, -20.0, "neutral"), (25.0, 20.0, "smile"),
)  # fmt: skip
"""Pitch, yaw and expression of the views of a procedural person."""
LAMPS = ((-1.0, 0.4, 0.5), (0.9, 0.6, 0.5))


def person_row(person: Person, size: int) -> list[UInt8[np.ndarray, "s s 3"]]:
    """Source, yaws, pitches, the named expressions each at another small turn, gazes, lamps."""
    base = person.coeffs
    own, euler = base.exp[0].numpy(), base.euler[0].numpy()

    def view(code: np.ndarray, pitch: float, yaw: float) -> np.ndarray:
        angles = np.array([np.radians(pitch), np.radians(yaw), euler[2]], np.float32)
        return render(person, code, angles, turn_about_neck(base, angles), size).image

    pitch, yaw = np.degrees(euler[:2]).tolist()
    row = [render_source(person, size).image]
    row += [view(own, pitch, turn) for turn in YAWS]
    row += [view(own, turn, yaw) for turn in PITCHES]
    row += [view(named(person, kind), pitch, yaw + turn) for kind, turn in zip(NAMED, (0.0, 15.0, -15.0, 10.0, 0.0), strict=True)]
    pose, ahead = (own, euler, base.trans[0].numpy(), size), person.eyes.rest
    row += [render(person, *pose, gaze=ahead + np.radians(gaze)).image for gaze in GAZES]
    lit = [relight(person, Light(np.array(lamp), 0.3, np.ones(3), np.ones(3))) for lamp in LAMPS]
    return row + [render(who, *pose).image for who in lit]


def seed_row(seed: int, size: int) -> list[UInt8[np.ndarray, "s s 3"]]:
    """A procedural person all around, with glasses on or off (whichever it is not), and under a hard lamp from the side."""
    look = look_of(seed)
    other = replace(look, glasses="square" if look.glasses == "none" else "none")
    hard = replace(look, light=Light(np.array([-0.95, 0.25, 0.15]), 0.15, np.array([1.12, 1.0, 0.88]), np.array([0.85, 1.0, 1.15])))
    person, changed, lit = (make_person(seed, max(size, 256), style) for style in (look, other, hard))
    row = []
    for who, (pitch, yaw, kind) in ((person, view) for view in SEED_VIEWS):
        angles = np.radians([pitch, yaw, 0]).astype(np.float32)
        row.append(render(who, named(who, kind), angles, turn_about_neck(who.coeffs, angles), size).image)
    return row + [render_source(who, size).image for who in (changed, lit)]


def seed_sheet(seeds: Sequence[int], size: int = 256) -> UInt8[np.ndarray, "h w 3"]:
    """One row per seed."""
    return np.concatenate([np.concatenate(seed_row(seed, size), 1) for seed in seeds])


def contact_sheet(people: Sequence[Person], size: int = 256) -> UInt8[np.ndarray, "h w 3"]:
    """One row per person."""
    return np.concatenate([np.concatenate(person_row(person, size), 1) for person in people])
