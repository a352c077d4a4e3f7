"""A complete head around the face model: the face itself, smoothed, and the skull, temples, jaw and nape that it lacks.

The face model ends at its oval. From there rings of vertices run over the skull to the back of the head; near the oval they take over its
distance from the middle of the head and its motion, farther away they are an ellipsoid with the measures of the face.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.distance import cdist

from core.people.atlas import SKULL_REACH, crown_uv, disc_uv, flat_uvw, surface
from core.people.geometry import HeadMesh

RINGS = 24
FOLLOW = 0.2
"""How far (radians at the middle of the head) outside the face its motion is followed."""
_BLEND = 0.42
_BACK = np.array([0.0, -0.1, -1.0]) / np.hypot(0.1, 1.0)


@dataclass(frozen=True)
class Skull:
    """An ellipsoid of six half axes.

    Attributes:
        centre: canonical.
        side, up, down, front, back: half axes, 3DMM units.
    """

    centre: Float[np.ndarray, "3"]
    side: float
    up: float
    down: float
    front: float
    back: float

    @classmethod
    def around(cls, face: Float[np.ndarray, "468 3"], rng: np.random.Generator) -> "Skull":
        """The skull that belongs to a face, with its own share of chance."""
        half = (face[454, 0] - face[234, 0]) / 2
        grow = np.clip(1 + rng.normal(size=3) * 0.025, 0.94, 1.06)
        ear = face[[234, 454], 2].mean()
        centre = np.array([0.0, face[[33, 263], 1].mean() + 0.06, ear - 0.02])
        top = centre[1] + 1.03 * grow[0] * half / 0.69
        return cls(centre, 1.08 * half * grow[1], float(top - centre[1]), 0.92, 0.82, 0.98 * grow[2])

    def radius(self, directions: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Distance of the surface from the centre along unit vectors."""
        x, y, z = np.asarray(directions).T
        terms = np.stack([x / self.side, y / np.where(y > 0, self.up, self.down), z / np.where(z > 0, self.front, self.back)])
        return (np.abs(terms) ** 2.3).sum(0) ** (-1 / 2.3)


