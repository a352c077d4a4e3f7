"""Painted eyes: white, iris with its fibres, pupil and the mirrored lamp, where the sheets behind the lids look them up."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from core.people.bake import Lamp
from core.people.eyes import DROP, Irises

_FINE = 3
_REACH = 4.2


def eye_texture(
    side: int, irises: Irises, inner: Float[np.ndarray, "2 2"], colour: Float[np.ndarray, "3"], lamp: Lamp, rng: np.random.Generator
) -> UInt8[np.ndarray, "s s 3"]:
    """Both eyes, each in its place and once more ``DROP`` below, for eyes that turn.

    Args:
        side: of the texture.
        irises: on the canvas, 0..1.
        inner: inner corners of the eyes, same units.
        colour: of the iris.
        lamp: light.
        rng: of fibres and veins.
    """
    out = np.full((side, side, 3), 170, np.uint8)
    for centre, radius, corner in zip(irises.xy * side, irises.radius * side, inner * side, strict=True):
        reach = int(np.ceil(_REACH * radius))
        x, y = np.floor(centre).astype(int)
        eye = _eye(reach, centre - (x, y), radius, (corner - centre) / radius, colour, lamp, rng)
        for row in (y, y + round(DROP * side)):
            rows, columns = slice(row - reach, row + reach), slice(x - reach, x + reach)
            if rows.start >= 0 and columns.start >= 0 and rows.stop <= side and columns.stop <= side:
                out[rows, columns] = eye
    return out


def _eye(
    reach: int, centre: np.ndarray, radius: float, corner: np.ndarray, colour: np.ndarray, lamp: Lamp, rng: np.random.Generator
) -> UInt8[np.ndarray, "n n 3"]:
    ticks = (np.arange(2 * reach * _FINE) + 0.5) / _FINE - reach
    x, y = (ticks[None] - centre[0]) / radius, (ticks[:, None] - centre[1]) / radius
    away = np.hypot(x, y)
    ball = 1 - 0.16 * np.clip(away / 2, 0, 1.6) ** 2
    veins = np.clip(np.sin(3 * y + 2 * np.sin(2.1 * x + rng.uniform(0, 6)) + rng.uniform(0, 6)) * 8 - 7, 0, 1)
    image = np.array([196.0, 187, 180]) * ball[..., None] - (veins * np.clip(away / 2 - 0.5, 0, 0.5))[..., None] * [8, 36, 34]
    pink = np.exp(-((((x - corner[0]) / 0.7) ** 2) + (((y - corner[1]) / 0.7) ** 2)))[..., None]
    image = image * (1 - 0.8 * pink) + 0.8 * pink * np.array([196.0, 122, 112])
    waves = zip(rng.integers(9, 60, 9), rng.uniform(0, 6, 9), strict=True)
    view = tuple(slice(int(n[0]), int(n[-1]) + 1) for n in (np.flatnonzero(np.abs(t) < 1.1) for t in (y[:, 0], x[0])))
    near, turn = away[view], np.arctan2(y[view[0]], x[:, view[1]])
    fibres = sum(np.sin(turn * f + p + 1.5 * np.sin(near * 4)) for f, p in waves) / 4
    ring = 0.5 + 0.75 * np.exp(-(((near - 0.52) / 0.2) ** 2)) + 0.16 * fibres - 0.55 * np.clip((near - 0.8) / 0.2, 0, 1)
    iris = np.clip(colour * (0.9 * ring * (1 + 0.22 * np.clip(y[view[0]], -1, 1)))[..., None], 4, 255)
    image[view] = _mix(image[view], iris, np.clip((1.03 - near) / 0.1, 0, 1))
    image[view] = _mix(image[view], np.array([9.0, 8, 8]), np.clip((0.42 - near) / 0.06, 0, 1))
    image *= (1 - 0.6 * np.clip((-y - 0.1) / 0.9, 0, 1))[..., None]  # shadow of the upper lid and its lashes
    light = 0.25 + 0.75 * float(lamp.arriving(np.array([[0.0, 0.0, 1.0]]), np.full(3, 0.5)).mean()) * lamp.exposure
    image *= min(light, 1.15) * np.clip(0.8 + 0.2 * lamp.light.sky, 0.7, 1.2)
    spot = np.clip(lamp.direction[:2] * [0.5, -0.5], -0.42, 0.42)
    glint = np.clip((0.17 - np.maximum(np.abs(x - spot[0]), 0.8 * np.abs(y - spot[1]))) / 0.05, 0, 1) * (lamp.direction[2] > -0.1)
    image[view] = _mix(image[view], np.array([250.0, 250, 250]), 0.92 * glint[view])
    image[view] = _mix(image[view], np.array([190.0, 195, 205]), 0.13 * np.clip((0.8 - near) / 0.2, 0, 1) * (y[view[0]] < -0.1))
    return cv2.resize(np.clip(image, 0, 255).astype(np.uint8), None, fx=1 / _FINE, fy=1 / _FINE, interpolation=cv2.INTER_AREA)


def _mix(a: np.ndarray, b: np.ndarray, share: np.ndarray) -> np.ndarray:
    return a * (1 - share[..., None]) + b * share[..., None]
