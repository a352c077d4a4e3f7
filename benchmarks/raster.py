"""Rasterisation of a face-like mask with some 7,000 and, as BFM 2009 has, 70,000 triangles."""

from functools import partial

import torch
from core.face import FaceModel
from core.face.pncc import clip_coordinates
from core.raster import rasterize
from torch import Tensor

from benchmarks.row import Case, Row


def mask(side: int) -> tuple[Tensor, Tensor]:
    """Clip coordinates (1, v, 4) of a bulged grid that fills half of the picture, and its 2 side^2 triangles."""
    angle = torch.linspace(-1.35, 1.35, side + 1)
    up, across = torch.meshgrid(angle, angle, indexing="ij")
    points = torch.stack([0.75 * across.sin() * (0.6 * up).cos(), 0.87 * up.sin(), 0.6 * across.cos() * up.cos()], -1).reshape(1, -1, 3)
    i = torch.arange((side + 1) ** 2).reshape(side + 1, side + 1)
    a, b, c, d = i[:-1, :-1], i[:-1, 1:], i[1:, 1:], i[1:, :-1]
    return clip_coordinates(points), torch.stack([torch.stack([a, b, c], -1), torch.stack([a, c, d], -1)], 2).reshape(-1, 3)


def _masked(side: int, size: int, device: torch.device) -> Case:
    clip, triangles = (x.to(device) for x in mask(side))
    return Case(partial(rasterize, clip, triangles, (size, size)), note=_coverage)


def _coverage(fragments: Tensor, _: object) -> str:
    return f"{100 * float((fragments[..., 3] > 0).float().mean()):.0f} % of the picture covered"


def _twin(device: torch.device) -> Case:
    """The embedded face, small, because the twin tries every pixel with every triangle."""
    face = FaceModel.embedded()
    clip, triangles, size = clip_coordinates(face.mean[None]).to(device), face.triangles.to(device), (64, 64)
    fast, slow = (partial(rasterize, clip, triangles, size, name) for name in ("auto", "torch"))
    return Case(fast, baseline=slow, baseline_name="torch twin", note=_difference)


def _difference(fast: Tensor, slow: Tensor) -> str:
    same = fast[..., 3] == slow[..., 3]
    return f"{int((~same).sum())} pixels differ, others by {float((fast - slow)[same].abs().max()):.1e} at most"


ROWS = (
    Row("raster.7k.256", partial(_masked, 59, 256), bar=600, cuda=True),
    Row("raster.70k.256", partial(_masked, 188, 256), bar=300, cuda=True),
    Row("raster.70k.512", partial(_masked, 188, 512), bar=120, cuda=True),
    Row("raster.twin", _twin, cuda=True),
)
