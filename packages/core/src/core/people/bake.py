"""Light on surfaces: colours as they look, from colours as they are."""

# ruff: noqa: ANN001, ANN202
# compiled functions take arrays whose types numba finds out

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from core.people.atlas import Surface
from core.people.drawing import compiled
from core.people.lighting import Light

SKIN_WRAP = np.array([0.5, 0.32, 0.26], np.float32)
"""How far light of each colour reaches around edges of skin: red goes farther."""
PLAIN_WRAP = np.full(3, 0.28, np.float32)


@dataclass(frozen=True)
class Lamp:
    """A light in the frame of the head.

    Attributes:
        direction: to the lamp, canonical, unit.
        look: from the head to the camera, canonical, unit.
        light: colours.
        exposure: factor that makes the face as bright as wanted.
    """

    direction: Float[np.ndarray, "3"]
    look: Float[np.ndarray, "3"]
    light: Light
    exposure: float

    @classmethod
    def of(cls, light: Light, rotation: Float[np.ndarray, "3 3"], exposure: float, normals: Float[np.ndarray, "n 3"]) -> "Lamp":
        """A lamp given in camera space, exposed for a face with these canonical normals."""
        direction = light.direction @ rotation / np.linalg.norm(light.direction)
        plain = cls(direction, rotation[2].copy(), light, 1.0)
        mean = float(plain.arriving(normals, SKIN_WRAP).mean())
        return cls(direction, rotation[2].copy(), light, exposure * 0.9 / (0.25 + 0.75 * mean) / 1.0)

    def arriving(self, normals: Float[np.ndarray, "*s 3"], wrap: Float[np.ndarray, "3"]) -> Float[np.ndarray, "*s 3"]:
        """Light that arrives on surfaces with these normals; less from below, as rooms are."""
        out = np.empty(normals.shape, np.float32)
        sky, lamp = self.light.ambient * self.light.sky, (1 - self.light.ambient) * self.light.lamp
        _shine(normals.reshape(-1, 3), self.direction, self.look, wrap, sky, lamp, out.reshape(-1, 3))
        return out

    def gloss(self, normals: Float[np.ndarray, "*s 3"], sharp: float) -> Float[np.ndarray, "*s"]:
        """Mirrored lamp, Blinn-Phong, with a little of the sky."""
        half = self.direction + self.look
        half = (half / max(float(np.linalg.norm(half)), 0.2)).astype(normals.dtype)
        return np.maximum(normals @ half, 0) ** np.float32(sharp)


@compiled
def _shine(normals, direction, look, wrap, sky, lamp, out):
    """``Lamp.arriving`` of (n, 3) normals."""
    for n in range(normals.shape[0]):
        cosine, facing = np.float32(0), np.float32(0)
        for q in range(3):
            cosine += normals[n, q] * direction[q]
            facing += normals[n, q] * look[q]
        above = (0.78 + 0.22 * normals[n, 1]) * (0.85 + 0.15 * max(facing, 0.0))
        for q in range(3):
            direct = max((cosine + wrap[q]) / (1 + wrap[q]), 0.0)
            out[n, q] = sky[q] * above + lamp[q] * direct ** (1 + 0.5 * wrap[q])


def bump(surface: Surface, height: Float[np.ndarray, "s s"], strength: float) -> Float[np.ndarray, "s s 3"]:
    """Normals of a surface roughened by a height map (texels)."""
    right = cv2.Sobel(surface.points, cv2.CV_32F, 1, 0, ksize=3)
    down = cv2.Sobel(surface.points, cv2.CV_32F, 0, 1, ksize=3)
    dx, dy = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3), cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3)
    out = np.empty(surface.normals.shape, np.float32)
    rows = (a.reshape(-1, 3) for a in (surface.normals, right, down))
    _tilt(*rows, dx.ravel(), dy.ravel(), np.float32(strength), out.reshape(-1, 3))
    return out


@compiled
def _tilt(normals, right, down, dx, dy, strength, out):
    """Normals (n, 3) leant against slopes (n,) along two directions (n, 3), unit again."""
    for n in range(normals.shape[0]):
        a = strength * dx[n] / (np.sqrt(right[n, 0] ** 2 + right[n, 1] ** 2 + right[n, 2] ** 2) + np.float32(1e-5))
        b = strength * dy[n] / (np.sqrt(down[n, 0] ** 2 + down[n, 1] ** 2 + down[n, 2] ** 2) + np.float32(1e-5))
        length = np.float32(0)
        for q in range(3):
            out[n, q] = normals[n, q] - a * right[n, q] - b * down[n, q]
            length += out[n, q] ** 2
        length = max(np.sqrt(length), np.float32(1e-6))
        for q in range(3):
            out[n, q] /= length


def cavities(surface: Surface, sigma: float) -> Float[np.ndarray, "s s"]:
    """How much lower than its surroundings a surface lies, 3DMM units; negative on ridges."""
    size, less = surface.seen.shape[::-1], max(int(sigma // 2), 1)
    small = (size[0] // less, size[1] // less)
    mask = cv2.resize(surface.seen.astype(np.float32), small, interpolation=cv2.INTER_AREA)
    points, normals = (cv2.resize(part, small, interpolation=cv2.INTER_AREA) for part in (surface.points, surface.normals))
    weight = cv2.GaussianBlur(mask, (0, 0), sigma / less) + 1e-4
    around = cv2.GaussianBlur(points * mask[..., None], (0, 0), sigma / less) / weight[..., None]
    return cv2.resize(((around - points) * normals).sum(-1) * (weight > 0.3), size, interpolation=cv2.INTER_LINEAR)


def to_bytes(image: Float[np.ndarray, "*s 3"]) -> UInt8[np.ndarray, "*s 3"]:
    """Round; what is brighter than white runs into it softly."""
    table = np.minimum(np.arange(1024.0), 205 + 50 * np.tanh(np.maximum(np.arange(1024.0) - 205, 0) / 60))
    return np.rint(table).astype(np.uint8)[np.clip(image + 0.5, 0, 1023).astype(np.int16)]
