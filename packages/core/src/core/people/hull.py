"""Hair, ears and the rest of the head: an inflated silhouette that meets the face at its oval and closes at the back.

Every vertex lies on a ray of the photograph's own camera, so the source view shows the photograph whatever the depth. In front, depth is the
rim of the head (a plane of the canonical head behind the ears) plus a quarter ellipse over the distance to the outline; near the face oval it
bends to meet the face. The back repeats the outline behind the rim and wears the same colours, mirrored in depth.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import binary_erosion, distance_transform_edt, gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

from core.camera import FIT_DISTANCE, FIT_FOCAL
from core.people.canvas import PAD, from_canvas, to_canvas
from core.people.geometry import HeadMesh, Pose, projective_uvw, unproject

LAYER_FRONT, LAYER_BACK = 0, 3
STEP = 4
"""Grid spacing in pixels of the photograph."""


@dataclass(frozen=True)
class Oval:
    """Dense samples of the outline of the face mesh.

    Attributes:
        xy: photograph coordinates.
        distance: from the camera.
        anchors: the two ends of the edge that each sample lies on.
        share: how far along it.
    """

    xy: Float[np.ndarray, "n 2"]
    distance: Float[np.ndarray, " n"]
    anchors: Float[np.ndarray, "n 2"]
    share: Float[np.ndarray, " n"]

    @classmethod
    def of(cls, loop: np.ndarray, xy: np.ndarray, distance: np.ndarray, per_edge: int = 8) -> "Oval":
        """Sample the closed loop of face-model vertices."""
        ends = np.stack([loop, np.roll(loop, -1)], 1).repeat(per_edge, 0)
        share = np.tile(np.arange(per_edge) / per_edge, len(loop))
        blend = lambda values: values[ends[:, 0]] * (1 - share).reshape(-1, *[1] * (values.ndim - 1)) + values[ends[:, 1]] * share.reshape(  # noqa: E731
            -1, *[1] * (values.ndim - 1)
        )
        return cls(blend(xy), blend(distance), ends, share)


@dataclass(frozen=True)
class HullShape:
    """Measures of the inflated silhouette, in 3DMM units.

    Attributes:
        rim: canonical z of the outline from the ears upwards.
        chin: canonical (y, z) of the chin; below the ears the outline comes forward to ``throat`` behind it.
        front: height of the front over the rim.
        back: depth of the back behind the rim.
        radius: distance from the outline at which either is reached.
        reach: how far outside the face oval its depth is followed.
        follow: how far outside the face oval its motion is followed.
    """

    rim: float
    chin: tuple[float, float]
    front: float
    throat: float = 0.42
    back: float = 0.85
    radius: float = 0.8
    reach: float = 0.35
    follow: float = 0.22


def rim_distance(xy: Float[np.ndarray, "n 2"], pose: Pose, shape: HullShape) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Camera distance at which the ray of every photograph point meets the outline's surface, and how much skull (0..1) lies behind it."""
    normal = pose.rotation[:, 2]
    direction = np.stack([(xy[:, 0] - 0.5) / FIT_FOCAL, (0.5 - xy[:, 1]) / FIT_FOCAL, -np.ones(len(xy))], 1)
    start = (np.array([0.0, 0.0, FIT_DISTANCE]) - pose.trans) @ normal
    depth = np.full(len(xy), shape.rim)
    for _ in range(3):
        distance = (depth - start) / (direction @ normal)
        y = pose.remove(unproject(xy, distance))[:, 1]
        skull = _smooth((y - shape.chin[0]) / (0.05 - shape.chin[0]))
        depth = skull * shape.rim + (1 - skull) * max(shape.rim, shape.chin[1] - shape.throat)
    return (depth - start) / (direction @ normal), skull


def _smooth(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _dome(outline: np.ndarray, radius: float) -> np.ndarray:
    """Quarter circle over the distance to the outline, both 0..1."""
    return np.sqrt(np.clip(1 - (1 - np.clip(outline / radius, 0, 1)) ** 2, 0, 1))


def _quads(keep: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h-1 w-1"]:
    return keep[:-1, :-1] & keep[1:, :-1] & keep[:-1, 1:] & keep[1:, 1:]


def _triangles(quads: Bool[np.ndarray, "h w"], columns: int) -> np.ndarray:
    """Two triangles per quad of a vertex grid with ``columns`` columns."""
    row, column = np.nonzero(quads)
    a = row * columns + column
    b, c, d = a + 1, a + columns, a + columns + 1
    return np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])


def _skirt(quads: Bool[np.ndarray, "h w"], columns: int) -> np.ndarray:
    """Edges (vertex pairs) between a kept and a missing quad."""
    padded = np.pad(quads, 1)
    edges = []
    row, column = np.nonzero(padded[1:, 1:-1] != padded[:-1, 1:-1])  # horizontal edges: row of vertices
    edges.append(np.stack([row * columns + column, row * columns + column + 1], 1))
    row, column = np.nonzero(padded[1:-1, 1:] != padded[1:-1, :-1])
    edges.append(np.stack([row * columns + column, (row + 1) * columns + column], 1))
    return np.concatenate(edges)


