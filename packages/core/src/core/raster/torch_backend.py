"""The rasteriser written for reading: the same arithmetic as ``numba_backend``, vectorised over pixels, on any device."""

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

_CHUNK = 64


def _cover(
    corners: Float[Tensor, "n 3 4"], x: Float[Tensor, " w"], y: Float[Tensor, " h"]
) -> tuple[Float[Tensor, "n 3 h w"], Float[Tensor, "n h w"]]:
    """Barycentric weights and depth of ``n`` triangles at every pixel; depth is infinite where a triangle does not cover the pixel."""
    points = corners[:, :, [0, 1, 3]]  # homogeneous image points (x, y, w)
    following, preceding = points.roll(-1, 1), points.roll(-2, 1)
    # The cross product is the edge a x + b y + c opposite to each corner; written out: fused arithmetic would break its antisymmetry.
    lines = following.roll(-1, 2) * preceding.roll(-2, 2) - following.roll(-2, 2) * preceding.roll(-1, 2)
    det = (points[:, 0] * lines[:, 0]).unflatten(1, (3, 1)).cumsum(1)[:, -1]  # summed in order, as the compiled twin does
    lines = torch.where(det[:, :, None] < 0, -lines, lines)
    a, b, c = (rearrange(v, "n k -> n k 1 1") for v in lines.unbind(2))
    edges = a * x + (b * y[:, None] + c)
    inside = (edges > 0) | ((edges == 0) & ((a > 0) | ((a == 0) & (b > 0))))
    z = rearrange(corners[:, :, 2], "n k -> n k 1 1")
    depth = (edges[:, 0] * z[:, 0] + edges[:, 1] * z[:, 1] + edges[:, 2] * z[:, 2]) / det.abs()[:, :, None]
    total = edges[:, 0] + edges[:, 1] + edges[:, 2]
    valid = inside.all(1) & (depth.abs() <= 1) & (total > 0) & (det.abs() > 0)[:, :, None]
    return edges / total[:, None], torch.where(valid, depth, torch.inf)


def _one(clip: Float[Tensor, "v 4"], triangles: Int[Tensor, "f 3"], size: tuple[int, int]) -> Float[Tensor, "h w 4"]:
    """Rasterise one mesh, some triangles at a time."""
    height, width = size
    y, x = ((2 * torch.arange(n, device=clip.device).double() + 1) / n - 1 for n in size)
    nearest = torch.full((height, width), torch.inf, dtype=torch.float64, device=clip.device)
    out = torch.zeros(height, width, 4, device=clip.device)
    for start in range(0, len(triangles), _CHUNK):
        weights, depth = _cover(clip[triangles[start : start + _CHUNK]], x, y)
        z, which = depth.min(0)
        weights = weights.gather(0, which.expand(1, 3, height, width))[0]
        fragment = torch.stack([weights[0], weights[1], z, which + start + 1.0], -1).float()
        out = torch.where((z < nearest)[:, :, None], fragment, out)
        nearest = torch.minimum(nearest, z)
    return out


def rasterize(clip: Float[Tensor, "b v 4"], triangles: Int[Tensor, "f 3"], size: tuple[int, int]) -> Float[Tensor, "b h w 4"]:
    """See ``core.raster.rasterize``."""
    return torch.stack([_one(mesh, triangles.to(clip.device), size) for mesh in clip.detach().float().double()])


def interpolate(
    attributes: Float[Tensor, "b v c"], fragments: Float[Tensor, "b h w 4"], triangles: Int[Tensor, "f 3"]
) -> Float[Tensor, "b h w c"]:
    """See ``core.raster.interpolate``; gradients reach both inputs."""
    b, h, w, _ = fragments.shape
    flat = rearrange(fragments, "b h w k -> (b h w) k")
    seen = flat[:, 3].nonzero()[:, 0]
    b0, b1, _, number = flat[seen].to(attributes).split(1, 1)
    corners = triangles.to(flat.device)[number[:, 0].long() - 1]  # (n, 3)
    corners = corners + (seen // (h * w) * attributes.shape[1])[:, None]
    values = rearrange(attributes, "b v c -> (b v) c")
    blended = b0 * values[corners[:, 0]] + b1 * values[corners[:, 1]] + (1 - b0 - b1) * values[corners[:, 2]]
    image = blended.new_zeros(b * h * w, attributes.shape[2])
    return image.index_copy(0, seen, blended).unflatten(0, (b, h, w))
