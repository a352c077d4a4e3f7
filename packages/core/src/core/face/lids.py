"""The upper lids of the face mesh: which points they have, and how far they are shut."""

import torch
from jaxtyping import Float
from torch import Tensor

EDGES = (
    (33, 246, 161, 160, 159, 158, 157, 173, 133),
    (263, 466, 388, 387, 386, 385, 384, 398, 362),
)
"""Edge of the upper lid from the outer to the inner corner, of the right and of the left eye (MediaPipe's points)."""
FOLDS = (
    (130, 247, 30, 29, 27, 28, 56, 190, 243),
    (359, 467, 260, 259, 257, 258, 286, 414, 463),
)
"""The points above those, at the lid's fold."""
SOCKETS = (
    (226, 113, 225, 224, 223, 222, 221, 189, 244),
    (446, 342, 445, 444, 443, 442, 441, 413, 464),
)
"""The points above those, below the brow."""
LOWER = ((7, 163, 144, 145, 153, 154, 155), (249, 390, 373, 374, 380, 381, 382))
"""Edge of the lower lid, from outside to inside."""
SEEN = 0.02
"""Openings below this, 3DMM units, count as this much: an eye that is shut has nothing to close."""


def lid_openings(vertices: Float[Tensor, "b 468 3"]) -> Float[Tensor, "b 2"]:
    """How far the right and the left eye are open, 3DMM units: mean over the middle of the lids. Canonical vertices."""
    gaps = [vertices[:, edge[3:6], 1] - vertices[:, low[2:5], 1] for edge, low in zip(EDGES, LOWER, strict=True)]
    return torch.stack([gap.mean(1) for gap in gaps], 1).clamp_min(0)


def closed_lids(vertices: Float[Tensor, "b v 3"], other: Float[Tensor, "b v 3"]) -> Float[Tensor, "b v"]:
    """How far the lids are shut, 0 to 1, at the points of upper lids and on the edges of lower ones; 0 at all other points.

    Args:
        vertices: canonical; zeros come back for meshes that have not the 468 points.
        other: the same face with the eyes as open as counts for 0.
    """
    share = vertices.new_zeros(vertices.shape[:2])
    if vertices.shape[1] != 468:
        return share
    closed = (1 - lid_openings(vertices) / lid_openings(other).clamp_min(SEEN)).clamp(0, 1)
    for eye in range(2):
        share[:, [*EDGES[eye], *FOLDS[eye], *LOWER[eye]]] = closed[:, eye, None]
    return share
