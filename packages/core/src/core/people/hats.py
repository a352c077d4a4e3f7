"""Hats: shells on the head with a rim or a peak."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from core.people.atlas import LAYER_WEAR, Surface
from core.people.bake import PLAIN_WRAP, Lamp, bump, to_bytes
from core.people.geometry import HeadMesh
from core.people.hair import hairline
from core.people.lathe import Paths, azimuths, grid_mesh
from core.people.look import Look
from core.people.skull import Head, vertex_normals
from core.people.spectacles import FRAME_SPOT, LENS_SPOT, SPOT
from core.people.strands import polar

_EDGE = {
    "beanie": ((0, 60, 95, 180), (0.70, 0.55, 0.2, 0.0)),
    "cap": ((0, 60, 95, 180), (0.78, 0.66, 0.42, 0.2)),
    "brim": ((0, 60, 95, 180), (0.76, 0.64, 0.46, 0.3)),
    "scarf": ((0, 30, 50, 62, 75, 180), (0.86, 0.83, 0.5, -0.45, -0.98, -1.05)),
}
"""Lower edges on a mean face: canonical y by azimuth in degrees."""


def lower_edge(face: Float[np.ndarray, "468 3"], kind: str) -> Float[np.ndarray, " n"]:
    """Canonical y at which a hat ends on this face, for all ``azimuths``."""
    return hairline(face, np.interp(np.abs(np.degrees(azimuths())), *_EDGE[kind]))


def hat(head: Head, face: Float[np.ndarray, "468 3"], kind: str) -> tuple[HeadMesh, Float[np.ndarray, "v 3"]]:
    """A hat and its normals.

    Args:
        head: that wears it.
        face: its face-model vertices.
        kind: ``beanie``, ``cap``, ``brim`` or ``scarf``.
    """
    angle = azimuths()
    end = lower_edge(face, kind)

    def thickness(a: np.ndarray, above: np.ndarray) -> np.ndarray:
        high = np.clip(above / 0.5, 0, 1)
        if kind == "beanie":
            return 0.055 + 0.07 * high + 0.035 * np.clip((0.24 - above) / 0.03, 0, 1)
        if kind == "brim":
            return 0.07 + 0.2 * high**2
        if kind == "scarf":
            return 0.07 + 0.03 * np.sin(9 * a + 6 * above) * np.clip(0.8 - high, 0, 1) + 0.03 * high
        return 0.06 + 0.07 * high * (0.6 + 0.4 * np.cos(a))

    paths = Paths.over(head, thickness, end, 0.85 if kind == "scarf" else 0.0)
    shell, normals = paths.shell(np.linspace(0.003, 1, 44), 0.0, LAYER_WEAR)
    rim = paths.at(np.array([1.0, 0.985]))
    inside = rim[0][:1] * 1.0
    inside[..., [0, 2]] = paths.centre[[0, 2]] + (inside[..., [0, 2]] - paths.centre[[0, 2]]) * 0.9
    parts, more = [shell], [normals]
    hem = np.concatenate([rim[0][:1], inside])
    parts.append(_sheet(hem, np.stack([rim[1][0], rim[1][1]])))
    if kind in ("cap", "brim"):
        parts.append(_brim(rim[0][0], angle, kind))
    more += [vertex_normals(part.vertices, part.triangles) for part in parts[1:]]
    return HeadMesh.cat(parts), np.concatenate(more)


def _sheet(points: Float[np.ndarray, "r n 3"], uv: Float[np.ndarray, "r n 2"]) -> HeadMesh:
    return grid_mesh(points, uv, np.ones((points.shape[0] - 1, points.shape[1]), bool), LAYER_WEAR)[0]


def _brim(edge: Float[np.ndarray, "n 3"], angle: Float[np.ndarray, " n"], kind: str) -> HeadMesh:
    """What stands out from the lower edge, with an upper and a lower side; wears the ball of the frame's corner."""
    front = np.cos(angle)
    reach = 0.42 + 0.06 * np.abs(front) if kind == "brim" else 0.62 * np.clip((front - 0.45) / 0.55, 0, 1) ** 0.6
    out = np.stack([np.sin(angle), np.full_like(angle, -0.12 if kind == "brim" else -0.3), np.cos(angle)], 1)
    share = np.linspace(0, 1, 6)[:, None, None]
    droop = np.array([0, 0.1, 0]) * (np.abs(np.sin(angle)) ** 2)[:, None] * (kind == "brim")
    top = edge + share * reach[:, None] * out + share**2 * (droop - [0, 0.04, 0])
    half = np.array([0, 0.012, 0])
    rows = np.concatenate([top + half, top[::-1] - half])
    normal = np.concatenate([np.full((6, len(angle)), 0.75), np.full((6, len(angle)), -0.85)])
    uv = FRAME_SPOT + SPOT * 0.9 * np.stack([0.35 * np.sin(angle) + 0 * normal, -normal], -1)
    return _sheet(rows, uv)


