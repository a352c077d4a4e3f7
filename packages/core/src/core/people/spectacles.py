"""Glasses as geometry: two rims, a bridge, temples to the ears and thin lenses; they stand still on the skull."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from core.people.atlas import LAYER_WEAR, flat_uvw
from core.people.geometry import HeadMesh
from core.people.lathe import grid_mesh
from core.people.skull import Head

_SIDES = 7
FRAME_SPOT, LENS_SPOT = np.array([0.09, 0.09]), np.array([0.91, 0.09])
"""Corners of the texture: a ball that shows the frame under the light from every side, and the reflection of a lens."""
SPOT = 0.07
_SHAPES = {"round": (0.235, 0.215, 2.1, 0.017), "square": (0.265, 0.185, 3.6, 0.024), "rimless": (0.25, 0.18, 2.8, 0.007)}


def _tube(line: Float[np.ndarray, "n 3"], radius: float, closed: bool) -> HeadMesh:
    """A tube along a line that wears the ball of the frame."""
    if closed:
        line = np.concatenate([line, line[:1]])
        along = np.roll(line[:-1], -1, 0) - np.roll(line[:-1], 1, 0)
        along = np.concatenate([along, along[:1]])
    else:
        along = np.gradient(line, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    side = np.cross(along, [0.31, 0.17, 0.93])
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    other = np.cross(along, side)
    turn = np.linspace(0, 2 * np.pi, _SIDES, endpoint=False)
    normals = np.cos(turn)[None, :, None] * side[:, None] + np.sin(turn)[None, :, None] * other[:, None]
    points = line[:, None] + radius * normals
    uv = FRAME_SPOT + SPOT * 0.9 * normals[..., [0, 1]] * [1, -1]
    return grid_mesh(points, uv, np.ones((len(line) - 1, _SIDES), bool), LAYER_WEAR)[0]


def glasses(head: Head, face: Float[np.ndarray, "468 3"], kind: str) -> tuple[HeadMesh, HeadMesh]:
    """Frame and (soft) lenses.

    Args:
        head: that wears them.
        face: its face-model vertices.
        kind: ``round``, ``square`` or ``rimless``.
    """
    wide, high, power, thick = _SHAPES[kind]
    tree = cKDTree(face[:, :2])
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    outline = np.stack([np.sign(f) * np.abs(f) ** (2 / power) for f in (np.cos(turn), np.sin(turn))], 1) * [wide, high]
    parts, lenses, inner, hinges = [], [], [], []
    for outer, nasal in ((33, 133), (263, 362)):
        centre = (face[outer, :2] + face[nasal, :2]) / 2 + [0, -0.035]
        sign = np.sign(centre[0])
        flat = centre + [0.015 * sign, 0] + outline * [1, 1]
        below = face[tree.query(flat, k=3)[1], 2].mean(1)
        bend = -0.26 * np.maximum(np.abs(flat[:, 0]) - 0.15, 0) ** 1.3
        plane = float((below - bend).max()) + 0.012
        plane = min(plane, float(face[168, 2]) + 0.1)
        rim = np.concatenate([flat, (plane + bend)[:, None]], 1)
        parts.append(_tube(rim, thick, closed=True))
        lenses.append(_lens(rim, outline / [wide, high]))
        inner.append(rim[np.argmin(np.abs(rim[:, 0]) - 0.15 * rim[:, 1])])
        hinges.append(rim[np.argmax(np.abs(rim[:, 0]) + 0.35 * rim[:, 1])])
    share = np.linspace(0, 1, 12)[:, None]
    bridge = inner[0] * (1 - share) + inner[1] * share + np.array([0, 0.045, 0.03]) * np.sin(np.pi * share)
    parts.append(_tube(bridge, max(thick * 0.9, 0.009), closed=False))
    for hinge in hinges:
        parts.append(_tube(_temple(head, hinge), max(thick * 0.8, 0.01), closed=False))
    return HeadMesh.cat(parts), HeadMesh.cat(lenses)


def _temple(head: Head, hinge: Float[np.ndarray, "3"]) -> Float[np.ndarray, "n 3"]:
    """From the hinge past the temple over the ear and down behind it."""
    centre, sign = head.skull.centre, np.sign(hinge[0])
    ear = centre + np.array([0, 0.05, -0.12])
    z = np.concatenate([np.linspace(hinge[2], ear[2], 14), ear[2] - np.array([0.06, 0.11, 0.14])])
    y = np.concatenate([np.interp(z[:14], [ear[2], hinge[2]], [ear[1], hinge[1]]), ear[1] - np.array([0.03, 0.1, 0.18])])
    way = np.stack([np.full_like(z, sign * 0.7), y - centre[1], z - centre[2]], 1)
    for _ in range(3):
        unit = way / np.linalg.norm(way, axis=1, keepdims=True)
        clear = np.sqrt(np.maximum(head.radius(unit) ** 2 - way[:, 1] ** 2 - way[:, 2] ** 2, 0.2))
        way[:, 0] = sign * (clear + 0.03)
    x = np.abs(way[:, 0])
    x[:13] = np.maximum(x[:13], np.linspace(abs(hinge[0]), x[13], 13))
    line = np.stack([sign * x, y, z], 1)
    line[0] = hinge
    return line


def _lens(rim: Float[np.ndarray, "n 3"], place: Float[np.ndarray, "n 2"]) -> HeadMesh:
    """A fan of triangles within a rim."""
    n = np.arange(len(rim))
    points = np.concatenate([rim, rim.mean(0, keepdims=True)])
    uv = np.concatenate([LENS_SPOT + SPOT * 0.9 * place * [1, -1], LENS_SPOT[None]])
    still = np.zeros_like(points)
    triangles = np.stack([n, np.roll(n, -1), np.full_like(n, len(rim))], 1)
    mesh = HeadMesh(points, still.astype(np.int64), still, flat_uvw(uv), triangles, np.zeros(len(n), np.uint8))
    return replace(mesh, layer=np.full(len(n), LAYER_WEAR, np.uint8))
