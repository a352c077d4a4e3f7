"""Hair as geometry: a closed shell, loose strands over it, and a bun where there is one."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from core.people.atlas import disc_uv
from core.people.geometry import LAYER_BACK, HeadMesh
from core.people.hair_styles import HairStyle
from core.people.lathe import ROWS, Paths, azimuths, grid_mesh
from core.people.skull import Head

_MEAN_EYES, _MEAN_TOP = 0.278, 0.805
_NAPE = np.radians(146)
"""Azimuth up to which the hem is seen: farther back the neck is before it."""
_INSET = 0.22
"""Width of the hem of hair that ends at the hairline."""
_PRESSED = 0.03
"""Thickness of hair under a hat."""
_CURTAIN = np.radians(105)
"""Azimuth up to which hanging hair is also seen from inside: farther back it would hide the neck, which every head hides."""


@dataclass(frozen=True)
class Hair:
    """The hair of a head.

    Attributes:
        solid: opaque.
        normals: of its vertices.
        loose: soft strands around it.
        paths: that it grows along.
    """

    solid: HeadMesh
    normals: Float[np.ndarray, "v 3"]
    loose: HeadMesh
    paths: Paths


def hairline(face: Float[np.ndarray, "468 3"], y: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Heights on a mean face to heights on this one; what hangs below the chin hangs as far on everybody."""
    eyes, top = face[[33, 133, 263, 362], 1].mean(), face[10, 1]
    above = eyes + (y - _MEAN_EYES) * (top - eyes) / (_MEAN_TOP - _MEAN_EYES)
    return np.where(y > _MEAN_EYES, above, y + eyes - _MEAN_EYES)


def grow(
    head: Head, face: Float[np.ndarray, "468 3"], style: HairStyle, brim: Float[np.ndarray, " n"] | None, rng: np.random.Generator
) -> Hair | None:
    """Hair for a head.

    Args:
        head: that it grows on.
        face: its face-model vertices.
        style: the cut.
        brim: canonical y of the lower edge of a hat per azimuth; above it hair is pressed flat, and loose hair does not exist.
        rng: of its irregularities.
    """
    if style.bald:
        return None
    angle = azimuths()
    ragged = np.convolve(rng.normal(size=len(angle) + 8), np.hanning(9) / 4, "valid")[: len(angle)]
    end = hairline(face, style.end(angle)) + ragged * (0.012 + 0.02 * (style.hang is not None))
    bumps = rng.normal(size=(6, 4)) * [3, 4, 3, 1]
    most, hanging = 9.0 if brim is None else 0.07, style.hang is not None
    top, sides = min(style.top, most), min(style.sides, most)

    def thickness(a: np.ndarray, above: np.ndarray) -> np.ndarray:
        high = np.clip((above + end[:, None] - 0.35) / 0.75, 0, 1)
        front = 0.5 + 0.5 * np.cos(a)
        body = sides + (top - sides) * high**1.3
        if style.name == "quiff":
            body = body * (0.45 + 0.75 * front**2)
        if style.part is not None:
            body = body * (1 - 0.3 * np.exp(-(((a - np.radians(style.part)) / 0.22) ** 2)) * high)
        body = body * (1 - 0.95 * style.crown * np.clip((above + end[:, None] - 0.62) / 0.2, 0, 1))
        rough = sum(np.sin(k * np.round(f) + g * above * 4 + p) * w for k, (f, g, p, w) in zip([a] * 6, bumps, strict=True))
        body = body * (1 + rough * (0.018 + 0.05 * style.curl))
        root = np.clip((above + 0.02) / (0.1 + 0.45 * top), 0, 1)
        body = body * (root * (2 - root) if not hanging else 0.25 + 0.75 * np.clip((above + 0.02) / 0.14, 0, 1))
        if brim is not None:
            pressed = np.clip((above + (end - brim)[:, None] + 0.12) / 0.14, 0, 1)
            body = body * (1 - pressed) + np.minimum(body, _PRESSED) * pressed
        pole = np.clip(1.2 - np.arange(body.shape[1]) / 9, 0, 1)  # all paths start from one point
        return np.maximum(body * (1 - pole) + body.mean(0) * pole, 0.022)

    hang = 0.85 if hanging else 0.0
    paths = Paths.over(head, thickness, end, hang, style.flare * hang)
    solid, normals = _closed(paths, np.linspace(0.003, 1, ROWS), 0.09 if hanging else _INSET)
    reach = np.linspace(0.25, 1.09 if hanging else 1.04, ROWS)
    lift = (0.02 + 0.025 * style.curl) * np.clip((1.15 - reach) / 0.3, 0.6 if hanging else 0.4, 1)
    loose = paths.shell(reach, lift, LAYER_BACK)[0]
    if brim is not None:
        solid, loose = _below(solid, paths, brim + 0.15), _below(loose, paths, brim - 0.02)
    elif style.bun:
        bun, more = _bun(head, style.bun)
        solid, normals = HeadMesh.cat([solid, bun]), np.concatenate([normals, more])
    if style.crown:
        solid, loose = (_bare(mesh, paths) for mesh in (solid, loose))
    return Hair(solid, normals, loose, paths)


