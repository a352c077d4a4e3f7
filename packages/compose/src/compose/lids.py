"""Where a frame's lids are shut further than the photograph's, and where their lashes meet (for ``compose.lookback``)."""

import torch
from core.face.lids import EDGES, LOWER, SOCKETS, closed_lids
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
MARGIN = 10
"""Pixels around lids and lashes that are looked at."""


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
    share, side = closed_lids(vertices, other), fragments.shape[1]
    lids = vertices.new_zeros(len(share), 2, side, side)
    if not share.any():
        return lids
    pixels = points * side - 0.5
    rows, columns = (_around(pixels[:, [*SOCKETS[0], *SOCKETS[1], *LOWER[0], *LOWER[1]], axis], side) for axis in (1, 0))
    window = lids[:, :, rows, columns]
    seen = rearrange(interpolate(share[..., None], fragments[:, rows, columns], face.triangles), "b h w c -> b c h w").to(vertices)
    grown = F.max_pool2d(seen, 2 * SLIT + 1, stride=1, padding=SLIT)
    low, high = SHUT
    window[:, :1] = torch.maximum(seen, ((grown - low) / (high - low)).clamp(0, 1))
    start, full = FROM_SHUT
    for eye in range(2):
        strength = ((share[:, EDGES[eye][4]] - start) / (full - start)).clamp(0, 1)
        if strength.any():
            _draw_lashes(window[:, 1], pixels - pixels.new_tensor([columns.start, rows.start]), eye, strength)
    return lids


def _around(values: Float[Tensor, "b n"], side: int) -> slice:
    """Pixels that hold all of ``values`` with a margin, within the picture; at least one."""
    low = min(max(int(values.min()) - MARGIN, 0), side - 1)
    return slice(low, min(max(int(values.max()) + MARGIN + 1, low + 1), side))


def _draw_lashes(canvas: Float[Tensor, "b h w"], points: Float[Tensor, "b v 2"], eye: int, strength: Float[Tensor, " b"]) -> None:
    """Add the line where upper and lower lid meet, thinner towards the corners; ``points`` in pixels of ``canvas``."""
    edge, low = points[:, list(EDGES[eye])], points[:, list(LOWER[eye])]
    knots = torch.cat([edge[:, :1], (edge[:, 1:-1] + low) / 2, edge[:, -1:]], 1)
    curve = F.interpolate(knots.transpose(1, 2), 33, mode="linear", align_corners=True).transpose(1, 2)
    width = (edge[:, 0] - edge[:, -1]).norm(dim=1)[:, None]
    taper = (1 - torch.linspace(-1, 1, 33, device=points.device).square() ** 2).to(points)
    rows, columns = (_around(curve[..., axis], length) for axis, length in ((1, canvas.shape[1]), (0, canvas.shape[2])))
    y, x = (torch.arange(each.start, each.stop, device=points.device).to(points) for each in (rows, columns))
    pixels = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).flatten(0, 1).expand(len(points), -1, -1)
    distance, nearest = torch.cdist(pixels, curve, compute_mode="donot_use_mm_for_euclid_dist").min(2)
    half, soft = LINE[0] * width, torch.clamp((LINE[1] - LINE[0]) * width, min=FINEST)
    line = (1 - (distance - half) / soft).clamp(0, 1) * taper[nearest] * strength[:, None]
    part = canvas[:, rows, columns]
    part.copy_(torch.maximum(part, line.view_as(part)))
