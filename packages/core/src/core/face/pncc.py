"""PNCC, the rendered motion condition: the posed-out face drawn in the colours of its mean coordinates (Eq. 1, spec 1.4)."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from core.camera import FIT_DISTANCE, FIT_FOCAL
from core.face.model import FaceModel
from core.raster import interpolate, rasterize
from core.raster.api import Backend

NEAR, FAR = 5.0, 15.0


def clip_coordinates(posed: Float[Tensor, "b v 3"]) -> Float[Tensor, "b v 4"]:
    """Posed points in the clip coordinates of the fitting camera, for ``core.raster``; image row 0 is the top (y is negated)."""
    depth = FIT_DISTANCE - posed[..., 2]
    x, y = (2 * FIT_FOCAL * posed[..., :2]).unbind(-1)
    z = ((FAR + NEAR) * depth - 2 * FAR * NEAR) / (FAR - NEAR)
    return torch.stack([x, -y, z, depth], -1)


@torch.no_grad()
def render_pncc(
    face: FaceModel, id: Float[Tensor, "b 80"], exp: Float[Tensor, "b 64"], size: int = 512, backend: Backend = "auto"
) -> Float[Tensor, "b 3 size size"]:
    """Draw faces in canonical pose, seen from z = 10 with the focal length of the fit.

    One sample per pixel and no smoothing, so that the holes of eyes and mouth keep sharp borders: their shape tells how far they are open.

    Args:
        face: the face model.
        id: identity codes.
        exp: expression codes.
        size: side of the image.
        backend: see ``core.raster.rasterize``.

    Returns:
        The NCC (x, y, z of the mean vertex, scaled to [-1, 1]) per pixel; -1 where there is no skin: around the face, in eyes and mouth.
    """
    fragments = rasterize(clip_coordinates(face.vertices(id, exp)), face.triangles, (size, size), backend)
    colours = interpolate(face.ncc.expand(len(id), -1, -1), fragments, face.triangles)
    return colours.mul_(2).sub_(1).permute(0, 3, 1, 2).contiguous()


def pncc_clip(
    face: FaceModel, id: Float[Tensor, "1 80"], exp: Float[Tensor, "t 64"], size: int = 512, batch: int = 8, backend: Backend = "auto"
) -> Iterator[Float[Tensor, "b 3 size size"]]:
    """Draw a whole clip of one person, some frames at a time, as they are asked for: memory does not grow with the clip.

    Args:
        face: the face model.
        id: identity code.
        exp: expression codes of all frames.
        size: side of the images.
        batch: frames per part.
        backend: see ``core.raster.rasterize``.

    Yields:
        PNCCs of ``batch`` frames in a row (the last part may be shorter), as ``render_pncc`` draws them.
    """
    for part in exp.split(batch):
        yield render_pncc(face, id.expand(len(part), -1), part, size, backend)
