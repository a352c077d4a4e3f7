"""Where a frame's lids are shut further than the photograph's, and where their lashes meet (for ``compose.lookback``)."""

import torch
from core.face.lids import EDGES, LOWER, closed_lids
from core.face.model import FaceModel
from core.raster import interpolate
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

SLIT = 2
"""Half the height, in pixels of 256, of the slit that shut lids of the mesh may leave between them."""
SHUT = (0.85, 0.97)
"""How far lids are shut from which on that slit begins to count as shut, and does."""
FROM_SHUT = (0.5, 0.9)
"""How far lids are shut from which on a line of lashes begins to show, and shows in full."""
LINE = (0.012, 0.05)
"""Half the width of that line and of the line with its soft border, in widths of the eye."""
FINEST = 0.7
"""Width of the soft border, in pixels, at least."""


def lid_map(
    face: FaceModel,
    vertices: Float[Tensor, "b v 3"],
    other: Float[Tensor, "b v 3"],
    points: Float[Tensor, "b v 2"],
    fragments: Float[Tensor, "b f f 4"],
) -> Float[Tensor, "b 2 f f"]:
    """How far the lids are shut, 0 to 1, where they are seen, and how much of their lashes shows.

    Args:
        face: the 3DMM; one without the 468 points has no lids.
        vertices: canonical, of the frame.
        other: the same face with the expression that is compared with.
        points: of the frame, [0, 1] across the picture, y down.
        fragments: of the frame's mesh.
    """
    share = closed_lids(vertices, other)
    seen = rearrange(interpolate(share[..., None], fragments, face.triangles), "b h w c -> b c h w").to(vertices)
    grown = F.max_pool2d(seen, 2 * SLIT + 1, stride=1, padding=SLIT)
    low, high = SHUT
    closed = torch.maximum(seen, ((grown - low) / (high - low)).clamp(0, 1))
    lashes = torch.zeros_like(closed)
    if share.any():
        start, full = FROM_SHUT
        for eye in range(2):
            strength = ((share[:, EDGES[eye][4]] - start) / (full - start)).clamp(0, 1)
            _draw_lashes(lashes, points * closed.shape[-1] - 0.5, eye, strength)
    return torch.cat([closed, lashes], 1)


def _draw_lashes(canvas: Float[Tensor, "b 1 f f"], points: Float[Tensor, "b v 2"], eye: int, strength: Float[Tensor, " b"]) -> None:
    """Add the line where upper and lower lid meet, thinner towards the corners; pixels of ``canvas``."""
    edge, low = points[:, list(EDGES[eye])], points[:, list(LOWER[eye])]
    knots = torch.cat([edge[:, :1], (edge[:, 1:-1] + low) / 2, edge[:, -1:]], 1)
    curve = F.interpolate(knots.transpose(1, 2), 33, mode="linear", align_corners=True).transpose(1, 2)
    width = (edge[:, 0] - edge[:, -1]).norm(dim=1)[:, None, None]
    taper = (1 - torch.linspace(-1, 1, 33, device=points.device).square() ** 2).to(points)
    side, margin = canvas.shape[-1], 3
    top, bottom = (int(x) for x in (curve[..., 1].min() - margin, curve[..., 1].max() + margin + 1))
    left, right = (int(x) for x in (curve[..., 0].min() - margin, curve[..., 0].max() + margin + 1))
    rows, columns = (range(max(a, 0), min(b, side)) for a, b in ((top, bottom), (left, right)))
    if not len(rows) or not len(columns):
        return
    y, x = (torch.arange(each.start, each.stop, device=points.device).to(points) for each in (rows, columns))
    pixels = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).flatten(0, 1).expand(len(points), -1, -1)
    distance, nearest = torch.cdist(pixels, curve).min(2)
    half, soft = LINE[0] * width[..., 0], torch.clamp((LINE[1] - LINE[0]) * width[..., 0], min=FINEST)
    line = (1 - (distance - half) / soft).clamp(0, 1) * taper[nearest] * strength[:, None]
    part = canvas[:, 0, rows.start : rows.stop, columns.start : columns.stop]
    part.copy_(torch.maximum(part, line.view_as(part)))
