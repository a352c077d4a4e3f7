"""Hair, ears and the rest of the head: an inflated silhouette that meets the face at its oval and closes at the back.

Every vertex lies on a ray of the photograph's own camera, so the source view shows the photograph whatever the depth. In front, depth is
the rim of the head (a plane of the canonical head behind the ears) plus a quarter ellipse over the distance to the outline; near the face
oval it bends to meet the face. The back repeats the outline behind the rim and wears the same colours, mirrored in depth.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import binary_erosion, distance_transform_edt, gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

from core.camera import FIT_DISTANCE, FIT_FOCAL
from core.people.canvas import PAD, to_canvas
from core.people.geometry import LAYER_BACK, LAYER_FRONT, HeadMesh, Pose, unproject
from core.people.grid import STEP, Grid, bridge, compact, grid_triangles, quads_of, skirt

LEAST_TURN = 0.06
"""Sine of the yaw from which on one side of a photographed head counts as hidden; at twice of it fully."""
FORWARD, ROUND = 0.8, 0.03
"""How far the hidden side's outline comes forward at most, and how much wider than it looks it may be, 3DMM units."""


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
    anchors: Int[np.ndarray, "n 2"]
    share: Float[np.ndarray, " n"]

    @classmethod
    def of(cls, loop: np.ndarray, xy: np.ndarray, distance: np.ndarray, per_edge: int = 8) -> "Oval":
        """Sample the closed loop of face-model vertices."""
        ends = np.stack([loop, np.roll(loop, -1)], 1).repeat(per_edge, 0)
        share = np.tile(np.arange(per_edge) / per_edge, len(loop))

        def blend(values: np.ndarray) -> np.ndarray:
            part = share.reshape(-1, *[1] * (values.ndim - 1))
            return values[ends[:, 0]] * (1 - part) + values[ends[:, 1]] * part

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
        slope: depth per distance that it may fall away beside the face at most.
        lean: how far the wall between outline and back leans inwards per its length.
        mirror: how much of the front is mirrored onto the wall between outline and back.
    """

    rim: float
    chin: tuple[float, float]
    front: float
    throat: float = 0.48
    back: float = 0.72
    radius: float = 0.8
    reach: float = 0.35
    follow: float = 0.22
    slope: float = 1.6
    mirror: float = 0.35
    lean: float = 0.6


@dataclass(frozen=True)
class Hull:
    """An inflated silhouette.

    Attributes:
        solid: opaque mesh, closed.
        fringe: soft mesh of the outline.
        grid: where on the canvas its points are.
        opaque: which of them lie inside the solid mesh.
        fore: all points of the front, without triangles.
        front: their distance from the camera.
        away: how far each is outside the face, 3DMM units.
        unit: sides of the photograph per 3DMM unit.
    """

    solid: HeadMesh
    fringe: HeadMesh
    grid: Grid
    opaque: Bool[np.ndarray, "r r"]
    fore: HeadMesh
    front: Float[np.ndarray, " n"]
    away: Float[np.ndarray, " n"]
    unit: float


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


def narrowed(
    distance: Float[np.ndarray, " n"], grid: Grid, across: Float[np.ndarray, " n"], beyond: Float[np.ndarray, " n"], pose: Pose
) -> Float[np.ndarray, " n"]:
    """Bring the surface on the side that a turned head hides forward to where the head is as wide as it looks.

    That side ends at the cheek and not at the ear: as far back as the ear its rays have left the head.

    Args:
        distance: of a surface from the camera, at the vertices of the grid.
        grid: of the canvas.
        across: canonical x of the nearest point of the face's outline.
        beyond: distance from the face in the photograph, 3DMM units.
        pose: of the head in the photograph.
    """
    turn = float(pose.rotation[2, 0])
    share = min(max((abs(turn) - LEAST_TURN) / LEAST_TURN, 0.0), 1.0)
    near, far = (pose.remove(unproject(grid.xy, d))[:, 0] * -np.sign(turn) for d in (distance - 1, distance))  # positive: hidden side
    over = far - np.maximum(across * -np.sign(turn), 0) - beyond - ROUND
    back = np.clip(over / np.maximum(far - near, 0.05), 0, FORWARD) * (across * turn < 0) * (far > near)
    return distance - share * gaussian_filter(back.reshape(grid.columns, grid.columns), 1.0).reshape(-1)


def _smooth(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _dome(outline: np.ndarray, radius: float) -> np.ndarray:
    """Quarter circle over the distance to the outline, both 0..1."""
    return np.sqrt(np.clip(1 - (1 - np.clip(outline / radius, 0, 1)) ** 2, 0, 1))


def build_hull(
    alpha: Float[np.ndarray, "h w"],
    inside: Bool[np.ndarray, "h w"],
    oval: Oval,
    pose: Pose,
    shape: HullShape,
    covered: Bool[np.ndarray, "h w"] | None = None,
) -> "Hull":
    """Inflate a head.

    Args:
        alpha: soft head mask on the canvas (face included).
        inside: the face oval on the canvas, which the face mesh covers.
        oval: its outline.
        pose: of the head in the photograph.
        shape: how thick the head is.
        covered: what the face mesh covers, with a cheek that hides a part of the outline; None: what is inside.

    Returns:
        The opaque mesh (front and back, closed), the soft fringe, and the points that both are made of.
    """
    grid = Grid.over(alpha.shape[0])
    opaque = grid.sample(alpha) > 0.97
    soft = grid.sample(gaussian_filter(alpha, 2.0)) > 0.004
    hole = grid.sample(binary_erosion(inside, iterations=max(2, grid.side // 48))) > 0.99
    scale = FIT_FOCAL / float(np.median(oval.distance)) / (1 + 2 * PAD)  # canvas sides per 3DMM unit
    outline = distance_transform_edt(np.pad(opaque, 1, mode="edge"))[1:-1, 1:-1] * STEP / (scale * grid.side)
    near, index = cKDTree(oval.xy).query(grid.xy, k=12)
    near = near / (scale * (1 + 2 * PAD))  # (n, 12) in 3DMM units
    away = np.where(grid.sample(inside).reshape(-1) > 0.5, 0.0, near[:, 0])
    beyond = away if covered is None else _outside(grid.sample(covered) > 0.5) * STEP / (scale * grid.side)
    front, back, skull = _depths(grid, oval, pose, shape, outline, (near, index, away, beyond))

    first = index[:, 0]
    anchors = np.concatenate([oval.anchors[first], oval.anchors[first, :1]], 1)
    follow = np.exp(-((away / shape.follow) ** 2))
    weights = np.stack([(1 - oval.share[first]) * follow, oval.share[first] * follow, np.zeros(len(first))], 1)
    fore = HeadMesh.on_rays(grid.xy, front, pose, anchors, weights)
    inward, wall_length = _inward(outline), _at_outline(opaque, np.minimum(back - front, 0.8))
    lean = shape.lean * wall_length * np.exp(-outline.reshape(-1) / 0.25)  # hidden from the source view, so it may leave its rays
    rear = HeadMesh.on_rays(grid.xy + inward * (scale * (1 + 2 * PAD) * lean)[:, None], back, pose, anchors, np.zeros_like(weights))

    solid, kept = quads_of(opaque), quads_of(soft & ~hole)
    edges = skirt(solid, grid.columns)
    throat = (away < 0.12) & (skull < 0.35)  # continues the chin, everything else the hair
    layers = np.where(throat[edges].all(1), LAYER_FRONT, LAYER_BACK)
    length = np.where(throat, 0.0, np.minimum(back - front, shape.mirror))
    mirrored = fore.uvw[:, :2] / fore.uvw[:, 2:] + inward * (scale * length)[:, None]
    wall = HeadMesh.cat([fore, replace(rear, uvw=np.concatenate([mirrored, np.ones((len(first), 1))], 1) * rear.uvw[:, 2:])])
    parts = [
        fore.wearing(grid_triangles(solid & kept, grid.columns), LAYER_FRONT),
        rear.wearing(grid_triangles(solid, grid.columns)[:, ::-1], LAYER_BACK),
        wall.wearing(bridge(edges, len(first)), np.tile(layers, 2)),
    ]
    fringe = compact(fore.wearing(grid_triangles(kept & ~solid, grid.columns), LAYER_FRONT))
    return Hull(HeadMesh.cat([compact(part) for part in parts]), fringe, grid, opaque, fore, front, away, scale * (1 + 2 * PAD))


def _depths(
    grid: Grid, oval: Oval, pose: Pose, shape: HullShape, outline: np.ndarray, neighbours: tuple[np.ndarray, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Camera distance of front and back at every vertex, and how much skull (0..1) is behind it."""
    near, index, away, beyond = neighbours
    rim, skull = rim_distance(grid.xy, pose, shape)
    dome = gaussian_filter(_dome(outline, shape.radius), 1.0).reshape(-1)
    front = rim - shape.front * dome
    weight = np.exp(-0.5 * ((near - near[:, :1]) / 0.04) ** 2)
    weight /= weight.sum(1, keepdims=True)
    surface = front.reshape(grid.columns, grid.columns)
    gap = map_coordinates(surface, (to_canvas(oval.xy)[:, ::-1] * grid.side / STEP).T, order=1, mode="nearest") - oval.distance
    front = front - (gap[index] * weight).sum(1) * np.exp(-((away / shape.reach) ** 2))
    under = gaussian_filter((away == 0).reshape(surface.shape).astype(np.float64), 1.0).reshape(-1)
    front = front + 0.02 * under  # stay behind the face mesh
    beside = (oval.distance[index] * weight).sum(1)
    front = np.minimum(front, beside + 0.02 + shape.slope * away)  # no rubber between the face and what it hides
    across = pose.remove(unproject(oval.xy, oval.distance))[index[:, 0], 0]
    front, rim = (narrowed(distance, grid, across, beyond, pose) for distance in (front, rim))
    return front, np.maximum(rim + shape.back * skull * dome, front + 0.02), skull


def _outside(mask: Bool[np.ndarray, "r r"]) -> Float[np.ndarray, " n"]:
    """Distance from a mask in cells."""
    return distance_transform_edt(~mask).reshape(-1) if mask.any() else np.zeros(mask.size)


def _at_outline(opaque: Bool[np.ndarray, "h w"], values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Values at the nearest vertex of the outline."""
    edge = opaque & ~binary_erosion(opaque, border_value=1)
    row, column = distance_transform_edt(~edge, return_distances=False, return_indices=True)
    return values.reshape(opaque.shape)[row, column].reshape(-1)


def _inward(outline: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "n 2"]:
    """Unit vectors (x, y) away from the outline."""
    smooth = gaussian_filter(outline, 2.0)
    y, x = np.gradient(smooth)
    direction = np.stack([x, y], -1).reshape(-1, 2)
    return direction / np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-9)
