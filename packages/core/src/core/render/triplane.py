"""Features of points from three axis-aligned feature planes (EG3D, Section 4.1; spec 3.1)."""

from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

PlaneAxes = Literal["eg3d", "xyz"]
AXES: dict[str, tuple[tuple[int, int], ...]] = {"eg3d": ((0, 1), (0, 2), (2, 0)), "xyz": ((0, 1), (0, 2), (2, 1))}
"""(column, row) coordinate of every plane. ``eg3d`` is what published weights were trained with: its third plane repeats (x, z)."""


def flip_planes(planes: Float[Tensor, "b 3 c h w"]) -> Float[Tensor, "b 3 c h w"]:
    """From what a network draws (plane 0 upright) to what the renderer reads: rows of all planes, columns of the third (spec 3.1)."""
    return torch.stack([planes[:, 0].flip(-2), planes[:, 1].flip(-2), planes[:, 2].flip(-2, -1)], 1)


def mirror_planes(planes: Float[Tensor, "b 3 c h w"]) -> Float[Tensor, "b 3 c h w"]:
    """What the renderer reads, mirrored left to right (x to -x); for axes ``xyz``."""
    return torch.cat([planes[:, :2].flip(-1), planes[:, 2:]], 1)


def project(points: Float[Tensor, "b n 3"], plane_axes: PlaneAxes, box: float = 1.0) -> Float[Tensor, "b 3 n 2"]:
    """Where points fall on the planes, in [-1, 1] within the box: (column, row) per plane."""
    scaled = points * (2 / box)
    return torch.stack([scaled[..., list(axes)] for axes in AXES[plane_axes]], 1)


class PlaneSampler:
    """Features of points as the mean of three bilinear samples; zero outside the box, texel centres at half texels.

    Float32 on a CPU goes through ``core.render.triplane_numba``, which copies the planes into a table: make one sampler per image.

    Args:
        planes: feature planes.
        plane_axes: which coordinates the planes span, see ``AXES``.
        box: side of the cube ``[-box/2, box/2]^3`` that the planes cover, world units.
    """

    def __init__(self, planes: Float[Tensor, "b 3 c h w"], plane_axes: PlaneAxes = "eg3d", box: float = 1.0) -> None:
        self.planes, self.plane_axes, self.box = planes, plane_axes, box
        self.fast = None
        if planes.device.type == "cpu" and planes.dtype == torch.float32:
            from core.render.triplane_numba import TableSampler

            self.fast = TableSampler(planes, AXES[plane_axes], box)

    def __call__(self, points: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n c"]:
        """Features at world points; gradients reach the planes, and the points if they ask for them."""
        if self.fast is not None and not points.requires_grad:
            return self.fast(points)
        return sample_planes_torch(self.planes, points, self.plane_axes, self.box)


def sample_planes(
    planes: Float[Tensor, "b 3 c h w"], points: Float[Tensor, "b n 3"], plane_axes: PlaneAxes = "eg3d", box: float = 1.0
) -> Float[Tensor, "b n c"]:
    """``PlaneSampler`` for a single set of points."""
    return PlaneSampler(planes, plane_axes, box)(points)


def sample_planes_torch(
    planes: Float[Tensor, "b 3 c h w"], points: Float[Tensor, "b n 3"], plane_axes: PlaneAxes = "eg3d", box: float = 1.0
) -> Float[Tensor, "b n c"]:
    """``sample_planes`` through ``grid_sample``: any device, any precision, gradients of the points too."""
    grid = rearrange(project(points, plane_axes, box), "b k n two -> (b k) 1 n two")
    features = F.grid_sample(rearrange(planes, "b k c h w -> (b k) c h w"), grid, align_corners=False, padding_mode="zeros")
    return rearrange(features, "(b k) c 1 n -> b k c n", k=3).mean(1).transpose(1, 2)
