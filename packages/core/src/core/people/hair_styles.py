"""How hair is cut: a table of styles, and where hair ends on every side of a head."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

_AROUND = np.array([0, 22, 40, 54, 66, 76, 84, 92, 112, 135, 160, 180.0])
"""Azimuths in degrees at which hairlines are given: forehead, temple, sideburn, over and behind the ear, nape."""
_LINE = np.array([0.84, 0.85, 0.80, 0.66, 0.5, 0.3, 0.12, 0.36, 0.22, -0.14, -0.32, -0.36])


@dataclass(frozen=True)
class HairStyle:
    """Hair, lengths in 3DMM units (about a decimetre).

    Attributes:
        name: of the cut.
        top, sides: thickness over the crown and at the ears; 0 everywhere is a shaved head.
        recede: how far the hairline has gone back at the temples, 0..1.
        crown: bare crown, 0..1.
        fringe: how far hair falls over the forehead, 0 none .. 1 to the brows.
        hang: y that the hair reaches at the sides and at the back; None for hair that ends at the hairline.
        opening: azimuth in degrees from which on it hangs: smaller covers more of the cheeks.
        part: azimuth in degrees of the parting; None for none.
        curl: 0 straight .. 1 frizzy.
        bun: radius of a bun, 0 none.
        flare: how much hanging hair widens per unit of height; negative falls inwards.
    """

    name: str
    top: float
    sides: float
    recede: float = 0.0
    crown: float = 0.0
    fringe: float = 0.0
    hang: float | None = None
    opening: float = 49.0
    part: float | None = None
    curl: float = 0.0
    bun: float = 0.0
    flare: float = 0.0

    @property
    def bald(self) -> bool:
        """Is there no hair to build?"""
        return bool(self.top == 0 and self.sides == 0)

    @classmethod
    def sample(cls, rng: np.random.Generator, woman: bool, age: float) -> "HairStyle":
        """A cut of the table with its own measures; older men have less."""
        names = _WOMEN if woman else _MEN
        style = STYLES[names[int(rng.integers(len(names)))]]
        grow = np.exp(rng.normal(size=2) * 0.15)
        style = replace(style, top=float(style.top * grow[0]), sides=float(style.sides * grow[1]))
        style = replace(style, curl=float(np.clip(style.curl + (rng.random() < 0.3) * rng.uniform(0, 0.6), 0, 1)))
        if style.hang is not None:
            style = replace(style, hang=style.hang + rng.uniform(-0.15, 0.1), opening=style.opening + rng.uniform(-6, 6))
        if style.part is not None and rng.random() < 0.5:
            style = replace(style, part=-style.part)
        if not woman:
            style = replace(style, recede=float(np.clip(style.recede + (age - 0.4) * rng.uniform(0, 1.2), 0, 1)))
        return style

    def end(self, angle: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Canonical y (for a mean face) at which the hair ends, per azimuth in radians."""
        degrees = np.abs(np.degrees(angle))
        line = np.interp(degrees, _AROUND, _LINE)
        line = line + self.recede * (0.1 + 0.3 * np.exp(-(((degrees - 36) / 16) ** 2)) + 0.06) * (degrees < 75)
        if self.fringe:
            falls = 0.34 * self.fringe * np.clip((64 - degrees) / 14, 0, 1)
            if self.part is not None:  # swept to the side away from the parting
                falls = falls * np.clip(np.abs(np.degrees(angle) - self.part) / 45, 0, 1)
            line = line - falls
        if self.hang is not None:
            share = np.clip((degrees - self.opening) / 13, 0, 1)
            share = share * share * (3 - 2 * share)
            line = np.minimum(line, line + (self.hang - line) * share)
        return line


STYLES = {
    style.name: style
    for style in (
        HairStyle("shaved", 0.0, 0.0),
        HairStyle("crop", 0.05, 0.03),
        HairStyle("short", 0.13, 0.06),
        HairStyle("side part", 0.17, 0.07, fringe=0.15, part=32.0),
        HairStyle("fringe", 0.15, 0.1, fringe=0.75),
        HairStyle("quiff", 0.26, 0.05, recede=0.15),
        HairStyle("receding", 0.08, 0.06, recede=0.9),
        HairStyle("wreath", 0.05, 0.07, recede=1.0, crown=1.0),
        HairStyle("curls", 0.27, 0.17, curl=1.0),
        HairStyle("afro", 0.5, 0.42, curl=1.0),
        HairStyle("bob", 0.09, 0.09, hang=-0.62, part=24.0, flare=-0.16),
        HairStyle("fringed bob", 0.1, 0.1, hang=-0.5, fringe=0.9, flare=-0.2),
        HairStyle("long", 0.12, 0.12, hang=-1.65, part=0.0, flare=0.1),
        HairStyle("long side part", 0.15, 0.12, hang=-1.5, part=28.0, flare=0.1),
        HairStyle("long waves", 0.16, 0.19, hang=-1.4, part=15.0, curl=0.5, flare=0.1),
        HairStyle("bun", 0.06, 0.05, bun=0.34),
        HairStyle("pixie", 0.15, 0.09, fringe=0.5, part=35.0),
    )
}
_MEN = (
    "shaved", "crop", "crop", "short", "short", "side part", "side part", "fringe", "quiff", "receding", "wreath", "curls", "afro", "long",
)  # fmt: skip
_WOMEN = (
    "bob", "fringed bob", "long", "long", "long side part", "long waves", "long waves", "bun", "bun", "pixie", "curls", "afro", "crop",
)  # fmt: skip
