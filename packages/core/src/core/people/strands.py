"""Colours and opacity of hair on a disc: strands from the middle outwards, in locks, with a sheen across them."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from core.people.atlas import DISC, Surface
from core.people.bake import PLAIN_WRAP, Lamp, to_bytes
from core.people.hair_styles import HairStyle
from core.people.lathe import Paths

_TURN, _LONG = 2048, 256


def polar(side: int) -> tuple[Float[np.ndarray, "s s"], Float[np.ndarray, "s s"]]:
    """Azimuth and distance from the middle (0..1 at the rim) of every texel of a disc."""
    x = ((np.arange(side, dtype=np.float32) + 0.5) / side - 0.5) / DISC
    return np.arctan2(x[None], x[:, None]), np.hypot(x[None], x[:, None])


def _grain(rng: np.random.Generator, across: float, along: float) -> Float[np.ndarray, "l t"]:
    """Noise that repeats around the head, in standard deviations."""
    noise = rng.standard_normal((_LONG, _TURN), np.float32)
    noise = np.concatenate([noise[:, -64:], noise, noise[:, :64]], 1)
    noise = cv2.GaussianBlur(noise, (0, 0), sigmaX=across, sigmaY=min(along, 1.5))
    if along > 1.5:  # three boxes are almost a bell, whatever their length
        for _ in range(3):
            noise = cv2.blur(noise, (1, 2 * round(along) + 1))
    noise = noise[:, 64:-64]
    return noise / noise.std()


def hair_texture(
    surface: Surface, paths: Paths, style: HairStyle, colour: Float[np.ndarray, "3"], lamp: Lamp, rng: np.random.Generator
) -> UInt8[np.ndarray, "s s 4"]:
    """Paint hair.

    Args:
        surface: of the hair on its disc.
        paths: that it grows along.
        style: how it is cut.
        colour: RGB.
        lamp: light.
        rng: of the strands.

    Returns:
        RGB, and the opacity of the loose hair over it.
    """
    side = len(surface.seen)
    angle, away = polar(side)
    x = angle
    if style.curl:
        wave = 0.06 * np.sin(away * 70 + 5 * np.sin(angle * 3)) + 0.05 * np.sin(away * 41 + angle * 9)
        x = angle + style.curl * wave * np.clip(away * 4, 0, 1)
    x = (x / (2 * np.pi) + 0.5) * _TURN % _TURN
    y = np.clip(away, 0, 1) * (_LONG - 1)

    def look_up(table: np.ndarray) -> np.ndarray:
        return cv2.remap(table, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)

    along = 30 * (1 - 0.93 * style.curl)
    fine, lock = look_up(_grain(rng, 1.6, along)), look_up(_grain(rng, 14 - 6 * style.curl, along * 1.3))
    ends = np.append(paths.end, paths.end[0]) / paths.longest
    end = np.interp(angle, np.append(paths.angle, np.pi), ends).astype(np.float32)
    share = away / np.maximum(end, 1e-3)
    tone = 1 + 0.13 * fine + 0.13 * lock
    tone *= 0.8 + 0.2 * np.clip(share * 1.5, 0, 1) + 0.12 * np.clip(share - 0.6, 0, 1)
    if style.part is not None:
        parting = np.exp(-(((angle - np.radians(style.part)) * away * paths.longest / 0.025) ** 2)) * np.clip((0.98 - share) * 6, 0, 1)
        tone *= 1 - 0.45 * parting * (away * paths.longest > 0.25)
    down = _along(surface, angle)
    n = surface.normals
    across = np.stack([down[..., a] * n[..., b] - down[..., b] * n[..., a] for a, b in ((1, 2), (2, 0), (0, 1))], -1)
    normals = surface.normals - (0.14 * (fine + lock))[..., None] * across
    lit = lamp.arriving(normals / np.sqrt((normals**2).sum(-1, keepdims=True) + 1e-9), PLAIN_WRAP) * np.float32(lamp.exposure)
    deep = np.clip(0.55 + (surface.points[..., 1:2] + 1.7) * 0.2, 0.55, 1)  # what hangs low gets less light
    half = lamp.direction + lamp.look
    half = (half / max(float(np.linalg.norm(half)), 0.2)).astype(np.float32)
    facing = surface.normals @ half
    along = down @ half + (0.12 + 0.1 * fine) * facing
    sheen = np.clip(1 - along**2, 0, 1) ** np.float32(30 - 22 * style.curl) * np.clip(facing, 0, 1)
    sheen *= (0.5 + 0.5 * (fine > 0)) * (1 - 0.7 * style.curl)
    lit *= colour.astype(np.float32) * (tone[..., None] * deep)
    rgb = lit + (sheen * lamp.exposure)[..., None] * ((22 + 0.35 * colour) * lamp.light.lamp).astype(np.float32)
    return np.concatenate([to_bytes(rgb), _loose(fine, lock, share, style)[..., None]], -1)


def _along(surface: Surface, angle: np.ndarray) -> Float[np.ndarray, "s s 3"]:
    """Unit direction of the strands."""
    right = cv2.Sobel(surface.points, cv2.CV_32F, 1, 0, ksize=5)
    down = cv2.Sobel(surface.points, cv2.CV_32F, 0, 1, ksize=5)
    way = right * np.sin(angle)[..., None] + down * np.cos(angle)[..., None]
    return way / np.sqrt((way**2).sum(-1, keepdims=True) + 1e-9)


def _loose(fine: np.ndarray, lock: np.ndarray, share: np.ndarray, style: HairStyle) -> UInt8[np.ndarray, "s s"]:
    """Opacity of the outermost hair: dense strands inside, single ones beyond the end."""
    reach = (0.96 if style.hang is None else 0.99) + 0.025 * fine + (0.03 + 0.02 * style.curl) * lock
    ends = np.clip((reach + 0.05 - share) / 0.05, 0, 1)
    density = np.clip(0.42 + 0.4 * fine + 0.3 * lock, 0, 1)
    density = density + (1 - density) * np.clip((share - 0.86) / 0.1, 0, 1) * (0.55 + 0.45 * (style.curl < 0.5))
    return (np.clip(ends * density, 0, 1) * 255 + 0.5).astype(np.uint8)
