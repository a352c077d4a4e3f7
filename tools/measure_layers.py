"""How the layers of stage 3 fit together, on made people that no training saw: neck, hair's edge, other backgrounds, steadiness.

    python tools/measure_layers.py --photos FOLDER [--weights tiny] [--sheet FILE.jpg]

Everybody is filmed as by ``tools/film_people.py``. The networks get the photograph and the film's own codes, so the truth of every pixel is
known, before the photograph's background and before a green one. Figures are means over people:

seam        gradient energy where head meets torso, and the film's own there (``core.metrics.edges``)
hair edge   mean absolute error, 8-bit levels, where the head meets the background: own background, green one
leak        share of the photograph's background that shows before the green one there (least squares; 0: no halo)
flicker     second difference in time, 8-bit levels, and the film's own; of a motion that is frozen: largest change of a frame
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from core.errors import PortraitError
from core.face.coeffs import FaceCoeffs
from core.media.image import write_image
from core.metrics.edges import gradient_energy
from core.metrics.flicker import flicker
from core.nn.morphology import dilate
from core.people.lifted import lift
from core.people.motion import sample_expression, turn_about_neck
from core.people.person import Person, PersonFrame, render
from core.people.photos import PhotoSource, find_photos
from einops import rearrange
from film_people import BEAT, SIDE, glide, sway
from jaxtyping import Float, UInt8
from portrait import Portrait
from portrait.background import choose_background
from portrait.plan import Plan
from portrait.source import Source
from torch import Tensor

GREEN = (0, 177, 64)
STRIP = 5
"""Pixels to both sides of where two layers meet."""
SHOWN = 3
"""Frames of everybody on the sheet."""


@dataclass(frozen=True)
class Film:
    """What the networks should show: frames and their layers, ``t`` of them.

    Attributes:
        motion: codes of all frames.
        own: before the photograph's background, [0, 1].
        green: before the green one.
        neck: where head meets torso.
        edge: where head meets background.
        plate: the photograph's background.
    """

    motion: FaceCoeffs
    own: Float[Tensor, "t 3 s s"]
    green: Float[Tensor, "t 3 s s"]
    neck: Float[Tensor, "t 1 s s"]
    edge: Float[Tensor, "t 1 s s"]
    plate: Float[Tensor, "1 3 s s"]


def film(person: Person, frames: int, rng: np.random.Generator) -> Film:
    """Film a person as ``tools/film_people.py`` does."""
    keys = np.stack([person.coeffs.exp[0].numpy(), *(sample_expression(person, rng) for _ in range(frames // BEAT + 2))])
    codes, eulers = glide(keys, frames, BEAT).astype(np.float32), (person.coeffs.euler[0].numpy() + sway(frames, rng)).astype(np.float32)
    places = np.stack([turn_about_neck(person.coeffs, euler) for euler in eulers])
    drawn = [render(person, *pose, SIDE) for pose in zip(codes, eulers, places, strict=True)]
    identity = person.coeffs.id.expand(frames, -1)
    motion = FaceCoeffs(identity, *(torch.from_numpy(x) for x in (codes, eulers, places)))
    head, torso = (torch.from_numpy(np.stack([getattr(f, name) for f in drawn]))[:, None] for name in ("head_alpha", "torso_alpha"))
    return Film(
        motion, pictures([f.image for f in drawn]), pictures([before_green(f) for f in drawn]),
        meeting(head, torso), meeting(head, 1 - head - torso), pictures([person.plate(SIDE)]),
    )  # fmt: skip


def before_green(frame: PersonFrame) -> UInt8[np.ndarray, "s s 3"]:
    """A frame of the film before the green background."""
    behind = frame.background_alpha[..., None] * np.array(GREEN)
    return np.clip(frame.head + frame.torso.astype(float) + behind + 0.5, 0, 255).astype(np.uint8)


def pictures(frames: list[UInt8[np.ndarray, "s s 3"]]) -> Float[Tensor, "t 3 s s"]:
    """Frames in [0, 1]."""
    return rearrange(torch.from_numpy(np.stack(frames)), "t h w c -> t c h w").float() / 255


def meeting(one: Float[Tensor, "t 1 s s"], other: Float[Tensor, "t 1 s s"]) -> Float[Tensor, "t 1 s s"]:
    """1 within ``STRIP`` of both layers."""
    return dilate((one > 0.5).float(), STRIP) * dilate((other > 0.5).float(), STRIP)


def edge_error(frames: Float[Tensor, "t 3 s s"], truth: Float[Tensor, "t 3 s s"], mask: Float[Tensor, "t 1 s s"]) -> float:
    """Mean absolute error under the mask in 8-bit levels."""
    return float(255 * ((frames - truth).abs() * mask).sum() / (3 * mask.sum()))


def leak(frames: Float[Tensor, "t 3 s s"], film: Film) -> float:
    """Share ``a`` of the photograph's background in the strip, of ``frames = truth + a (plate - green)``."""
    green = torch.tensor(GREEN).view(1, 3, 1, 1) / 255
    direction = (film.plate - green) * film.edge
    return float(((frames - film.green) * direction).sum() / direction.square().sum())