@dataclass(frozen=True)
class Head:
    """The skin of a head.

    Attributes:
        skull: what it was built on.
        mesh: face first, then the rest; wears nothing yet.
        normals: of its vertices, unit, outwards.
        face_triangles: how many triangles belong to the face.
    """

    skull: Skull
    mesh: HeadMesh
    normals: Float[np.ndarray, "v 3"]
    face_triangles: int

    def radius(self, directions: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Distance of the skin from the centre of the skull along unit vectors, face included."""
        down, angle = np.arccos(np.clip(directions[:, 1], -1, 1)), np.arctan2(directions[:, 0], directions[:, 2])
        spot = (disc_uv(angle, down / SKULL_REACH) * len(self._distances) - 0.5).astype(np.float32)
        return cv2.remap(self._distances, spot[None, :, 0], spot[None, :, 1], cv2.INTER_LINEAR)[0].astype(np.float64)

    @cached_property
    def _distances(self) -> Float[np.ndarray, "s s"]:
        """Distance of the skin from the centre, on the disc about the crown, without features finer than what lies on it needs."""
        points, centre = self.mesh.vertices, self.skull.centre
        lies = surface(flat_uvw(crown_uv(points, centre)), points, self.normals, self.mesh.triangles, 400)
        return cv2.GaussianBlur(np.sqrt(((lies.points - centre) ** 2).sum(-1)).astype(np.float32), (0, 0), 5.0)


def vertex_normals(points: Float[np.ndarray, "n 3"], triangles: Int[np.ndarray, "f 3"]) -> Float[np.ndarray, "n 3"]:
    """Unit normals, weighted by area; along the order of the corners."""
    corners = points[triangles]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    out = np.stack([np.bincount(triangles.ravel(), np.repeat(flat[:, q], 3), len(points)) for q in range(3)], 1)
    return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)


def smooth_face(points: Float[np.ndarray, "v 3"], triangles: Int[np.ndarray, "f 3"]) -> HeadMesh:
    """Every triangle becomes four; new vertices leave the chords towards the tangent planes (Phong tessellation, Boubekeur 2008)."""
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), 1)
    pairs, which, count = np.unique(edges, axis=0, return_inverse=True, return_counts=True)
    normals = vertex_normals(points, triangles)
    ends = points[pairs]
    middle = ends.mean(1)
    off = ((middle[:, None] - ends) * normals[pairs]).sum(2, keepdims=True) * normals[pairs]
    middle = middle - 0.75 * off.mean(1) * (count == 2)[:, None]  # outlines stay where neighbours expect them
    n, f = len(points), len(triangles)
    ab, bc, ca = (which.reshape(3, f) + n)[:, :]
    a, b, c = triangles.T
    fine = np.concatenate([np.stack(t, 1) for t in ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))])
    anchors = np.concatenate([np.arange(n)[:, None].repeat(3, 1), pairs[:, [0, 1, 1]]])
    weights = np.concatenate([np.tile([1.0, 0, 0], (n, 1)), np.tile([0.5, 0.5, 0], (len(pairs), 1))])
    points = np.concatenate([points, middle])
    return HeadMesh(points, anchors, weights, np.ones_like(points), fine, np.zeros(len(fine), np.uint8))


def build_head(face: Float[np.ndarray, "468 3"], triangles: Int[np.ndarray, "f 3"], oval: Int[np.ndarray, " n"], skull: Skull) -> Head:
    """Close the face at the back.

    Args:
        face: canonical vertices.
        triangles: of the face model.
        oval: its outline.
        skull: to close it with.
    """
    fine = smooth_face(face, triangles)
    pairs = {tuple(sorted(p)): i for i, p in enumerate(fine.anchors[len(face) :, :2].tolist(), len(face))}
    ring = np.array([v for a, b in zip(oval, np.roll(oval, -1), strict=True) for v in (a, pairs[tuple(sorted((int(a), int(b))))])])
    start = fine.vertices[ring] - skull.centre
    long = np.linalg.norm(start, axis=1)
    start = start / long[:, None]
    turn = np.arccos(np.clip(start @ _BACK, -1, 1))
    t = (np.arange(1, RINGS + 1) / RINGS) ** 1.25 * 0.995
    share = np.sin(np.outer(1 - t, turn)) / np.sin(turn), np.sin(np.outer(t, turn)) / np.sin(turn)
    way = (share[0][..., None] * start + share[1][..., None] * _BACK).reshape(-1, 3)
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    away = cdist(way, start)
    near, index = away.min(1), away.argmin(1)
    weight = np.exp(-0.5 * ((away - near[:, None]) / 0.12) ** 2)  # of all: a fixed number of neighbours would wrinkle the temples
    extra = weight @ (long - skull.radius(start)) / weight.sum(1)
    radius = skull.radius(way) + extra * np.exp(-((near / _BLEND) ** 2))
    follow = np.exp(-((near[:, None] / FOLLOW) ** 2))
    points = np.concatenate([fine.vertices, skull.centre + way * radius[:, None]])
    n, m = len(fine.vertices), len(ring)
    rows = np.concatenate([ring[None], n + np.arange(RINGS * m).reshape(RINGS, m)])
    a, b, c, d = rows[:-1], np.roll(rows[:-1], -1, 1), rows[1:], np.roll(rows[1:], -1, 1)
    bands = np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)])
    all_triangles = np.concatenate([fine.triangles, bands])
    normals = vertex_normals(points, all_triangles)
    if normals[4, 2] < 0:
        normals = -normals
    mesh = HeadMesh(
        points,
        np.concatenate([fine.anchors, fine.anchors[ring][index]]),
        np.concatenate([fine.weights, fine.weights[ring][index] * follow]),
        np.ones_like(points),
        all_triangles,
        np.zeros(len(all_triangles), np.uint8),
    )
    return Head(skull, mesh, normals, len(fine.triangles))
