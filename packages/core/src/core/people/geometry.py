"""The fit camera in numpy: photograph coordinates, camera space of the 3DMM and the canonical head (spec 1.2).

Photograph coordinates ``xy`` lie in [0, 1], y down. Camera space has its camera at z = 10 looking down -z; ``distance = 10 - z``.
Points are row vectors: ``posed = canonical R^T + t``.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int, Integer, UInt8

from core.camera import FIT_DISTANCE, FIT_FOCAL, rotation_from_euler
from core.people.canvas import to_canvas

LAYER_FRONT, LAYER_EYES, LAYER_TEETH, LAYER_BACK, LAYER_MADE, LAYER_SIDE = range(6)
"""Textures: the photograph, eyes and teeth with what the photograph shows of them continued, the back of the head, what is made up, and
the side of the face that the photograph shows for the one that it does not."""
NEAR, FAR = 3.0, 60.0
DEPTH_A = (FAR + NEAR) / (FAR - NEAR)
DEPTH_B = -2 * FAR * NEAR / (FAR - NEAR)


@dataclass(frozen=True)
class Pose:
    """Where a head stands in camera space.

    Attributes:
        rotation: R of ``posed = canonical R^T + t``.
        trans: t in 3DMM units.
    """

    rotation: Float[np.ndarray, "3 3"]
    trans: Float[np.ndarray, "3"]

    @classmethod
    def from_euler(cls, euler: Float[np.ndarray, "3"], trans: Float[np.ndarray, "3"]) -> "Pose":
        """Pose of (pitch, yaw, roll) in radians."""
        rotation = rotation_from_euler(torch.as_tensor(np.asarray(euler, np.float64))[None])[0].numpy()
        return cls(rotation, np.asarray(trans, np.float64))

    def apply(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Canonical points to camera space."""
        return points @ self.rotation.T + self.trans

    def remove(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Camera space to canonical points."""
        return (points - self.trans) @ self.rotation


@dataclass(frozen=True)
class HeadMesh:
    """A textured triangle mesh that expressions move.

    Attributes:
        vertices: canonical 3DMM units, at the source's expression.
        anchors: the three vertices of the face model whose motion each vertex follows.
        weights: how much of it; all zero for what is fixed to the skull.
        uvw: homogeneous texture coordinates, ``(u w, v w, w)`` with u to the right and v down in [0, 1].
        triangles: vertex numbers.
        layer: which texture each triangle wears.
    """

    vertices: Float[np.ndarray, "v 3"]
    anchors: Int[np.ndarray, "v 3"]
    weights: Float[np.ndarray, "v 3"]
    uvw: Float[np.ndarray, "v 3"]
    triangles: Int[np.ndarray, "f 3"]
    layer: UInt8[np.ndarray, " f"]

    @classmethod
    def on_rays(
        cls,
        xy: Float[np.ndarray, "v 2"],
        distance: Float[np.ndarray, " v"],
        pose: Pose,
        anchors: Int[np.ndarray, "v 3"],
        weights: Float[np.ndarray, "v 3"],
    ) -> "HeadMesh":
        """Vertices at a distance from the camera behind photograph points, wearing the photograph; no triangles yet."""
        points = unproject(xy, distance)
        return cls(pose.remove(points), anchors, weights, projective_uvw(points), np.zeros((0, 3), np.int32), np.zeros(0, np.uint8))

    def wearing(self, triangles: Int[np.ndarray, "f 3"], layer: "int | Integer[np.ndarray, ' f']") -> "HeadMesh":
        """The same vertices joined by triangles that wear one texture, or one each."""
        return replace(self, triangles=triangles, layer=np.broadcast_to(layer, len(triangles)).astype(np.uint8))

    @classmethod
    def cat(cls, parts: "list[HeadMesh]") -> "HeadMesh":
        """One mesh of several."""
        offsets = np.cumsum([0, *(len(part.vertices) for part in parts[:-1])])
        return cls(
            np.concatenate([part.vertices for part in parts]).astype(np.float32),
            np.concatenate([part.anchors for part in parts]).astype(np.int32),
            np.concatenate([part.weights for part in parts]).astype(np.float32),
            np.concatenate([part.uvw for part in parts]).astype(np.float32),
            np.concatenate([part.triangles + offset for part, offset in zip(parts, offsets, strict=True)]).astype(np.int32),
            np.concatenate([part.layer for part in parts]).astype(np.uint8),
        )

    def moved(self, motion: Float[np.ndarray, "m 3"]) -> Float[np.ndarray, "v 3"]:
        """Vertices after the face model's own vertices moved by ``motion`` (canonical units)."""
        return self.vertices + np.einsum("vk,vkc->vc", self.weights, motion[self.anchors])


def unproject(xy: Float[np.ndarray, "n 2"], distance: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
    """Photograph coordinates and distance from the camera to camera space."""
    x = (xy[:, 0] - 0.5) / FIT_FOCAL * distance
    y = (0.5 - xy[:, 1]) / FIT_FOCAL * distance
    return np.stack([x, y, FIT_DISTANCE - distance], 1)


def project(points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 2"]:
    """Camera space to photograph coordinates."""
    distance = FIT_DISTANCE - points[:, 2]
    return np.stack([FIT_FOCAL * points[:, 0] / distance + 0.5, 0.5 - FIT_FOCAL * points[:, 1] / distance], 1)


def projective_uvw(posed: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """Canvas coordinates that project the photograph onto points of its own camera space; linear in space, so exact between vertices."""
    distance = FIT_DISTANCE - posed[:, 2:]
    return np.concatenate([to_canvas(project(posed)) * distance, distance], 1)


def to_clip(posed: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 4"]:
    """Camera space to clip coordinates of ``core.raster``; image row 0 is the top."""
    distance = FIT_DISTANCE - posed[:, 2]
    x, y = 2 * FIT_FOCAL * posed[:, 0], -2 * FIT_FOCAL * posed[:, 1]
    return np.stack([x, y, DEPTH_A * distance + DEPTH_B, distance], 1).astype(np.float32)
