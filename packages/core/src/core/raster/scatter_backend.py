"""The rasteriser for GPUs without nvdiffrast: every triangle tries the pixels of its bounding box, all at once, and the nearest one wins.

Plain torch on any device. Rules and arithmetic are those of ``numba_backend``; what wins does not depend on the order of execution.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

_SLACK = 1e-3
"""Pixels by which bounding boxes are widened: far more than their rounding error."""
_TRIES = 1 << 21
"""Pixels that are tried at a time: some 500 MB."""


@dataclass(frozen=True)
class _Triangles:
    """All triangles of all meshes.

    Attributes:
        lines: edge ``a x + b y + c`` opposite to each corner, positive inside.
        z: of the corners.
        area: determinant, positive.
        box: left, top, width and height in pixels; without width where nothing can be seen.
        mesh: number of the mesh.
    """

    lines: Float[Tensor, "n 3 3"]
    z: Float[Tensor, "n 3"]
    area: Float[Tensor, " n"]
    box: Int[Tensor, "n 4"]
    mesh: Int[Tensor, " n"]

    @classmethod
    def of(cls, clip: Float[Tensor, "b v 4"], faces: Int[Tensor, "f 3"], size: tuple[int, int]) -> "_Triangles":
        """Set up."""
        corners = clip.detach().double()[:, faces].flatten(0, 1)
        points = corners[:, :, [0, 1, 3]]
        following, preceding = points.roll(-1, 1), points.roll(-2, 1)
        lines = following.roll(-1, 2) * preceding.roll(-2, 2) - following.roll(-2, 2) * preceding.roll(-1, 2)
        det = points[:, 0, 0] * lines[:, 0, 0] + points[:, 0, 1] * lines[:, 0, 1] + points[:, 0, 2] * lines[:, 0, 2]
        lines = torch.where(det[:, None, None] < 0, -lines, lines)
        before = (corners[:, :, 3] > 0).all(1)
        spans = [_span(corners[:, :, axis] / corners[:, :, 3], before, size[1 - axis]) for axis in (0, 1)]
        (left, wide), (top, high) = spans
        wide = torch.where(det.abs() > 0, wide, 0)
        mesh = torch.arange(len(clip), device=clip.device).repeat_interleave(len(faces))
        return cls(lines, corners[:, :, 2], det.abs(), torch.stack([left, top, wide, high], 1), mesh)

    def edges(self, which: Int[Tensor, " k"], column: Int[Tensor, " k"], row: Int[Tensor, " k"], size: tuple[int, int]) -> Tensor:
        """Edge functions (k, 3) of some triangles at one pixel each."""
        x, y = ((2 * at + 1) / n - 1 for at, n in ((column.double(), size[1]), (row.double(), size[0])))
        a, b, c = self.lines[which].unbind(2)
        return a * x[:, None] + (b * y[:, None] + c)


def _span(seen: Float[Tensor, "n 3"], before: Bool[Tensor, " n"], size: int) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
    """First pixel and number of pixels whose centres may lie between three normalised coordinates; all if one is behind the camera."""
    at = ((seen + 1) * size - 1) * 0.5
    low, high = at.amin(1) - _SLACK, at.amax(1) + _SLACK
    inside = (low <= size - 1) & (high >= 0) & before
    first = torch.where(inside, low.clamp_min(0).ceil(), 0).long()
    last = torch.where(inside, high.clamp_max(size - 1).floor(), -1).long()
    return first, torch.where(before, (last + 1 - first).clamp_min(0), size)


def _tries(box: Int[Tensor, "n 4"]) -> Iterator[tuple[Int[Tensor, " k"], Int[Tensor, " k"], Int[Tensor, " k"]]]:
    """Triangle, column and row of every pixel of every box, some at a time."""
    used = (box[:, 2] * box[:, 3]).nonzero()[:, 0]
    counts = box[used, 2] * box[used, 3]
    ends = counts.cumsum(0)
    total = int(ends[-1]) if len(ends) else 0
    marks = torch.arange(_TRIES, total + _TRIES, _TRIES, device=box.device)
    stops = torch.searchsorted(ends, marks.clamp_max(total)).tolist()
    start = 0
    for stop in stops:
        part, number = used[start : stop + 1], counts[start : stop + 1]
        which = part.repeat_interleave(number)
        offset = torch.arange(len(which), device=box.device) - (number.cumsum(0) - number).repeat_interleave(number)
        wide = box[which, 2]
        yield which, box[which, 0] + offset % wide, box[which, 1] + torch.div(offset, wide, rounding_mode="floor")
        start = stop + 1


def _inside(lines: Float[Tensor, "k 3 3"], edges: Float[Tensor, "k 3"]) -> Bool[Tensor, " k"]:
    """Is the pixel centre, shifted by (e, e^2), on the inner side of all edges?"""
    a, b = lines[:, :, 0], lines[:, :, 1]
    return ((edges > 0) | ((edges == 0) & ((a > 0) | ((a == 0) & (b > 0))))).all(1)


def _weighted(edges: Float[Tensor, "k 3"], z: Float[Tensor, "k 3"]) -> Float[Tensor, " k"]:
    return edges[:, 0] * z[:, 0] + edges[:, 1] * z[:, 1] + edges[:, 2] * z[:, 2]


def rasterize(clip: Float[Tensor, "b v 4"], triangles: Int[Tensor, "f 3"], size: tuple[int, int]) -> Float[Tensor, "b h w 4"]:
    """See ``core.raster.rasterize``; no gradients."""
    height, width = size
    all_of = _Triangles.of(clip, triangles.to(clip.device).long(), size)
    count = len(clip) * height * width
    nearest = torch.full((count,), torch.inf, dtype=torch.float64, device=clip.device)
    nobody = len(all_of.mesh)
    winner = torch.full((count,), nobody, device=clip.device)
    for which, column, row in _tries(all_of.box):
        edges = all_of.edges(which, column, row, size)
        depth = _weighted(edges, all_of.z[which]) / all_of.area[which]
        hit = _inside(all_of.lines[which], edges) & (depth.abs() <= 1) & (edges.sum(1) > 0)
        which, depth = which[hit], depth[hit]
        pixel = ((all_of.mesh[which] * height + row[hit]) * width) + column[hit]
        closest = nearest.scatter_reduce(0, pixel, depth, "amin")
        winner = torch.where(closest < nearest, nobody, winner)
        first = (depth == closest[pixel]) & (closest[pixel] < nearest[pixel])  # of equally near ones the first, as if drawn in turn
        winner.scatter_reduce_(0, pixel[first], which[first], "amin")
        nearest = closest
    seen = (winner < nobody).nonzero()[:, 0]
    who, place = winner[seen], seen % (height * width)
    edges = all_of.edges(who, place % width, torch.div(place, width, rounding_mode="floor"), size)
    total = edges[:, 0] + edges[:, 1] + edges[:, 2]
    fragment = torch.stack([edges[:, 0] / total, edges[:, 1] / total, nearest[seen], who % max(len(triangles), 1) + 1.0], 1).float()
    return torch.zeros(count, 4, device=clip.device).index_copy(0, seen, fragment).reshape(len(clip), height, width, 4)
