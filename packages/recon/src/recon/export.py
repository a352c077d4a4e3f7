"""A tri-plane as a coloured mesh: the surface at which its density hides what is behind."""

import math

import numpy as np
import torch
from core.errors import PortraitError
from core.media.mesh_files import Mesh
from core.render.decoder import colour_of
from core.render.triplane import PlaneSampler
from core.render.volume import VolumeRenderer
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

DEPTH = 0.05
"""Share of the box's side in which a density of the surface's level hides half of what is behind."""

EDGE = 0.03
"""Share of the bounding ellipsoid's radius over which the density fades, so that its cut is smooth."""
SMOOTHING = 0.006
"""Width of the Gaussian that the density is smoothed with, as a share of the box's side."""


@torch.inference_mode()
def extract_mesh(volume: VolumeRenderer, planes: Float[Tensor, "1 3 c p p"], cells: int = 192, depth: float = DEPTH) -> Mesh:
    """The surface of a head, closed, with the decoder's colours.

    Args:
        volume: ``HeadRenderer.volume``.
        planes: from ``I2P``, flipped and ready.
        cells: grid cells per side of the box.
        depth: see ``DEPTH``; smaller finds denser, more inward surfaces.

    Raises:
        PortraitError: ``E_MESH`` when nothing in the box is as dense as that.
    """
    from scipy.ndimage import gaussian_filter

    config = volume.config
    sampler = PlaneSampler(planes.float(), config.plane_axes, config.box)
    ticks = ((torch.arange(cells, device=planes.device) + 0.5) / cells - 0.5) * config.box
    slabs = [_density(volume, sampler, torch.cartesian_prod(tick[None], ticks, ticks)).cpu() for tick in ticks]
    grid = gaussian_filter(torch.stack(slabs).view(cells, cells, cells).numpy(), SMOOTHING * cells, mode="constant")
    level = math.log(2) / (depth * config.box)
    if grid.max() <= level:
        raise PortraitError("E_MESH", "there is no surface in these planes", "Use trained weights and the photograph of a head.")
    places, faces = closed_surface(grid, level)
    vertices = (((places + 0.5) / cells - 0.5) * config.box).astype(np.float32)
    points = torch.from_numpy(vertices).to(planes.device)
    colours = torch.cat([colour_of(volume.decoder(sampler(part[None]))[1][0, :, :3]) for part in points.split(65536)])
    return Mesh(vertices, faces, (colours.clamp(0, 1) * 255).round().byte().cpu().numpy())


def _density(volume: VolumeRenderer, sampler: PlaneSampler, points: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
    """What the ray marcher makes of the decoder's answer; fades to zero at the ellipsoid that bounds the head."""
    config = volume.config
    density = F.softplus(volume.decoder.sigma(sampler(points[None]))[0] - 1) * config.density_scale
    if config.bound_radius is None:
        return density
    offset = (points - points.new_tensor(config.bound_centre)) / points.new_tensor(config.bound_radius)
    return density * ((1 - offset.norm(dim=-1)) / EDGE).clamp(0, 1)


def closed_surface(grid: Float[np.ndarray, "n n n"], level: float) -> tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "f 3"]]:
    """The outer surface of the largest part of a grid that is above ``level``; hollows inside are filled, the border counts as empty.

    Returns:
        vertices in grid indices, and counter-clockwise faces.
    """
    from scipy.ndimage import binary_dilation, binary_fill_holes, label
    from skimage.measure import marching_cubes

    grid = np.pad(grid, 1)
    parts, _ = label(grid > level)
    largest = parts == np.argmax(np.bincount(parts.ravel())[1:]) + 1
    hollow = binary_fill_holes(largest) & ~largest
    grid = np.where(hollow, 2 * level, np.where((parts > 0) & ~largest & ~hollow, 0, grid))
    grid = np.where(binary_dilation(largest | hollow), grid, 0).astype(np.float32)
    vertices, faces, _, _ = marching_cubes(grid, level, gradient_direction="ascent")
    return vertices - 1, faces.astype(np.int64)