def _closed(paths: Paths, share: np.ndarray, inset: float) -> tuple[HeadMesh, np.ndarray]:
    """The outside, a hem of width ``inset`` at its end, and the inside of what hangs beside the face."""
    points, uv = paths.at(share)
    keep = np.ones((len(share) - 1, len(paths.angle)), bool)
    outer, normals = grid_mesh(points, uv, keep, LAYER_BACK)
    inner = points.copy()
    axis = paths.centre * [1, 0, 1]
    off = (inner - axis) * [1, 0, 1]
    inner -= off / np.maximum(np.linalg.norm(off, axis=-1, keepdims=True), 1e-6) * inset
    rows = np.concatenate([points[-1:], inner[::-1]])
    uv = np.concatenate([uv[-1:], uv[::-1]])
    low = rows[:-1, :, 1] < paths.centre[1] + 0.5
    beside = low & (np.abs(paths.angle) < _CURTAIN)
    beside[0] = np.abs(paths.angle) < (_CURTAIN if inset < _INSET else _NAPE)
    lining, inward = grid_mesh(rows, uv, beside, LAYER_BACK)
    return HeadMesh.cat([outer, lining]), np.concatenate([normals, inward])


def _bun(head: Head, radius: float) -> tuple[HeadMesh, np.ndarray]:
    """A ball on the back of the crown that wears a ring of the hair's disc."""
    t, p = np.meshgrid(np.linspace(0, 2 * np.pi, 28, endpoint=False), np.linspace(0.05, np.pi - 0.05, 16))
    way = np.array([0.0, 0.72, -0.7])
    at = head.skull.centre + way * (head.radius(way[None])[0] + 0.55 * radius)
    ball = np.stack([np.sin(p) * np.cos(t), np.cos(p), np.sin(p) * np.sin(t)], -1) * [1.1, 0.85, 0.95]
    swirl = 1 + 0.05 * np.sin(3 * t + 6 * p)
    points = at + radius * ball * swirl[..., None]
    uv = disc_uv(np.pi + 0.5 * np.sin(t.ravel()), (0.22 + 0.1 * p).ravel()).reshape(*t.shape, 2)
    mesh, normals = grid_mesh(points, uv, np.ones((t.shape[0] - 1, t.shape[1]), bool), LAYER_BACK)
    if ((mesh.vertices - at) * normals).sum() < 0:
        mesh, normals = replace(mesh, triangles=mesh.triangles[:, ::-1]), -normals
    return mesh, normals


def _below(mesh: HeadMesh, paths: Paths, brim: Float[np.ndarray, " n"]) -> HeadMesh:
    """Without what a hat hides."""
    corners = mesh.vertices[mesh.triangles]
    middle = corners.mean(1) - paths.centre
    edge = np.interp(np.arctan2(middle[:, 0], middle[:, 2]), paths.angle, brim, period=2 * np.pi)
    keep = corners[..., 1].min(1) < edge
    return replace(mesh, triangles=mesh.triangles[keep], layer=mesh.layer[keep])


def _bare(mesh: HeadMesh, paths: Paths) -> HeadMesh:
    """Without the crown."""
    corners = mesh.vertices[mesh.triangles].mean(1) - paths.centre
    down = np.degrees(np.arccos(corners[:, 1] / np.linalg.norm(corners, axis=1)))
    front = np.degrees(np.abs(np.arctan2(corners[:, 0], corners[:, 2])))
    keep = (down > 58) & (front > 58)
    return replace(mesh, triangles=mesh.triangles[keep], layer=mesh.layer[keep])
