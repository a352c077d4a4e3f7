"""The grid of vertices over a photograph's canvas that inflated surfaces are made of."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import map_coordinates

from core.people.canvas import from_canvas
from core.people.geometry import HeadMesh
from core.raster.numba_backend import interpolate_arrays, rasterize_arrays

STEP = 4
"""Grid spacing in pixels of the photograph."""


@dataclass(frozen=True)
class Grid:
    """Vertices ``STEP`` pixels apart over the whole canvas."""

    side: int
    columns: int
    spots: np.ndarray
    xy: np.ndarray

    @classmethod
    def over(cls, side: int) -> "Grid":
        """Cover a canvas of ``side`` pixels."""
        ticks = np.arange(0, side + 1, STEP)
        spots = np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2)
        return cls(side, len(ticks), spots, from_canvas(spots / side))

    def over_mesh(
        self, xy: Float[np.ndarray, "v 2"], values: Float[np.ndarray, " v"], triangles: Int[np.ndarray, "f 3"]
    ) -> Float[np.ndarray, "r r"]:
        """Values of a mesh's vertices at the vertices of the grid, 0 where the mesh (canvas coordinates) is not."""
        flat = (xy * self.side / STEP + 0.5) / self.columns * 2 - 1
        clip = np.concatenate([flat, np.zeros((len(flat), 1)), np.ones((len(flat), 1))], 1).astype(np.float32)
        fragments = rasterize_arrays(clip, np.ascontiguousarray(triangles), self.columns, self.columns)
        return interpolate_arrays(values[:, None].astype(np.float32), fragments, triangles)[..., 0]

    def stretched(self, values: Float[np.ndarray, "r r"]) -> Float[np.ndarray, "c c"]:
        """Values at the vertices as a picture of the canvas."""
        spots = ((np.arange(self.side) + 0.5) / STEP).astype(np.float32)
        columns, rows = np.meshgrid(spots, spots)
        return cv2.remap(values.astype(np.float32), columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def sample(self, image: np.ndarray) -> np.ndarray:
        """A canvas picture at the vertices, (rows, columns)."""
        values = map_coordinates(np.asarray(image, np.float32), (self.spots[:, ::-1] - 0.5).T, order=1, mode="nearest")
        return values.reshape(self.columns, self.columns)


def quads_of(keep: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h-1 w-1"]:
    """Cells whose four corners are kept."""
    return keep[:-1, :-1] & keep[1:, :-1] & keep[:-1, 1:] & keep[1:, 1:]


def grid_triangles(quads: Bool[np.ndarray, "h w"], columns: int) -> np.ndarray:
    """Two triangles per quad of a vertex grid with ``columns`` columns."""
    row, column = np.nonzero(quads)
    a = row * columns + column
    b, c, d = a + 1, a + columns, a + columns + 1
    return np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])


def skirt(quads: Bool[np.ndarray, "h w"], columns: int) -> np.ndarray:
    """Edges (vertex pairs) between a kept and a missing quad; the kept one is on the right as seen from the first vertex (y down)."""
    padded = np.pad(quads, 1)
    above, below = padded[:-1, 1:-1], padded[1:, 1:-1]
    left, right = padded[1:-1, :-1], padded[1:-1, 1:]
    edges = []
    for kept, other, start, end in ((below, above, 0, 1), (above, below, 1, 0), (right, left, columns, 0), (left, right, 0, columns)):
        row, column = np.nonzero(kept & ~other)
        vertex = row * columns + column
        edges.append(np.stack([vertex + start, vertex + end], 1))
    return np.concatenate(edges)


def bridge(edges: np.ndarray, count: int) -> np.ndarray:
    """Triangles between boundary edges and their copies ``count`` vertices later."""
    a, b = edges.T
    return np.concatenate([np.stack([a, b, a + count], 1), np.stack([b, b + count, a + count], 1)]).astype(np.int32)


def compact(mesh: HeadMesh) -> HeadMesh:
    """Drop vertices that no triangle uses."""
    used, triangles = np.unique(mesh.triangles, return_inverse=True)
    return HeadMesh(
        mesh.vertices[used].astype(np.float32),
        mesh.anchors[used].astype(np.int32),
        mesh.weights[used].astype(np.float32),
        mesh.uvw[used].astype(np.float32),
        triangles.reshape(-1, 3).astype(np.int32),
        mesh.layer,
    )
