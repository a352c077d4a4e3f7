"""Variation of light and colour: the whole person is changed before it is rendered, so that all views of it agree."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, UInt8

from core.people.age import Age, age
from core.people.lighting import Light, relight
from core.people.person import Person
from core.people.tone import Tone, retone


@dataclass(frozen=True)
class Grade:
    """A change of colours: ``out = 255 (gain * x^gamma)``, then saturation.

    Attributes:
        gain: white balance and exposure per channel.
        gamma: exponent; above 1 darkens the middle.
        saturation: 0 grey, 1 unchanged.
    """

    gain: Float[np.ndarray, "3"]
    gamma: float
    saturation: float

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "Grade":
        """A random one that stays plausible."""
        warm = rng.normal() * 0.05
        gain = np.exp(np.array([warm, rng.normal() * 0.015, -warm]) + rng.normal() * 0.1)
        saturation = 0.0 if rng.random() < 0.03 else float(np.clip(rng.normal(1, 0.15), 0.4, 1.4))
        return cls(gain, float(np.exp(rng.normal() * 0.14)), saturation)

    def apply(self, image: UInt8[np.ndarray, "*s 3"]) -> UInt8[np.ndarray, "*s 3"]:
        """Change an RGB picture."""
        curve = np.arange(256) / 255
        table = 255 * self.gain[:, None] * curve**self.gamma  # (3, 256)
        out = np.stack([table[c][image[..., c]] for c in range(3)], -1)
        grey = out @ np.array([0.299, 0.587, 0.114])
        out = grey[..., None] + (out - grey[..., None]) * self.saturation
        return np.clip(out + 0.5, 0, 255).astype(np.uint8)


def grade(person: Person, change: Grade) -> Person:
    """The same person in changed colours."""
    textures = np.concatenate([change.apply(person.textures[..., :3]), person.textures[..., 3:]], -1)
    return replace(
        person,
        textures=textures,
        torso=replace(person.torso, image=change.apply(person.torso.image)),
        torso_input=change.apply(person.torso_input) * (person.torso_input.max(-1, keepdims=True) > 0),
        background=change.apply(person.background),
        photograph=None if person.photograph is None else change.apply(person.photograph),
    )


def vary_light(person: Person, rng: np.random.Generator) -> Person:
    """Random white balance, exposure, gamma and saturation for two people in three."""
    return grade(person, Grade.sample(rng)) if rng.random() < 2 / 3 else person


def vary_person(person: Person, rng: np.random.Generator, relit: float = 0.0, toned: float = 0.0, aged: float = 0.0) -> Person:
    """Random age, skin of another tone and light from the side, before the colours of the whole picture are varied.

    Args:
        person: as photographed.
        rng: decides everything; untouched by what is switched off.
        relit: share of people under another lamp (``core.people.lighting``).
        toned: share of people with skin of another tone (``core.people.tone``).
        aged: share of people who look older or younger (``core.people.age``).
    """
    if aged and rng.random() < aged:
        person = age(person, Age.sample(rng))
    if toned and rng.random() < toned:
        person = retone(person, Tone.sample(person, rng))
    if relit and rng.random() < relit:
        person = relight(person, Light.sample(rng))
    return person
