"""Where procedural people keep their colours: unrolled skin and hair, and surfaces (position, normal) for every texel of them.

The face lies on a cylinder about the upright axis, wider in front. What a cylinder squeezes (crown, back) lies on a disc about the crown,
as hair does, whose strands then run from the middle outwards.
"""

# ruff: noqa: ANN001, ANN202
# compiled functions take arrays whose types numba finds out

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int

from core.people.drawing import compiled
from core.people.geometry import LAYER_FRONT, LAYER_SIDE, HeadMesh
from core.raster.numba_backend import interpolate_arrays, rasterize_arrays

LAYER_BEARD, LAYER_WEAR = LAYER_SIDE + 1, LAYER_SIDE + 2
"""Textures that only procedural people have: what grows on the face, and glasses and hats."""
LAYERS = LAYER_WEAR + 1
TOP, BOTTOM = 1.5, -1.05
"""Canonical y at the upper and lower border of the cylinder."""
REACH = np.radians(118)
"""Azimuth at its left and right border."""
_SQUEEZE = 0.7
SKULL_REACH = 2.75
"""Polar angle (radians from straight up) at the rim of the disc of the skull."""
DISC = 0.42
"""Radius of discs on their textures; the corners are free for other things."""


def azimuth(points: Float[np.ndarray, "n 3"], centre: Float[np.ndarray, "3"]) -> Float[np.ndarray, " n"]:
    """Angle about the upright axis: 0 in front, positive towards +x."""
    return np.arctan2(points[:, 0] - centre[0], points[:, 2] - centre[2])


def cylinder_uv(points: Float[np.ndarray, "n 3"], centre: Float[np.ndarray, "3"]) -> Float[np.ndarray, "n 2"]:
    """Place on the texture of the face."""
    angle = np.clip(azimuth(points, centre), -REACH, REACH)
    u = 0.5 + 0.5 * np.sin(_SQUEEZE * angle) / np.sin(_SQUEEZE * REACH)
    return np.stack([u, (TOP - points[:, 1]) / (TOP - BOTTOM)], 1)


def disc_uv(angle: Float[np.ndarray, " n"], away: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 2"]:
    """Place on a disc: azimuth, and 0 in the middle .. 1 at the rim; the front is below the middle."""
    return np.stack([0.5 + DISC * away * np.sin(angle), 0.5 + DISC * away * np.cos(angle)], 1)


def crown_uv(points: Float[np.ndarray, "n 3"], centre: Float[np.ndarray, "3"]) -> Float[np.ndarray, "n 2"]:
    """Place on the disc of the skin of the skull."""
    off = points - centre
    down = np.arccos(np.clip(off[:, 1] / np.linalg.norm(off, axis=1), -1, 1))
    return disc_uv(azimuth(points, centre), down / SKULL_REACH)


def flat_uvw(uv: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 3"]:
    """Texture coordinates that need no perspective."""
    return np.concatenate([uv, np.ones((len(uv), 1))], 1)


def compact(mesh: HeadMesh) -> HeadMesh:
    """Without the vertices that no triangle uses."""
    used, triangles = np.unique(mesh.triangles, return_inverse=True)
    rows = {name: getattr(mesh, name)[used] for name in ("vertices", "anchors", "weights", "uvw")}
    return replace(mesh, **rows, triangles=triangles.reshape(-1, 3))


def unroll(skin: HeadMesh, centre: Float[np.ndarray, "3"]) -> tuple[HeadMesh, HeadMesh]:
    """Dress the skin of a head: what lies on the cylinder, and what lies on the disc."""
    points = skin.vertices
    corners = points[skin.triangles] - centre
    wide = np.hypot(corners[..., 0], corners[..., 2]).min(1)
    angle = np.abs(np.arctan2(corners[..., 0], corners[..., 2])).max(1)
    middle = corners.mean(1)
    behind = (angle > REACH - 0.05) | ((wide < 0.45) & (middle[:, 1] > 0.3)) | ((wide < 0.3) & (middle[:, 2] < 0.2))
    front = replace(skin, uvw=flat_uvw(cylinder_uv(points, centre))).wearing(skin.triangles[~behind], LAYER_FRONT)
    back = replace(skin, uvw=flat_uvw(crown_uv(points, centre))).wearing(skin.triangles[behind], LAYER_SIDE)
    return front, back


@dataclass(frozen=True)
class Surface:
    """What each texel of a texture lies on.

    Attributes:
        points: canonical position.
        normals: unit, canonical, outwards.
        seen: where there is a surface.
    """

    points: Float[np.ndarray, "s s 3"]
    normals: Float[np.ndarray, "s s 3"]
    seen: Bool[np.ndarray, "s s"]


def surface(
    uvw: Float[np.ndarray, "v 3"],
    points: Float[np.ndarray, "v 3"],
    normals: Float[np.ndarray, "v 3"],
    triangles: Int[np.ndarray, "f 3"],
    side: int,
) -> Surface:
    """Draw a mesh into its own texture; a little beyond its edges values go on."""
    clip = np.concatenate([uvw[:, :2] / uvw[:, 2:] * 2 - 1, np.zeros((len(uvw), 1)), np.ones((len(uvw), 1))], 1).astype(np.float32)
    fragments = rasterize_arrays(clip, np.ascontiguousarray(triangles), side, side)
    values = interpolate_arrays(np.concatenate([points, normals], 1).astype(np.float32), fragments, triangles)
    seen = fragments[..., 3] > 0  # values are zero elsewhere
    some, few = np.ascontiguousarray(values[2::4, 2::4]), seen[2::4, 2::4].astype(np.float32)
    weight = cv2.GaussianBlur(few, (0, 0), 0.8)[..., None] + 1e-5
    around = [cv2.GaussianBlur(some[..., part], (0, 0), 0.8) / weight for part in (slice(3), slice(3, 6))]
    points, normals = (cv2.resize(part, (side, side), interpolation=cv2.INTER_LINEAR) for part in around)
    _finish(values.reshape(-1, 6), seen.ravel(), points.reshape(-1, 3), normals.reshape(-1, 3))
    return Surface(points, normals, seen)


@compiled
def _finish(values, seen, points, normals):
    """Take over what was seen, (n, 6) into (n, 3) and (n, 3); unit normals."""
    for n in range(seen.shape[0]):
        length = np.float32(1e-9)
        for q in range(3):
            if seen[n]:
                points[n, q], normals[n, q] = values[n, q], values[n, q + 3]
            length += normals[n, q] ** 2
        length = np.sqrt(length)
        for q in range(3):
            normals[n, q] /= length
