# ruff: noqa: RUF001 - IPA symbols look like Latin letters
"""Draw the mouth shapes of five sounds: ``python tools/draw_mouth_shapes.py docs/mouth_shapes.png``.

Upper row: what `audio2motion.visemes` asks for while the sound is held. Lower row: what the embedded network makes of a synthesiser that
says it in words, the mean of every time that it is said. The face is the mean of the embedded model, lips tinted, drawn by the project's
own rasteriser; nobody's photograph.
"""

import argparse
from pathlib import Path

import torch
from audio2motion import Audio2Motion, motion_from_audio
from audio2motion.augment import change_tract
from audio2motion.mouth import MouthRig
from audio2motion.speech import Phoneme, say
from audio2motion.visemes import LEAD, mouth_track
from core.face import FaceModel, pose_points, project
from core.face.pncc import clip_coordinates
from core.face.regions import LIPS_INNER, LIPS_OUTER
from core.raster import interpolate, rasterize
from draw_face_axes import AMBIENT, CLAY, LIGHTS, normals
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from portrait.networks import weights_folder
from torch import Tensor
from torch.nn import functional as F

SOUNDS = {
    "/a/": ("ɑ", "Father and papa are far from the park, mama and Carla start the car."),
    "/i/": ("i", "He sees the green sea; she keeps three sheep each week."),
    "/u/": ("u", "Who knew? The blue moon, soon at noon, two new shoes too."),
    "/m/": ("m", "My mother, mama, some more. Summer, hammer, humming moments."),
    "/f/": ("f", "If Phil feels fine, coffee for five; after half off, laugh."),
}
"""Symbol of the sound and words that have it."""
VOICES = ("en-us+m3", "en-us+f2", "en-us+Andy")
TILE, SUPERSAMPLING, VIEW = 208, 3, 0.52
"""Side of a tile in pixels; how much finer it is drawn; share of the whole head that it shows, from above the nose to below the chin."""
YAW = 0.22
MARGIN, HEADING = 64, 34
LIPS = (
    *LIPS_OUTER, *LIPS_INNER, 76, 184, 74, 73, 72, 11, 302, 303, 304, 408, 306, 307, 320, 404, 315, 16, 85, 180, 90, 77,
    62, 183, 42, 41, 38, 12, 268, 271, 272, 407, 292, 325, 319, 403, 316, 15, 86, 179, 89, 96,
)  # fmt: skip
"""All points on the red of the lips: the borders and the two rings between them."""
PAPER, INK, GREY, LIP = (255, 255, 255), (40, 40, 40), (120, 120, 120), (0.74, 0.38, 0.36)


def asked(face: FaceModel) -> Float[Tensor, "s 64"]:
    """Codes of the sounds, each stressed and held for a second."""
    rig = MouthRig(face)
    tracks = [mouth_track([Phoneme(f"ˈ{symbol}", 0.0, 1.0)], 25)[12] for symbol, _ in SOUNDS.values()]
    return rig.codes(torch.stack([torch.from_numpy(track) for track in tracks]))


def heard(model: Audio2Motion) -> Float[Tensor, "s 64"]:
    """Mean codes that the network gives the sounds in the middle of their time, over all words and voices."""
    found = []
    for symbol, text in SOUNDS.values():
        codes = []
        for voice in VOICES:
            speech = change_tract(say(text, voice, rate=140), 1.0)
            exp = motion_from_audio(model, speech.wave, temperature=0.0)
            said = [p for p in speech.phonemes if symbol in p.symbol and p.end - p.start > 0.05]
            codes += [exp[max(int(25 * ((p.start + p.end) / 2 - LEAD)), 0)] for p in said]
        found.append(torch.stack(codes).mean(0))
    return torch.stack(found)


def shade(face: FaceModel, exp: Float[Tensor, "b 64"]) -> Float[Tensor, "b s s 3"]:
    """Clay faces with tinted lips on a dark mouth, cut out around the mouth of the mean face."""
    count = len(exp)
    shapes = face.vertices(torch.zeros(count, 80), exp)
    posed = pose_points(shapes, torch.tensor([[0.0, YAW, 0.0]]).expand(count, -1), torch.zeros(count, 3))
    lips = torch.zeros(1, shapes.shape[1], 1)
    lips[:, face.keypoints468[list(LIPS)]] = 1
    attributes = torch.cat([normals(posed, face.triangles), lips.expand(count, -1, -1), torch.ones_like(posed[..., :1])], 2)
    side = round(TILE * SUPERSAMPLING / VIEW)
    fragments = rasterize(clip_coordinates(posed), face.triangles, (side, side))
    drawn = interpolate(attributes, fragments, face.triangles)
    normal, tint, cover = F.normalize(drawn[..., :3], dim=3), drawn[..., 3:4].clamp(0, 1), drawn[..., 4:]
    light = AMBIENT + sum(strength * (normal @ F.normalize(torch.tensor(way), dim=0)).clamp_min(0) for way, strength in LIGHTS)
    colour = torch.tensor(CLAY) * (1 - tint) + torch.tensor(LIP) * tint
    image = (colour * light[..., None] * 1.15).clamp(0, 1) * cover + 0.12 * (1 - cover)
    mouth = face.mean[face.keypoints468[[0, 17]]].mean(0, keepdim=True)
    middle = project(pose_points(mouth[None], torch.tensor([[0.0, YAW, 0.0]]), torch.zeros(1, 3)))[0, 0] * side
    left, top = (round(float(value)) - TILE * SUPERSAMPLING // 2 for value in middle)
    image = image[:, top : top + TILE * SUPERSAMPLING, left : left + TILE * SUPERSAMPLING]
    return F.avg_pool2d(image.permute(0, 3, 1, 2), SUPERSAMPLING).permute(0, 2, 3, 1)


def sheet(face: FaceModel, model: Audio2Motion) -> Image.Image:
    """The two rows, with headings."""
    page = Image.new("RGB", (MARGIN + len(SOUNDS) * (TILE + 4), HEADING + 2 * (TILE + 4)), PAPER)
    pen, large, small = ImageDraw.Draw(page), ImageFont.load_default(19), ImageFont.load_default(13)
    for row, (label, exp) in enumerate((("rules", asked(face)), ("network", heard(model)))):
        pen.text((6, HEADING + (row + 0.5) * TILE), label, GREY, small, anchor="lm")
        for column, (tile, sound) in enumerate(zip(shade(face, exp), SOUNDS, strict=True)):
            left = MARGIN + column * (TILE + 4)
            pen.text((left + TILE / 2, HEADING / 2), sound, INK, large, anchor="mm")
            page.paste(Image.fromarray((tile * 255 + 0.5).byte().numpy()), (left, HEADING + row * (TILE + 4)))
    return page.quantize(256, dither=Image.Dither.NONE)


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--weights", type=Path, metavar="FOLDER", help="of audio2motion (default: those that ship with portrait)")
    options = parser.parse_args()
    model = Audio2Motion.from_pretrained(options.weights or weights_folder("tiny") / "audio2motion").eval()
    sheet(FaceModel.embedded(), model).save(options.output, optimize=True)
    print(f"{options.output}: {options.output.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