def measure(portrait: Portrait, source: Source, film: Film, frozen: int) -> tuple[dict[str, float], list[Tensor]]:
    """Figures of one person, and both videos."""

    def draw(motion: FaceCoeffs, background: str | None) -> Tensor:
        plan = Plan(source, choose_background(background, source), motion)
        return pictures([frame.image for frame in portrait.render(plan)])

    own, green = draw(film.motion, None), draw(film.motion, f"rgb{GREEN}")
    figures = {
        "seam": gradient_energy(own, film.neck).nanmean(),
        "seam, film": gradient_energy(film.own, film.neck).nanmean(),
        "hair edge": edge_error(own, film.own, film.edge),
        "hair edge, green": edge_error(green, film.green, film.edge),
        "leak": leak(green, film),
        "flicker": flicker(own).mean(),
        "flicker, film": flicker(film.own).mean(),
    }
    if frozen:
        still = draw(film.motion[torch.full((frozen,), len(film.motion) // 2)], None)
        figures["frozen"] = 255 * (still - still[:1]).abs().max()
    return {name: float(value) for name, value in figures.items()}, [own, green]


def kept_out(photos: Path, portrait: Portrait, wanted: int) -> Iterator[tuple[Source, Person]]:
    """Photographs that every store keeps out, prepared and lifted; those that cannot be lifted give their place to the next."""
    chosen = [photo for photo in find_photos(photos) if isinstance(photo, PhotoSource) and photo.split == "val"]
    made = 0
    for number in np.random.default_rng(0).permutation(len(chosen)):
        try:
            source = portrait.prepare(chosen[number].path)
            person = lift(source.image, chosen[number].name)
        except PortraitError as error:
            print(error, file=sys.stderr)
            continue
        yield source, person
        made += 1
        if made == wanted:
            return


def main() -> int:
    """Read the command line, measure, print a table; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of portrait photographs")
    parser.add_argument("--weights", default="tiny", help="name or folder (default: tiny)")
    parser.add_argument("--people", type=int, default=12, help="how many (default: 12)")
    parser.add_argument("--frames", type=int, default=16, help="of each (default: 16)")
    parser.add_argument("--frozen", type=int, default=50, help="frames of the motion that is frozen, for the first person (default: 50)")
    parser.add_argument("--sheet", type=Path, help="picture of some frames: film, result, both before green")
    options = parser.parse_args()
    rows, sheet, frozen = [], [], options.frozen
    try:
        portrait = Portrait.from_pretrained(options.weights)
        for source, person in kept_out(options.photos, portrait, options.people):
            truth = film(person, options.frames, np.random.default_rng((1, len(rows))))
            figures, videos = measure(portrait, source, truth, frozen)
            frozen = 0
            rows.append(figures)
            print(person.name, *(f"{key} {value:.3f};" for key, value in figures.items()), flush=True)
            picked = slice(None, None, max(1, options.frames // SHOWN))
            strips = [rearrange(x[picked], "t c h w -> h (t w) c") for x in (truth.own, videos[0], truth.green, videos[1])]
            sheet.append(torch.cat(strips, 1)[::2, ::2])
        if options.sheet is not None:
            write_image(options.sheet, (255 * torch.cat(sheet)).round().byte().numpy())
    except PortraitError as error:
        print(error, file=sys.stderr)
        return 1
    for key in dict.fromkeys(name for row in rows for name in row):
        print(f"{key:18} {np.mean([row[key] for row in rows if key in row]):.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
