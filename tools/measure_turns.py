"""What a photograph looks like when its head turns, on people that no training saw, against the photograph lifted by ``core.people``.

    python tools/measure_turns.py --photos FOLDER [--weights tiny] [--sheet FILE.png]

The expression stays, the head turns about the neck from the photograph's own yaw. PSNR in dB, means over people, per angle:

head   final picture under the mask of the turned head
whole  final picture
raw    raw rendering of the head over black
still  the photograph itself in place of the final picture, under the same mask
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from core.camera import Camera
from core.errors import PortraitError
from core.face.coeffs import FaceCoeffs
from core.media.image import write_image
from core.metrics.pixels import psnr
from core.people.motion import turn_about_neck
from core.people.person import Person, render
from einops import rearrange
from film_people import SIDE
from jaxtyping import Float
from measure_layers import kept_out, pictures
from portrait import Portrait
from portrait.plan import Plan
from portrait.source import Source
from torch import Tensor
from torch.nn import functional as F

ANGLES = (-30, -20, -10, 0, 10, 20, 30)
"""Degrees of yaw away from the photograph's."""


def turned(person: Person) -> FaceCoeffs:
    """The photograph's face at all angles."""
    c = person.coeffs
    eulers = [c.euler[0].numpy() + np.array([0, np.radians(angle), 0], np.float32) for angle in ANGLES]
    places = np.stack([turn_about_neck(c, euler) for euler in eulers])
    count = len(ANGLES)
    return FaceCoeffs(c.id.expand(count, -1), c.exp.expand(count, -1), torch.from_numpy(np.stack(eulers)), torch.from_numpy(places))


@torch.inference_mode()
def raw_of(portrait: Portrait, source: Source, motion: FaceCoeffs) -> Float[Tensor, "t 3 r r"]:
    """Raw renderings of stage 1 from all angles, [0, 1]."""
    renderer = portrait.avatar.renderer

    def camera(c: FaceCoeffs) -> Camera:
        return Camera.from_pose(c.euler, c.trans, renderer.config.focal)

    planes = portrait.avatar.canonical(source.head, camera(source.coeffs))
    drawn = renderer.render_raw(planes.expand(len(motion), -1, -1, -1, -1), camera(motion))
    return (drawn.feature[:, :3].clamp(-1, 1) + 1) / 2


def measure(portrait: Portrait, source: Source, person: Person) -> tuple[dict[str, Float[Tensor, " t"]], list[Tensor]]:
    """Figures for all angles, and the pictures: truth, result."""
    motion = turned(person)
    truth = [render(person, *(getattr(motion, k)[i].numpy() for k in ("exp", "euler", "trans")), SIDE) for i in range(len(ANGLES))]
    whole, heads = pictures([frame.image for frame in truth]), pictures([frame.head for frame in truth])
    mask = torch.from_numpy(np.stack([frame.head_alpha for frame in truth]))[:, None]
    result = pictures([frame.image for frame in portrait.render(Plan(source, source.background, motion))])
    raw = raw_of(portrait, source, motion)
    figures = {
        "head": psnr(result, whole, mask),
        "whole": psnr(result, whole),
        "raw": psnr(raw, F.avg_pool2d(heads, SIDE // raw.shape[-1])),
        "still": psnr(pictures([source.image]).expand_as(whole), whole, mask),
    }
    return figures, [whole, result]


def main() -> int:
    """Read the command line, measure, print a table; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of portrait photographs")
    parser.add_argument("--weights", default="tiny", help="name or folder (default: tiny)")
    parser.add_argument("--people", type=int, default=98, help="how many (default: 98)")
    parser.add_argument("--sheet", type=Path, help="picture of the first people: lifted above, result below")
    parser.add_argument("--shown", type=int, default=6, help="people on the sheet (default: 6)")
    options = parser.parse_args()
    rows: list[dict[str, Tensor]] = []
    sheet: list[Tensor] = []
    try:
        portrait = Portrait.from_pretrained(options.weights)
        for source, person in kept_out(options.photos, portrait, options.people):
            figures, strips = measure(portrait, source, person)
            rows.append(figures)
            if len(sheet) < 2 * options.shown:
                sheet += [rearrange(x, "t c h w -> h (t w) c")[::2, ::2] for x in strips]
        if options.sheet is not None:
            write_image(options.sheet, (255 * torch.cat(sheet)).round().byte().numpy())
    except PortraitError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{len(rows)} people", *(f"{angle:+d}" for angle in ANGLES), sep="\t")
    for key in rows[0]:
        print(key, *(f"{value:.1f}" for value in torch.stack([row[key] for row in rows]).mean(0)), sep="\t")
    return 0


if __name__ == "__main__":
    sys.exit(main())
