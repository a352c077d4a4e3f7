"""Lids that shut.

An open eye folds its lid away: the photograph shows a few rows of it, most of them lashes, and a shut lid made of those would be a smear.
So the lids wear skin of their own (``core.people.shut_eyes``), the more the further they close.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8

from core.face.lids import EDGES, FOLDS, SEEN, SOCKETS, lid_openings
from core.people.geometry import LAYER_EYES, HeadMesh, Pose, projective_uvw
from core.people.shut_eyes import eye_box, shut_eyes

STEPS = 5
"""Looks of a lid from open to shut."""
APART = 0.07
"""They lie about so far from each other in the texture of the eyes, in canvas sides, the first twice as far from the eye."""


@dataclass(frozen=True)
class Lids:
    """Where the upper lids are in the solid mesh of a person.

    Attributes:
        first: number of the right lid's first vertex; the left lid's follow.
        count: vertices of each lid.
        open: openings in the photograph, 3DMM units.
        apart: ``APART`` in whole texels, so that an open lid wears the very photograph; negative when the looks lie above the eyes.
    """

    first: int
    count: int
    open: Float[np.ndarray, "2"]
    apart: float

    @classmethod
    def of(cls, first: int, count: int, measured: Float[np.ndarray, "468 3"], apart: float) -> "Lids":
        """From the face of the photograph, canonical; the other arguments are attributes."""
        return cls(first, count, np.maximum(_openings(measured), SEEN), apart)

    def wear(self, uvw: Float[np.ndarray, "v 3"], moved: Float[np.ndarray, "468 3"]) -> Float[np.ndarray, "v 3"]:
        """Texture coordinates of the solid mesh for a face whose vertices are at ``moved``, canonical."""
        closed = np.clip(1 - _openings(moved) / self.open, 0, 1)
        uvw = uvw.copy()
        for eye, step in enumerate(np.rint(closed * (STEPS - 1)).astype(int)):
            part = slice(self.first + eye * self.count, self.first + (eye + 1) * self.count)
            uvw[part, 1] += (step + 2) * self.apart * uvw[part, 2]
        return uvw


def _openings(vertices: Float[np.ndarray, "468 3"]) -> Float[np.ndarray, "2"]:
    return lid_openings(torch.from_numpy(np.asarray(vertices, np.float64))[None])[0].numpy()


def lid_triangles(triangles: Int[np.ndarray, "f 3"], eye: int) -> Bool[np.ndarray, " f"]:
    """Which triangles of the face make up an upper lid: from its edge to the fold and on to the socket."""
    rings = [set(ring[eye]) for ring in (EDGES, FOLDS, SOCKETS)]
    return np.array([any(set(corners) <= low | high for low, high in pairwise(rings)) for corners in triangles.tolist()])


def lid_meshes(triangles: Int[np.ndarray, "f 3"], vertices: Float[np.ndarray, "468 3"], pose: Pose) -> list[HeadMesh]:
    """Both upper lids as meshes of their own that move as the face does; equally many vertices each."""
    meshes = []
    for eye in range(2):
        used = np.unique(triangles[lid_triangles(triangles, eye)])
        number = np.zeros(len(vertices), int)
        number[used] = np.arange(len(used))
        own = number[triangles[lid_triangles(triangles, eye)]]
        anchors, weights = used[:, None].repeat(3, 1), np.tile([1.0, 0.0, 0.0], (len(used), 1))
        layer = np.full(len(own), LAYER_EYES, np.uint8)
        meshes.append(HeadMesh(vertices[used], anchors, weights, projective_uvw(pose.apply(vertices[used])), own, layer))
    return meshes


def add_looks(
    texture: UInt8[np.ndarray, "s s 3"], image: UInt8[np.ndarray, "s s 3"], xy: Float[np.ndarray, "468 2"]
) -> tuple[UInt8[np.ndarray, "s s 3"], float]:
    """Write all looks of both lids into the texture of the eyes.

    Args:
        texture: of the eyes.
        image: photograph on the canvas.
        xy: points of the face, on the canvas in [0, 1].

    Returns:
        The texture, and ``Lids.apart``.
    """
    side, out = len(image), texture.copy()
    shut = shut_eyes(image, xy).astype(np.float32)
    eyes = [xy[[*EDGES[eye], *SOCKETS[eye]], 1] * side for eye in range(2)]
    gap = round(APART * side) * (-1 if np.concatenate(eyes).mean() > 0.5 * side else 1)
    for eye, height in enumerate(eyes):
        _, columns = eye_box(xy * side, eye, side)
        rows = np.arange(int(height.min()) - 2, int(height.max()) + 3)  # a lid's own, so that looks do not reach into each other
        for step in range(STEPS):
            share = step / (STEPS - 1)
            mixed = image[rows, columns] * (1 - share) + shut[rows, columns] * share
            out[rows + (step + 2) * gap, columns] = np.clip(mixed + 0.5, 0, 255).astype(np.uint8)
    return out, gap / side
