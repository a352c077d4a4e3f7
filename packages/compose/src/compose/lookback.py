"""Looking back: where the source photograph shows the point of the head that a pixel of the frame shows (ours, not in the paper).

The rendered depth says which point of space a pixel shows; the face mesh, drawn with the source's and the driver's expression, says where
the skin at that point lay in the photograph. Together they make a flow that keeps the photograph's own sharpness. It is wrong where the
photograph never saw that point or where nothing is known (mouth, eyes that were shut): ``seen`` and ``skin`` tell.
"""

from dataclasses import dataclass

import torch
from core.camera import FIT_DISTANCE, WORLD_SCALE, Camera
from core.compilable import compilable
from core.face.coeffs import FaceCoeffs
from core.face.model import FaceModel, pose_points, project
from core.face.pncc import clip_coordinates
from core.nn.morphology import erode
from core.raster import interpolate, rasterize
from core.render.volume import Rendering
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from compose.lids import lid_map
from compose.warping import bleed, close, resize, smooth

SOLID = 0.5
"""Opacity from which on the depth of a pixel is trusted; elsewhere it is continued from trusted pixels."""
HOLES = 9
"""Half the width, in pixels of 128, of openings of the mesh that are bridged: mouth and eyes."""
FADE = 3
"""Width, in pixels of 128, over which the face mesh gives way to the rendered depth."""
TOLERANCE, LOOSE = 0.03, 0.12
"""World units by which two depths of one point may differ; the second where the photograph's depth is only continued from elsewhere."""
BORDER = 0.02
"""Above the photograph, in halves of its side, where it shows nothing any more: heads end there, their crown would become stripes.
Below it and beside it hair and neck go on, and so do its colours."""
GRAZING, DEEP = 0.2, 0.3
"""World units of the planes' volume on a ray from which on its rendering begins to tell something, and tells all."""


@dataclass(frozen=True)
class HeadSurface:
    """The visible surface of a head in one view.

    Attributes:
        distance: from the camera centre along the pixel's ray, world units; defined everywhere.
        known: 1 where the planes tell whether there is a head and how far, 0 where they do not, as for big hair.
        skin: 1 where the face mesh is seen, 0 around it and in its eyes and mouth; twice as fine as the rest, for lips and lids.
        holes: 1 in eyes and mouth of the mesh; as fine.
        shift: world vector from the point to where the same skin is with the other expression; fades out around the face.
        lids: how far lids are shut, compared with the other expression, and how much of their lashes shows; 0 elsewhere; as fine.
    """

    distance: Float[Tensor, "b 1 r r"]
    known: Float[Tensor, "b 1 r r"]
    skin: Float[Tensor, "b 1 f f"]
    holes: Float[Tensor, "b 1 f f"]
    shift: Float[Tensor, "b 3 r r"]
    lids: Float[Tensor, "b 2 f f"]


@dataclass(frozen=True)
class LookBack:
    """For every pixel of a raw rendering, what the photograph knows of it.

    Attributes:
        place: where the photograph shows the same point, (x, y) in [-1, 1], y down.
        seen: 1 where the photograph shows that very point, 0 where it shows another. Where the planes do not reach in the photograph, as
            for big hair, points that are roughly as far away count as the same. 0 inside a mouth or eye that is shut in the photograph, or
            less open. Twice as fine as ``place``.
        known: 1 where the planes tell what is in front, in the frame and in the photograph; as fine.
        skin: 1 where the face mesh is seen in the frame; as fine.
        lids: how far lids are shut, compared with the photograph, and how much of their lashes shows; 0 elsewhere; as fine. There the
            photograph has little to show: an open eye folds its lid away.
        mouth: colours of what is behind the lips in [-1, 1], and its share of each pixel (``compose.mouth_layer``); None: not drawn.
    """

    place: Float[Tensor, "b r r 2"]
    seen: Float[Tensor, "b 1 f f"]
    known: Float[Tensor, "b 1 f f"]
    skin: Float[Tensor, "b 1 f f"]
    lids: Float[Tensor, "b 2 f f"]
    mouth: Float[Tensor, "b 4 S S"] | None = None


