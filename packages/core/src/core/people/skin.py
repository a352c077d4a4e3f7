"""Skin: pigments and blood by place, pores, wrinkles and freckles, under a light."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float

from core.people.atlas import Surface
from core.people.bake import SKIN_WRAP, Lamp, bump, cavities
from core.people.look import Look, skin_colour


@dataclass(frozen=True)
class Complexion:
    """What is painted into the skin of one texture, all (s, s).

    Attributes:
        melanin, blood: added to the person's own.
        height: relief in arbitrary units, for wrinkles.
        shine: relative gloss.
    """

    melanin: Float[np.ndarray, "s s"]
    blood: Float[np.ndarray, "s s"]
    height: Float[np.ndarray, "s s"]
    shine: Float[np.ndarray, "s s"]

    @classmethod
    def plain(cls, side: int) -> "Complexion":
        """Nothing yet."""
        return cls(*(np.zeros((side, side), np.float32) for _ in range(3)), np.ones((side, side), np.float32))


def blotches(points: Float[np.ndarray, "s s 3"], seed: int, scale: float) -> Float[np.ndarray, "s s"]:
    """Smooth noise in space, about -1..1, the same on every texture."""
    rng, coarse = np.random.default_rng(seed), np.ascontiguousarray(points[::4, ::4])
    ways, phases = (rng.normal(size=(3, 7)) / scale).astype(np.float32), rng.uniform(0, 6.3, 7).astype(np.float32)
    waves = np.sin(coarse @ ways + phases).sum(-1) / 2.5
    return cv2.resize(waves, points.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def paint_skin(surface: Surface, look: Look, lamp: Lamp, extra: Complexion, rng: np.random.Generator) -> Float[np.ndarray, "s s 3"]:
    """Colours of lit skin, 0..255.

    Args:
        surface: it lies on.
        look: of the person.
        lamp: light.
        extra: features.
        rng: of pores and freckles.
    """
    side = len(surface.seen)
    seed = int(rng.integers(1 << 30))
    pores = rng.standard_normal((side, side), np.float32)
    pores = cv2.GaussianBlur(pores, (0, 0), 0.9) - 0.8 * cv2.GaussianBlur(pores, (0, 0), 2.2)
    pores /= pores.std()
    melanin = look.melanin + extra.melanin + 0.025 * blotches(surface.points, seed, 0.12)
    blood = look.blood + extra.blood + 0.16 * blotches(surface.points, seed + 1, 0.09) + 0.1 * blotches(surface.points, seed + 2, 0.04)
    if look.freckles:
        melanin = melanin + look.freckles * _freckles(side, rng) * _freckled(surface)
    hollow = cavities(surface, side / 70)
    shade = 1 - np.clip(hollow * 8, 0, 0.34) + np.clip(-hollow * 2.5, 0, 0.1)
    rough = 0.5 + 0.7 * look.age
    normals = bump(surface, pores * (0.025 * rough * min(side / 704, 1.0)) + extra.height, 0.5)
    lit = lamp.arriving(normals, SKIN_WRAP) * lamp.exposure
    lit *= 1 - (1 - shade[..., None]) * np.array([0.72, 1.0, 1.08], np.float32)  # light that comes out of hollows is red
    oily = look.gloss * extra.shine * (1 + 0.25 * pores)
    shine = (0.34 * lamp.gloss(normals, 26.0) + 0.12 * lamp.gloss(normals, 7.0)) * oily * shade
    lit *= skin_colour(melanin, blood)
    lit *= (1 + 0.022 * pores * rough)[..., None]
    lit += (shine * (85 * lamp.exposure * (1 - lamp.light.ambient * 0.5)))[..., None] * lamp.light.lamp.astype(np.float32)
    return lit


def _freckles(side: int, rng: np.random.Generator) -> Float[np.ndarray, "s s"]:
    dots = np.zeros((side, side), np.float32)
    spots = rng.integers(side, size=(1400, 2))
    dots[spots[:, 0], spots[:, 1]] = rng.uniform(2, 9, len(spots))
    return np.clip(cv2.GaussianBlur(dots, (0, 0), side / 500), 0, 0.6)


def _freckled(surface: Surface) -> Float[np.ndarray, "s s"]:
    """Mostly on cheeks and nose."""
    y, z = surface.points[..., 1], surface.points[..., 2]
    return 0.12 + np.exp(-(((y - 0.02) / 0.26) ** 2)) * np.clip((z + 0.2) * 2.5, 0, 1)