def build_hull(
    alpha: Float[np.ndarray, "h w"],
    inside: Bool[np.ndarray, "h w"],
    oval: Oval,
    pose: Pose,
    shape: HullShape,
) -> tuple[HeadMesh, HeadMesh]:
    """Inflate a head.

    Args:
        alpha: soft head mask on the canvas (face included).
        inside: the face oval on the canvas, which the face mesh covers.
        oval: its outline.
        pose: of the head in the photograph.
        shape: how thick the head is.

    Returns:
        The opaque mesh (front and back, closed) and the soft fringe.
    """
    side = alpha.shape[0]
    ticks = np.arange(0, side + 1, STEP)
    spots = np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2)
    grid = from_canvas(spots / side)
    columns = len(ticks)
    at = lambda image, order=1: map_coordinates(  # noqa: E731
        np.asarray(image, np.float32), (spots[:, ::-1] - 0.5).T, order=order, mode="nearest"
    ).reshape(columns, columns)

    opaque = at(alpha) > 0.97
    soft = at(gaussian_filter(alpha, 2.0)) > 0.004
    hole = at(binary_erosion(inside, iterations=max(2, side // 48)).astype(np.float32)) > 0.99
    rim, skull = (values.reshape(columns, columns) for values in rim_distance(grid, pose, shape))
    scale = FIT_FOCAL / float(np.median(oval.distance))  # photograph sides per 3DMM unit
    unit = scale * side / (1 + 2 * PAD)  # pixels per 3DMM unit
    outline = distance_transform_edt(np.pad(opaque, 1, mode="edge"))[1:-1, 1:-1] * STEP / unit
    dome = gaussian_filter(_dome(outline, shape.radius), 1.0)
    front = rim - shape.front * dome

    near, index = cKDTree(oval.xy).query(grid, k=12)
    near = near / scale  # (n, 12) in 3DMM units
    weight = np.exp(-0.5 * ((near - near[:, :1]) / 0.04) ** 2)
    weight /= weight.sum(1, keepdims=True)
    gap = map_coordinates(front, (to_canvas(oval.xy)[:, ::-1] * side / STEP).T, order=1, mode="nearest") - oval.distance
    within = at(inside.astype(np.float32)).reshape(-1)
    away = np.where(within > 0.5, 0.0, near[:, 0])
    front = front - ((gap[index] * weight).sum(1) * np.exp(-((away / shape.reach) ** 2))).reshape(front.shape)
    front = front + 0.02 * gaussian_filter((within > 0.5).reshape(front.shape).astype(np.float64), 1.0)  # under the face mesh
    back = np.maximum(rim + shape.back * skull * dome, front + 0.02)

    first = index[:, 0]
    anchors = np.concatenate([oval.anchors[first], oval.anchors[first, :1]], 1)
    follow = np.exp(-((away / shape.follow) ** 2))
    weights = np.stack([(1 - oval.share[first]) * follow, oval.share[first] * follow, np.zeros(len(grid))], 1)
    front_points = unproject(grid, front.reshape(-1))
    back_points = unproject(grid, back.reshape(-1))

    solid, kept = _quads(opaque), _quads(soft & ~hole)
    flat = np.zeros_like(weights)
    make = lambda points, w, triangles, layer: HeadMesh(  # noqa: E731
        pose.remove(points), anchors, w, projective_uvw(points), triangles, np.full(len(triangles), layer, np.uint8)
    )
    edges = _skirt(solid, columns)
    below = (away[edges] < 0.12).all(1) & (skull.reshape(-1)[edges] < 0.35).all(1)  # the throat continues the chin, not the hair
    both = HeadMesh.cat([make(front_points, weights, _triangles(solid & kept, columns), LAYER_FRONT), make(back_points, flat, _triangles(solid, columns), LAYER_BACK)])
    n = len(grid)
    a, b = edges[:, 0], edges[:, 1]
    bridge = np.concatenate([np.stack([a, b, a + n], 1), np.stack([b, b + n, a + n], 1)]).astype(np.int32)
    closed = HeadMesh(
        both.vertices, both.anchors, both.weights, both.uvw, np.concatenate([both.triangles, bridge]),
        np.concatenate([both.layer, np.where(np.tile(below, 2), LAYER_FRONT, LAYER_BACK).astype(np.uint8)]),
    )
    return _compact(closed), _compact(make(front_points, weights, _triangles(kept & ~solid, columns), LAYER_FRONT))


def _compact(mesh: HeadMesh) -> HeadMesh:
    """Drop vertices that no triangle uses."""
    used, triangles = np.unique(mesh.triangles, return_inverse=True)
    return HeadMesh(
        mesh.vertices[used].astype(np.float32), mesh.anchors[used].astype(np.int32), mesh.weights[used].astype(np.float32),
        mesh.uvw[used].astype(np.float32), triangles.reshape(-1, 3).astype(np.int32), mesh.layer,
    )
