"""What grows on the face: beards as a soft layer over the skin, stubble painted on it, lashes as fringes on the lids."""

from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from core.people.atlas import LAYER_BEARD, compact, flat_uvw
from core.people.bake import PLAIN_WRAP, Lamp, to_bytes
from core.people.geometry import HeadMesh
from core.people.look import Look
from core.people.painting import LOWER_LIDS, UPPER_LIDS, FaceMap
from core.people.skull import Head

_LASHES = 0.05
"""Rows (0..1) of the texture that lashes wear; above the forehead, where no beard grows."""
_PER_EDGE = 6


def beard_area(face: FaceMap, kind: str) -> Float[np.ndarray, "s s"]:
    """Where hair grows, 0..1."""
    if kind in ("stubble", "full"):
        return np.maximum(face.beard(), 0.9 * face.moustache())
    if kind == "goatee":
        return np.maximum(face.chin(), face.moustache())
    return face.moustache() if kind == "moustache" else np.zeros((face.brush.side, face.brush.side), np.float32)


def stubble(
    rgb: Float[np.ndarray, "s s 3"], area: Float[np.ndarray, "s s"], look: Look, rng: np.random.Generator
) -> Float[np.ndarray, "s s 3"]:
    """Skin with the roots of a beard (or of a shaved one) in it."""
    dots = np.clip(cv2.GaussianBlur(rng.standard_normal(area.shape, np.float32), (0, 0), 0.7) * 1.3, 0, 1)
    strength = {"none": 0.16, "stubble": 0.62, "moustache": 0.75, "goatee": 0.75, "full": 0.85}[look.beard]
    share = area * strength * (0.5 + 0.9 * dots)
    root = (0.5 * look.hair_colour * [0.95, 1.0, 1.08]).astype(np.float32)
    return rgb * (1 - 0.65 * share[..., None]) + share[..., None] * root


def beard_layer(head: Head, front: HeadMesh, area: Float[np.ndarray, "s s"], look: Look) -> HeadMesh:
    """A soft mesh over the bearded part of the front of the skin; it moves as the skin does."""
    side = len(area)
    spot = np.clip((front.uvw[:, :2] * side).astype(int), 0, side - 1)
    grown = area[spot[:, 1], spot[:, 0]]
    thick = {"full": 0.075, "goatee": 0.05, "moustache": 0.035}.get(look.beard, 0.0)
    if not thick:
        return compact(front.wearing(front.triangles[:0], LAYER_BEARD))
    used = front.triangles[(grown[front.triangles] > 0.02).any(1)]
    points = front.vertices + head.normals * (0.004 + thick * grown**1.5)[:, None] - [0, 0.25 * thick, 0] * grown[:, None]
    return compact(replace(front, vertices=points).wearing(used, LAYER_BEARD))


def beard_texture(
    area: Float[np.ndarray, "s s"], normals: Float[np.ndarray, "s s 3"], look: Look, lamp: Lamp, rng: np.random.Generator
) -> UInt8[np.ndarray, "s s 4"]:
    """Hair of a beard with its opacity; lashes in the uppermost rows."""
    side = len(area)
    rgb, alpha = np.zeros((side, side, 3), np.float32), np.zeros((side, side), np.float32)
    if look.beard not in ("none", "stubble"):
        low = int(np.flatnonzero(area.any(1))[0])  # none grows above
        fine, lock = (
            cv2.GaussianBlur(rng.standard_normal((side - low, side), np.float32), (0, 0), sigmaX=across, sigmaY=along)
            for across, along in ((0.9, 4.0), (3.0, 7.0))
        )
        fine, lock = fine / fine.std(), lock / lock.std()
        tone = np.clip(0.9 + 0.22 * fine + 0.14 * lock, 0.3, 1.6)[..., None]
        colour = (look.hair_colour * 0.92 * lamp.exposure).astype(np.float32)
        rgb[low:] = colour * tone * lamp.arriving(normals[low:], PLAIN_WRAP)
        alpha[low:] = np.clip(area[low:] * (0.75 + 0.35 * fine + 0.25 * lock) * 1.25 - 0.08, 0, 0.97)
    rows = int(_LASHES * side)
    along, up = np.arange(side) / side, (np.arange(rows)[:, None] + 0.5) / rows
    hairs = np.clip(1.4 - np.abs((along * 34 + 0.6 * up) % 1 - 0.5) * 7 * (0.4 + up), 0, 1) * (1 - up) ** 0.6
    alpha[:rows] = hairs * (0.65 + 0.35 * look.makeup)
    rgb[:rows] = np.minimum(look.hair_colour * 0.3, 30)
    return np.concatenate([to_bytes(rgb), (np.clip(alpha, 0, 1) * 255 + 0.5).astype(np.uint8)[..., None]], -1)


def lashes(face: Float[np.ndarray, "468 3"], look: Look) -> HeadMesh:
    """Fringes along the edges of all four lids that follow them."""
    strips = []
    for lids, length, rise in ((UPPER_LIDS, 0.06 + 0.035 * look.makeup, 0.35), (LOWER_LIDS, 0.022, -0.5)):
        for lid in lids:
            ends = np.stack([lid[:-1], lid[1:]], 1).repeat(_PER_EDGE, 0)
            share = np.tile(np.arange(_PER_EDGE) / _PER_EDGE, len(lid) - 1)[:, None]
            root = face[ends[:, 0]] * (1 - share) + face[ends[:, 1]] * share
            t = np.linspace(0, 1, len(root))[:, None]  # 0 is the outer corner
            away = np.sign(face[lid[0], 0])
            way = np.concatenate([away * (0.75 - 1.1 * t), np.full_like(t, rise), 0.9 - 0.2 * t], 1)
            tip = root + way * length * np.sin(np.pi * np.clip(0.9 * t + 0.12, 0, 1)) ** 0.5
            points = np.concatenate([root, tip]) + np.array([0, 0, 0.006])
            uv = np.concatenate([np.concatenate([t, np.full_like(t, v)], 1) for v in (0.004, _LASHES - 0.006)])
            n = np.arange(len(root) - 1)
            m = n + len(root)
            triangles = np.concatenate([np.stack([n, n + 1, m], 1), np.stack([n + 1, m + 1, m], 1)])
            anchors = np.tile(np.concatenate([ends, ends[:, :1]], 1), (2, 1))
            weights = np.tile(np.concatenate([1 - share, share, 0 * share], 1), (2, 1))
            strips.append(HeadMesh(points, anchors, weights, flat_uvw(uv), triangles, np.full(len(triangles), LAYER_BEARD, np.uint8)))
    return HeadMesh.cat(strips)
