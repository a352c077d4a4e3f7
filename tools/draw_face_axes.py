"""Draw the first identity and expression axes of the embedded face model.

    python tools/draw_face_axes.py docs/face_axes.png

Every row is one axis: the face at minus and plus a few standard deviations of its code beside the mean. Skin that the axis moves is tinted.
Drawn with the project's own rasteriser; the picture is the same on every machine.
"""

import argparse
from pathlib import Path

import torch
from core.face import FaceModel, pose_points
from core.face.pncc import clip_coordinates
from core.raster import interpolate, rasterize
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional as F

AXES = 5
STEPS = {"identity": 3.0, "expression": 2.5}
TILE = 176
"""Side of one face in pixels."""
CROP = 0.06
"""Share of the rendering that is cut off on every side."""
SUPERSAMPLING = 3
YAW = 0.3
MARGIN, HEADING = 26, 48
PAPER, INK, GREY = (255, 255, 255), (40, 40, 40), (120, 120, 120)
CLAY, TINT = (0.80, 0.77, 0.74), (0.86, 0.42, 0.22)
FULL_TINT = 0.35
"""Displacement of full tint, 3DMM units (0.4 of the eye distance)."""
LIGHTS = (((-0.5, 0.7, 0.8), 0.75), ((0.9, 0.1, 0.5), 0.25))
AMBIENT = 0.18
COLOURS = 256


def normals(points: Float[Tensor, "b v 3"], triangles: Tensor) -> Float[Tensor, "b v 3"]:
    """Unit normals of the vertices, triangles counted with their areas."""
    a, b, c = (points[:, triangles[:, corner]] for corner in range(3))
    flat = torch.linalg.cross(b - a, c - a)
    total = torch.zeros_like(points)
    for corner in range(3):
        total.index_add_(1, triangles[:, corner], flat)
    return F.normalize(total, dim=2)


def shade(face: FaceModel, shapes: Float[Tensor, "b v 3"]) -> Float[Tensor, "b s s 3"]:
    """Clay faces on white paper, tinted where they differ from the mean."""
    count = len(shapes)
    posed = pose_points(shapes, torch.tensor([[0.0, YAW, 0.0]]).expand(count, -1), torch.zeros(count, 3))
    moved = (shapes - face.mean).norm(dim=2, keepdim=True)
    attributes = torch.cat([normals(posed, face.triangles), (moved / FULL_TINT).clamp_max(1), torch.ones_like(moved)], 2)
    side = round(TILE * SUPERSAMPLING / (1 - 2 * CROP))
    fragments = rasterize(clip_coordinates(posed), face.triangles, (side, side))
    drawn = interpolate(attributes, fragments, face.triangles)
    normal, tint, cover = F.normalize(drawn[..., :3], dim=3), drawn[..., 3:4], drawn[..., 4:]
    light = AMBIENT + sum(strength * (normal @ F.normalize(torch.tensor(way), dim=0)).clamp_min(0) for way, strength in LIGHTS)
    colour = torch.tensor(CLAY) * (1 - tint) + torch.tensor(TINT) * tint
    image = (colour * light[..., None] * 1.15).clamp(0, 1) * cover + 1 - cover
    edge = round(side * CROP)
    image = image[:, edge : edge + TILE * SUPERSAMPLING, edge : edge + TILE * SUPERSAMPLING]
    return F.avg_pool2d(image.permute(0, 3, 1, 2), SUPERSAMPLING).permute(0, 2, 3, 1)


def rows(face: FaceModel, kind: str) -> Float[Tensor, "r 3 s s 3"]:
    """One row per axis: minus, mean, plus."""
    step = STEPS[kind]
    basis = {"identity": face.id_basis, "expression": face.exp_basis}[kind][..., :AXES]
    motion = basis.permute(2, 0, 1)
    shapes = torch.stack([face.mean - step * motion, face.mean.expand_as(motion), face.mean + step * motion], 1)
    return shade(face, shapes.flatten(0, 1)).unflatten(0, (AXES, 3))


def sheet(face: FaceModel) -> Image.Image:
    """Both kinds of axes beside each other, with headings."""
    block = MARGIN + 3 * TILE
    page = Image.new("RGB", (2 * block + MARGIN, HEADING + AXES * TILE), PAPER)
    pen, large, small = ImageDraw.Draw(page), ImageFont.load_default(19), ImageFont.load_default(13)
    for column, kind in enumerate(STEPS):
        left = column * (block + MARGIN // 2) + MARGIN
        pen.text((left, 4), f"{kind} axes 1 to {AXES}", INK, large)
        for number, sign in enumerate(("-", "mean", "+")):
            label = sign if sign == "mean" else f"{sign}{STEPS[kind]:g} standard deviations"
            pen.text((left + (number + 0.5) * TILE, HEADING - 8), label, GREY, small, anchor="mm")
        for row, tiles in enumerate(rows(face, kind)):
            pen.text((left - 16, HEADING + (row + 0.5) * TILE), str(row + 1), GREY, small, anchor="mm")
            for number, tile in enumerate(tiles):
                picture = Image.fromarray((tile * 255 + 0.5).byte().numpy())
                page.paste(picture, (left + number * TILE, HEADING + row * TILE))
    return page.quantize(COLOURS, dither=Image.Dither.NONE)


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("output", type=Path)
    output = parser.parse_args().output
    sheet(FaceModel.embedded()).save(output, optimize=True)
    print(f"{output}: {output.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
