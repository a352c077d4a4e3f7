"""The source image centred on the head, upright and to scale, so that pixels lie where the frontal plane needs them."""

import torch
from core.camera import WORLD_SHIFT, Camera
from core.exact import exact
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

AVERAGE_HEAD = ((0.0, 0.03, 0.02), (0.215, 0.42, 0.18))
"""Centre and half axes, world units, of an ellipsoid whose front is near the face of an average person."""


FAINT, CLEAR = 4 / 255, 12 / 255
"""Brightest channel, in [0, 1], up to which a pixel is empty, and from which it is the head. Codecs leave something faint beside a head."""


def with_outline(image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 4 h w"]:
    """Append where the image is not empty: 1 there, -1 where it is -1. A head over -1 tells its own mask."""
    brightest = (image.amax(1, keepdim=True) + 1) / 2
    return torch.cat([image, 2 * ((brightest - FAINT) / (CLEAR - FAINT)).clamp(0, 1) - 1], 1)


@exact
def unturned_frame(image: Float[Tensor, "b c h h"], camera: Camera, size: int, extent: float) -> Float[Tensor, "b c s s"]:
    """As ``head_frame``, and turned to the front as well: every pixel is looked up where the camera sees that point of an average head.

    To the side of that head the surface goes on as a plane. What the photograph does not show is filled with what hides it.

    Args and result: as those of ``head_frame``.
    """
    ticks = ((torch.arange(2 * size, device=image.device) + 0.5) / (2 * size) - 0.5).to(image) * extent
    y, x = torch.meshgrid(-ticks, ticks, indexing="ij")
    (cx, cy, cz), (rx, ry, rz) = AVERAGE_HEAD
    z = cz + rz * (1 - ((x - cx) / rx) ** 2 - ((y - cy) / ry) ** 2).clamp_min(0).sqrt()
    points = rearrange(torch.stack([x, y, z], -1), "h w c -> 1 (h w) c").expand(len(image), -1, -1)
    grid = rearrange(camera.project(points)[0], "b (h w) c -> b h w c", h=2 * size)
    return _sample(image, grid)


@exact
def head_frame(image: Float[Tensor, "b c h h"], camera: Camera, size: int, extent: float) -> Float[Tensor, "b c s s"]:
    """Resample an image so that it shows the world square of side ``extent`` around the canonical origin, as an upright frontal head would.

    A similarity transform in the picture plane: the origin of the 3DMM goes to its canonical place, the head's up direction upwards, and a
    world unit at the depth of that origin becomes ``size / extent`` pixels. Yaw and pitch stay for the network to undo.

    Args:
        image: head in [-1, 1] over -1.
        camera: that took the image.
        size: side of the result in pixels.
        extent: side of the world square; the box of the planes makes pixels and plane cells coincide.

    Returns:
        The aligned image, -1 outside the source.
    """
    rotation = camera.cam2world[:, :3, :3]
    origin = torch.tensor(WORLD_SHIFT).to(image)
    point = torch.einsum("bji,bj->bi", rotation, origin - camera.cam2world[:, :3, 3])
    focal, centre = camera.intrinsics[:, 0, 0], camera.intrinsics[:, :2, 2]
    scale = focal / point[:, 2]
    middle = scale[:, None] * point[:, :2] + centre
    up = F.normalize(rotation[:, 1, :2], dim=-1)
    right = torch.stack([-up[:, 1], up[:, 0]], -1)
    ticks = ((torch.arange(2 * size, device=image.device) + 0.5) / (2 * size) - 0.5).to(image) * extent
    x, y = rearrange(ticks, "n -> 1 1 n 1"), rearrange(-ticks - origin[1], "n -> 1 n 1 1")
    along, across = (rearrange(v * scale[:, None], "b k -> b 1 1 k") for v in (right, up))
    grid = rearrange(middle, "b k -> b 1 1 k") + x * along + y * across
    return _sample(image, grid)


def _sample(image: Float[Tensor, "b c h h"], grid: Float[Tensor, "b t t 2"]) -> Float[Tensor, "b c s s"]:
    """The image at ``grid``, in [0, 1] across it, averaged over 2 x 2 samples against aliasing; -1 outside."""
    sampled = F.grid_sample(image + 1, 2 * grid - 1, mode="bilinear", padding_mode="zeros", align_corners=False)
    return F.avg_pool2d(sampled, 2) - 1