@torch.no_grad()
def head_surface(
    face: FaceModel,
    rendering: Rendering,
    chord: Float[Tensor, "b 1 r r"],
    coeffs: FaceCoeffs,
    other_exp: Float[Tensor, "b 64"],
    mask: Float[Tensor, "b 1 S S"] | None = None,
) -> HeadSurface:
    """Merge rendered depth and face mesh.

    Args:
        face: the 3DMM.
        rendering: of the head from the camera of ``coeffs``.
        chord: of the same rays, ``VolumeRenderer.chord``.
        coeffs: identity, expression and pose that were rendered.
        other_exp: the expression that ``shift`` leads to.
        mask: opacity of the head in this view, if there is a picture of it: where it shows a head that is not rendered, nothing is known.
    """
    size = rendering.depth.shape[-1]
    vertices, other = (face.vertices(coeffs.id, exp) for exp in (coeffs.exp, other_exp))
    posed = pose_points(vertices, coeffs.euler, coeffs.trans)
    away = (posed - posed.new_tensor([0.0, 0.0, FIT_DISTANCE])).norm(dim=-1, keepdim=True)
    values = torch.cat([away, other - vertices], -1) * WORLD_SCALE
    clip = clip_coordinates(posed)
    fragments, finer = (rasterize(clip, face.triangles, (side, side)) for side in (size, 2 * size))
    mesh = rearrange(interpolate(values, fragments, face.triangles), "b h w c -> b c h w").to(rendering.depth)
    skin, fine_skin = (rearrange((found[..., 3] > 0).to(mesh), "b h w -> b 1 h w") for found in (fragments, finer))
    unit = size / 128
    face_area = close(skin, max(1, round(HOLES * unit)))
    mesh = bleed(mesh, skin)
    rendered = (rendering.weights > SOLID) & (chord > GRAZING)
    volume = bleed(torch.where(rendered, rendering.depth, mesh[:, :1]), torch.maximum(rendered.to(mesh), face_area))
    known = ((chord - GRAZING) / (DEEP - GRAZING)).clamp(0, 1)
    if mask is not None:
        known = known * (1 - (resize(mask, size) - rendering.weights).clamp(0, 1))
    fade = max(1, round(FADE * unit))
    trust = smooth(erode(face_area, fade), fade)
    share = smooth(face_area, 2 * fade)
    holes = finer_map(face_area) * (1 - fine_skin)
    lids = lid_map(face, vertices, other, project(posed), finer)
    return HeadSurface(volume.lerp(mesh[:, :1], trust), known, fine_skin, holes, mesh[:, 1:] * share, lids)


@torch.no_grad()
def look_back(frame: HeadSurface, camera: Camera, source: HeadSurface, source_camera: Camera) -> LookBack:
    """Follow every pixel of the frame to the photograph.

    Args:
        frame: surface of the frame; its ``shift`` leads to the source's expression.
        camera: of the frame.
        source: surface in the photograph.
        source_camera: of the photograph.
    """
    rays = camera.rays(frame.distance.shape[-1])
    points = rays.origins, rays.directions
    follow, refine = followed_torch, refined_torch
    if compilable(frame.distance, source.distance, *points):
        from compose.lookback_numba import followed as follow
        from compose.lookback_numba import refined as refine

    surface, view = (frame.distance, frame.shift, frame.known), (source_camera.cam2world, source_camera.intrinsics)
    coarse = follow(points, surface, view, (source.distance, source.known), (BORDER, TOLERANCE, LOOSE))
    seen, known = refine(coarse, source.skin, frame.holes, frame.lids[:, :1])
    return LookBack(coarse[0], seen, known, frame.skin, frame.lids)


