"""The cheek that a photograph hardly shows wears the one that it shows: faces are nearly symmetric.

A head that is turned away from the camera shows one cheek at a slant, where the photograph has few pixels for much skin. A point there
looks up the photograph where its mirror image is seen.
"""

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy.ndimage import gaussian_filter, map_coordinates

from core.face.regions import MIRROR
from core.people.canvas import to_canvas
from core.people.geometry import LAYER_SIDE, HeadMesh, Pose, project, projective_uvw
from core.raster.numba_backend import interpolate_arrays, rasterize_arrays

LEAST_TURN, FULL_TURN = 0.06, 0.3
"""Sine of the yaw from which on the sides differ enough to be worth mixing, and from which on the far one is fully replaced."""
SEEN, HIDDEN = 0.5, 0.2
"""Cosine between a surface's normal and the direction to the camera from which on it counts as seen, and below which as hidden."""
_LIFT = 0.004


def far_side(points: Float[np.ndarray, "n 3"], pose: Pose) -> Bool[np.ndarray, " n"]:
    """Which canonical points lie on the side that the head turns away."""
    turn = pose.rotation[2, 0]
    return points[:, 0] * turn < -0.02 * abs(turn) if abs(turn) > LEAST_TURN else np.zeros(len(points), bool)


def _normals(points: Float[np.ndarray, "n 3"], triangles: Int[np.ndarray, "f 3"]) -> Float[np.ndarray, "n 3"]:
    corners = points[triangles]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    out = np.zeros_like(points)
    for k in range(3):
        np.add.at(out, triangles[:, k], flat)
    out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)
    return out * np.sign(out[:, 2].sum())


def far_cheek(
    image: UInt8[np.ndarray, "c c 3"],
    measured: Float[np.ndarray, "468 3"],
    triangles: Int[np.ndarray, "f 3"],
    pose: Pose,
    skin: Bool[np.ndarray, "c c"] | None = None,
) -> tuple[HeadMesh, UInt8[np.ndarray, "c c 4"]]:
    """A soft mesh over the slanted part of the face that wears the other half of it.

    Args:
        image: photograph on the canvas.
        measured: face vertices, canonical, as photographed.
        triangles: of the face model.
        pose: of the head in the photograph.
        skin: where the canvas shows skin and no hair before it; None for everywhere. Only skin is borrowed and matched.

    Returns:
        The mesh (without triangles if both halves are seen well) and its texture: the photograph in the colours of the far half, opaque
        where the mirror image is hidden.
    """
    mirror = np.array(MIRROR)
    normals = _normals(measured, triangles)
    posed = pose.apply(measured)
    to_camera = np.array([0.0, 0.0, 10.0]) - posed
    facing = ((normals @ pose.rotation.T) * to_camera).sum(1) / np.linalg.norm(to_camera, axis=1)
    better = facing[mirror] > facing + 0.1
    colour, bare = _smooth_skin(image, np.ones(image.shape[:2], np.bool_) if skin is None else skin, posed)
    weight = np.clip((SEEN - facing) / (SEEN - HIDDEN), 0, 1) * (far_side(measured, pose) & better)
    weight *= np.clip(2 * bare[mirror] - 0.5, 0, 1) * np.clip((abs(pose.rotation[2, 0]) - LEAST_TURN) / (FULL_TURN - LEAST_TURN), 0, 1)
    used = triangles[(weight[triangles] > 0).any(1)]
    uvw = projective_uvw(posed)[mirror]
    itself = np.arange(len(measured))[:, None].repeat(3, 1)
    mesh = HeadMesh(
        measured + _LIFT * normals, itself, np.eye(1, 3).repeat(len(measured), 0), uvw, used, np.full(len(used), LAYER_SIDE, np.uint8)
    )
    half = triangles[far_side(measured, pose)[triangles].all(1)]
    return mesh, _side_texture(image, uvw, half, weight, _match(colour, bare, mirror))


def _smooth_skin(
    image: np.ndarray, skin: Bool[np.ndarray, "c c"], posed: np.ndarray
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, " n"]]:
    """Per vertex, the colour of the skin around it and how much of what is around it is skin."""
    side = image.shape[0]
    spot = (to_canvas(project(posed)) * side - 0.5)[:, ::-1].T
    low, high = np.maximum(spot.min(1).astype(int) - side // 20, 0), spot.max(1).astype(int) + side // 20
    part, here = (slice(low[0], high[0]), slice(low[1], high[1])), spot - low[:, None]
    kept = skin[part].astype(np.float32)
    planes = [kept, *(image[part].astype(np.float32) * kept[..., None]).transpose(2, 0, 1)]
    values = np.stack([map_coordinates(gaussian_filter(plane, side / 60), here, order=1, mode="nearest") for plane in planes], 1)
    return values[:, 1:] / np.maximum(values[:, :1], 1e-3), values[:, 0]


def _match(colour: Float[np.ndarray, "n 3"], bare: Float[np.ndarray, " n"], mirror: np.ndarray) -> Float[np.ndarray, "n 3"]:
    """Per vertex, the colour here over that of the mirror image; near hair, what is usual on this half."""
    ratio = np.log(colour + 8) - np.log(colour[mirror] + 8)
    sure = np.clip(2 * np.minimum(bare, bare[mirror]) - 0.6, 0, 1)[:, None]
    usual = (ratio * sure).sum(0) / max(float(sure.sum()), 1e-6) if sure.any() else np.zeros(3)
    return np.clip(np.exp(ratio * sure + usual * (1 - sure)), 0.5, 1.6)


def _side_texture(image: np.ndarray, uvw: np.ndarray, triangles: np.ndarray, weight: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """Paint weights and colour ratios of the vertices where the canvas shows their mirror images."""
    side = image.shape[0]
    texture = np.concatenate([image, np.zeros_like(image[..., :1])], -1)
    if not len(triangles):
        return texture
    flat = uvw[:, :2] / uvw[:, 2:] * 2 - 1
    clip = np.concatenate([flat, np.zeros((len(flat), 1)), np.ones((len(flat), 1))], 1).astype(np.float32)
    fragments = rasterize_arrays(clip, triangles, side, side)
    values = interpolate_arrays(np.concatenate([weight[:, None], ratio], 1).astype(np.float32), fragments, triangles)
    painted = fragments[..., 3] > 0
    texture[..., :3] = np.where(painted[..., None], np.clip(image * values[..., 1:] + 0.5, 0, 255), image).astype(np.uint8)
    texture[..., 3] = np.where(painted, values[..., 0] * 255 + 0.5, 0).astype(np.uint8)
    return texture