def wear_texture(surface: Surface | None, look: Look, lamp: Lamp, side: int, rng: np.random.Generator) -> UInt8[np.ndarray, "s s 4"]:
    """Cloth of the hat on the disc; a lit ball for frames and brims and the reflection of lenses in the corners."""
    out = np.zeros((side, side, 4), np.uint8)
    out[..., 3] = 255
    if surface is not None:
        out[..., :3] = _cloth(surface, look, lamp, rng)
    ticks = (np.arange(side) + 0.5) / side
    size = int(2.4 * SPOT * side)
    for spot, lens in ((FRAME_SPOT, False), (LENS_SPOT, True)):
        left, top = (max(int((c - 1.2 * SPOT) * side), 0) for c in spot)
        x, y = (ticks[left : left + size][None] - spot[0]) / SPOT, -(ticks[top : top + size][:, None] - spot[1]) / SPOT
        view = (slice(top, top + size), slice(left, left + x.shape[1]))
        if lens:
            streak = np.exp(-(((x + y - 0.55) / 0.3) ** 2)) + 0.4 * np.clip(y, 0, 1)
            out[view] = np.concatenate([np.full((*streak.shape, 3), 225), (8 + 42 * streak)[..., None]], -1).astype(np.uint8)
        else:
            normals = np.stack(np.broadcast_arrays(x, y, np.sqrt(np.clip(1 - x**2 - y**2, 0.02, 1))), -1).astype(np.float32)
            normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
            lit = lamp.arriving(normals, PLAIN_WRAP) * lamp.exposure
            gleam = (0.0 if look.hat in ("cap", "brim") else 1.0) * lamp.gloss(normals, 30.0)[..., None]
            out[(*view, slice(0, 3))] = to_bytes(look.wear * lit + 150 * gleam)
    return out


def _cloth(surface: Surface, look: Look, lamp: Lamp, rng: np.random.Generator) -> UInt8[np.ndarray, "s s 3"]:
    """Ribs of a knitted hat, folds of a scarf, weave of the others."""
    side = len(surface.seen)
    angle, away = polar(side)
    noise = cv2.GaussianBlur(rng.standard_normal((side, side), np.float32), (0, 0), 0.8)
    height = np.zeros_like(noise)
    if look.hat == "beanie":
        height = 0.5 * np.cos(angle * 48) * np.clip(away * 3, 0, 1)
    elif look.hat == "scarf":
        height = cv2.GaussianBlur(rng.standard_normal((side, side), np.float32), (0, 0), side / 40) * side / 9
    elif look.hat == "cap":
        height = -0.6 * np.exp(-(((angle % (np.pi / 3) - np.pi / 6) * away / 0.012) ** 2))
    height = height * (side / 704) + 0.05 * noise  # slopes per texel are steeper on smaller textures
    lit = lamp.arriving(bump(surface, height.astype(np.float32), 0.35), PLAIN_WRAP) * lamp.exposure
    band = 1 - 0.55 * ((away > 0.62) & (away < 0.8)) * (look.hat == "brim")
    return to_bytes(look.wear * (1.05 + 0.04 * noise)[..., None] * lit * np.broadcast_to(band, away.shape)[..., None])