def followed_torch(
    points: tuple[Float[Tensor, "b n 3"], Float[Tensor, "b n 3"]],
    frame: tuple[Float[Tensor, "b 1 r r"], Float[Tensor, "b 3 r r"], Float[Tensor, "b 1 r r"]],
    view: tuple[Float[Tensor, "b 4 4"], Float[Tensor, "b 3 3"]],
    source: tuple[Float[Tensor, "b 1 r r"], Float[Tensor, "b 1 r r"]],
    limits: tuple[float, float, float],
) -> tuple[Float[Tensor, "b r r 2"], Float[Tensor, "b 1 r r"], Float[Tensor, "b 1 r r"]]:
    """Where the photograph shows the point of each pixel, whether it shows that very point, and whether both views know of it.

    ``lookback_numba.followed`` is the compiled twin.

    Args:
        points: origins and directions of the frame's rays.
        frame: distance along them, the vector to where the same skin is with the photograph's expression, and ``known``.
        view: pose and intrinsics of the photograph's camera.
        source: distance and ``known`` of the photograph.
        limits: ``BORDER``, and the tolerances of depths that are known and that are not.
    """
    (origins, directions), (distance, shift, known), (pose, intrinsics), size = points, frame, view, frame[0].shape[-1]
    flat = [rearrange(x, "b c h w -> b (h w) c") for x in (distance, shift)]
    camera = Camera(torch.cat([pose.flatten(1), intrinsics.flatten(1)], 1))
    point, away = camera.project(origins + directions * flat[0] + flat[1])
    place = rearrange(point * 2 - 1, "b (h w) c -> b h w c", h=size)
    there = F.grid_sample(torch.cat(source, 1), place, padding_mode="border", align_corners=False)
    border, tight, loose = limits
    error = (rearrange(away, "b (h w) -> b 1 h w", h=size) - there[:, :1]) / (loose + (tight - loose) * there[:, 1:])
    inside = (1 + (place[..., 1] + 1) / border).clamp(0, 1)
    return place, torch.exp(-error.square()) * rearrange(inside, "b h w -> b 1 h w"), known * there[:, 1:]


def refined_torch(
    coarse: tuple[Float[Tensor, "b r r 2"], Float[Tensor, "b 1 r r"], Float[Tensor, "b 1 r r"]],
    skin: Float[Tensor, "b 1 f f"],
    holes: Float[Tensor, "b 1 f f"],
    shut: Float[Tensor, "b 1 f f"],
) -> tuple[Float[Tensor, "b 1 f f"], Float[Tensor, "b 1 f f"]]:
    """``seen`` and ``known`` twice as fine, nothing seen inside a mouth or eye that is shut in the photograph, or less open.

    ``lookback_numba.refined`` is the compiled twin.

    Args:
        coarse: what ``followed_torch`` gives.
        skin: of the photograph.
        holes: of the frame.
        shut: how far the frame's lids are.
    """
    place, seen, known = coarse
    finer = finer_map(rearrange(place, "b h w c -> b c h w"))
    closed = F.grid_sample(skin, rearrange(finer, "b c h w -> b h w c"), align_corners=False)
    stretched = 1 - area(finer).clamp(0, 1)
    behind = holes * (1 - shut) * torch.maximum(closed, stretched)
    return finer_map(seen) * (1 - behind), finer_map(known)


def area(place: Float[Tensor, "b 2 f f"]) -> Float[Tensor, "b 1 f f"]:
    """How much of the photograph, in pixels of this size, a pixel shows: below 1 it is enlarged, below 0 turned over."""
    down, across = torch.gradient(place * (place.shape[-1] / 2), dim=(2, 3))
    return (across[:, :1] * down[:, 1:] - across[:, 1:] * down[:, :1]).contiguous()


def finer_map(image: Float[Tensor, "b c r r"]) -> Float[Tensor, "b c f f"]:
    """Twice the size, bilinear."""
    return F.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)
