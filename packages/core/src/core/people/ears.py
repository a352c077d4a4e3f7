"""Ears: a bowl with a rolled rim on either side of the head."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from core.people.atlas import flat_uvw
from core.people.geometry import LAYER_SIDE, HeadMesh
from core.people.skull import Head, vertex_normals

_AROUND, _ACROSS = 40, 14
HEIGHT, WIDTH = 0.62, 0.36
_CORNER = {1: (0.9, 0.9), -1: (0.1, 0.9)}
"""Where the left (+1) and the right ear lie on the texture of the side."""
_SCALE = 0.25
"""Texture sides per 3DMM unit."""


def ear(head: Head, sign: int, size: float, stand: float) -> tuple[HeadMesh, Float[np.ndarray, "v 3"]]:
    """One ear and its normals.

    Args:
        head: that it grows on.
        sign: +1 for the person's left (+x), -1 for the right.
        size: 1 is usual.
        stand: how far it stands off, 1 is usual.
    """
    t, r = np.meshgrid(np.linspace(0, 2 * np.pi, _AROUND, endpoint=False), np.linspace(0, 1, _ACROSS))
    up, back = np.cos(t), np.sin(t)  # t = 0 points up, a quarter turn later backwards
    wide = 0.5 * WIDTH * size * (1 + 0.2 * up) * np.where(back > 0, 1.12, 0.72)
    y, z = 0.5 * HEIGHT * size * up * r, -wide * back * r
    rim = np.clip((back + 0.55) / 0.5, 0, 1) * np.clip((up + 0.95) / 0.4, 0, 1)  # the rim is rolled all around but in front
    roll = 0.05 * rim * np.exp(-(((r - 0.93) / 0.09) ** 2))
    fold = 0.035 * np.exp(-(((r - 0.62) / 0.1) ** 2)) * np.clip(back + 0.3, 0, 1)  # antihelix
    bowl = -0.075 * np.exp(-(((y + 0.03) / 0.13) ** 2) - (((z - 0.05) / 0.075) ** 2))
    tragus = 0.05 * np.exp(-(((y + 0.02) / 0.07) ** 2) - (((z - 0.125) / 0.035) ** 2))
    lobe = 0.012 * np.exp(-(((up + 0.95) / 0.35) ** 2)) * r
    lift = stand * (0.03 + 0.34 * np.clip(-z + 0.06, 0, 1) * (1 - 0.25 * np.clip(-up, 0, 1)))
    x = lift + roll + fold + bowl + tragus + lobe
    x = np.where(r > 0.985, x - 0.05, x)  # the back of the rim
    points = np.stack([x, y, z + 0.12 * y], -1).reshape(-1, 3)  # leans back
    skull = head.skull
    at = np.array([1.0, -0.17, -0.1])
    at = at / np.linalg.norm(at)
    points = points + skull.centre + at * head.radius(at[None]) - [0.015, 0, 0]
    points = points * [sign, 1, 1]
    ring = np.arange(_AROUND * _ACROSS).reshape(_ACROSS, _AROUND)
    a, b, c, d = ring[:-1], np.roll(ring[:-1], -1, 1), ring[1:], np.roll(ring[1:], -1, 1)
    triangles = np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)])
    normals = vertex_normals(points, triangles)
    normals = normals * np.sign((normals[:, 0] * sign).mean())
    middle = points.mean(0)
    uv = np.stack([(points[:, 2] - middle[2]) * sign * -_SCALE, (middle[1] - points[:, 1]) * _SCALE], 1) + _CORNER[sign]
    still = np.zeros_like(points)
    mesh = HeadMesh(points, still.astype(np.int64), still, flat_uvw(uv), triangles, np.zeros(len(triangles), np.uint8))
    return replace(mesh, layer=np.full(len(triangles), LAYER_SIDE, np.uint8)), normals
