"""Painted portraits: the flat picture that a procedural person is lifted from."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from core.face.regions import LEFT_BROW, LIPS_INNER, LIPS_OUTER, RIGHT_BROW
from core.people.lifted import Fit

_SCALE = 2
_SKINS = ((242, 205, 180), (225, 180, 150), (198, 148, 112), (150, 103, 72), (104, 68, 48), (70, 46, 36))
_HAIRS = ((28, 22, 20), (62, 42, 30), (110, 74, 44), (176, 134, 78), (120, 116, 112), (205, 203, 200), (120, 50, 25))
_EYES = ((70, 45, 28), (95, 110, 70), (80, 115, 150), (45, 30, 22), (110, 120, 125))


@dataclass(frozen=True)
class Look:
    """What a portrait looks like, apart from the shape of its face.

    Attributes:
        skin, hair, iris, lips, cloth, shirt, backdrop: RGB 0..255.
        length: how far the hair hangs down: 0 bald, 0.4 short, 1 long.
        volume: thickness of the hair relative to the face's width.
        fringe: how far it covers the forehead, 0..1.
        part: where it is parted, -1..1.
        beard: 0 none .. 1 full.
        glasses: worn or not.
    """

    skin: np.ndarray
    hair: np.ndarray
    iris: np.ndarray
    lips: np.ndarray
    cloth: np.ndarray
    shirt: np.ndarray
    backdrop: np.ndarray
    length: float
    volume: float
    fringe: float
    part: float
    beard: float
    glasses: bool

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "Look":
        """Skins from light to dark equally often, and so on."""

        def pick(table: tuple[tuple[int, ...], ...], spread: float) -> np.ndarray:
            a, b = (np.array(table[i], float) for i in rng.integers(len(table), size=2))
            share = rng.uniform(0, spread)
            return np.clip(a * (1 - share) + b * share + rng.normal(size=3) * 3, 5, 250)

        skin = pick(_SKINS, 0.4)
        lips = skin * [0.86, 0.6, 0.62] * (1 - 0.25 * rng.random()) + np.array([30, 0, 6]) * rng.random()
        kind = rng.random()
        length = 0.0 if kind < 0.12 else rng.uniform(0.25, 0.55) if kind < 0.6 else rng.uniform(0.7, 1.2)
        bearded = rng.random() < 0.25 and length < 0.6
        return cls(
            skin, pick(_HAIRS, 0.5), pick(_EYES, 0.3), lips, rng.uniform(15, 190, 3), rng.uniform(60, 245, 3), rng.uniform(60, 220, 3),
            length, rng.uniform(0.06, 0.2), rng.uniform(0.0, 0.6), rng.uniform(-0.7, 0.7), float(bearded) * rng.uniform(0.4, 0.9),
            bool(rng.random() < 0.2),
        )  # fmt: skip


def tidy(image: Float[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Round to bytes."""
    return np.clip(image + 0.5, 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Portrait:
    """A painted picture with its own segmentation.

    Attributes:
        image: composite.
        labels: 0 background, 1 hair, 2 neck, 3 face, 4 clothes.
        head_alpha: soft mask of hair and face.
        head: colours of the head alone.
        torso, torso_alpha: neck and clothes, complete behind the head.
        background: the plate.
    """

    image: UInt8[np.ndarray, "s s 3"]
    labels: UInt8[np.ndarray, "s s"]
    head_alpha: Float[np.ndarray, "s s"]
    head: UInt8[np.ndarray, "s s 3"]
    torso: UInt8[np.ndarray, "s s 3"]
    torso_alpha: Float[np.ndarray, "s s"]
    background: UInt8[np.ndarray, "s s 3"]


class _Brush:
    """Antialiased masks of shapes given in photograph coordinates."""

    def __init__(self, side: int) -> None:
        self.side = side

    def polygon(self, xy: np.ndarray, blur: float = 0.0) -> np.ndarray:
        """Soft mask of a closed polygon."""
        return self._mask(lambda draw, big: draw.polygon([tuple(p) for p in (xy * big).tolist()], fill=255), blur)

    def ellipse(self, centre: np.ndarray, radii: tuple[float, float], blur: float = 0.0) -> np.ndarray:
        """Soft mask of an upright ellipse."""
        low, high = np.asarray(centre) - radii, np.asarray(centre) + radii
        return self._mask(lambda draw, big: draw.ellipse([*(low * big), *(high * big)], fill=255), blur)

    def line(self, xy: np.ndarray, width: float, blur: float = 0.0) -> np.ndarray:
        """Soft mask of an open line."""
        return self._mask(
            lambda draw, big: draw.line([tuple(p) for p in (xy * big).tolist()], fill=255, width=max(1, round(width * big))), blur
        )

    def _mask(self, action: object, blur: float) -> np.ndarray:
        big = self.side * _SCALE
        image = Image.new("L", (big, big))
        action(ImageDraw.Draw(image), big)
        mask = np.asarray(image.resize((self.side, self.side), Image.Resampling.BOX), np.float32) / 255
        return gaussian_filter(mask, blur * self.side) if blur else mask


def _over(canvas: np.ndarray, mask: np.ndarray, colour: np.ndarray) -> np.ndarray:
    return canvas * (1 - mask[..., None]) + mask[..., None] * colour


def paint(
    fit: Fit, loops: dict[str, np.ndarray], look: Look, light: Float[np.ndarray, "s s"], side: int, rng: np.random.Generator
) -> Portrait:
    """Paint a portrait around the projected face.

    Args:
        fit: the face.
        loops: outlines of the face mesh.
        look: colours and styles.
        light: brightness of the face.
        side: of the picture in pixels.
        rng: of skin and hair texture.
    """
    brush, xy = _Brush(side), fit.xy
    grain = gaussian_filter(rng.normal(size=(side, side)), side / 400)[..., None] * 6
    background = np.broadcast_to(look.backdrop * np.linspace(1.1, 0.8, side)[:, None, None], (side, side, 3))
    torso, torso_alpha, clothes = _torso(brush, xy, look, background)
    head, head_alpha, hair = _head(brush, xy, loops, look, light, rng)
    head = head + grain * (1 + hair[..., None])
    image = _over(_over(background, torso_alpha, torso), head_alpha, head)
    labels = np.zeros((side, side), np.uint8)
    labels[torso_alpha > 0.5] = 2
    labels[(torso_alpha > 0.5) & (clothes > 0.5)] = 4
    labels[head_alpha > 0.5] = 3
    labels[(head_alpha > 0.5) & (hair > 0.5)] = 1
    return Portrait(tidy(image), labels, head_alpha, tidy(head), tidy(torso), torso_alpha, tidy(background))


def _torso(brush: _Brush, xy: np.ndarray, look: Look, background: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    width, chin = np.ptp(xy[:, 0]), xy[152]
    tall = chin[1] - xy[10, 1]
    neck = brush.polygon(
        np.array(
            [
                np.add(chin, (s * 0.36 * width, dy * tall))
                for s, dy in ((-1, -0.35), (1, -0.35), (1.05, 0.3), (1.5, 0.6), (-1.5, 0.6), (-1.05, 0.3))
            ]
        )
    )
    t = np.linspace(0, np.pi, 40)
    shoulders = chin + np.stack([-np.cos(t) * 1.35 * width, (0.85 - 0.62 * np.sin(t) ** 0.7) * tall], 1)
    cloth = brush.polygon(np.concatenate([shoulders, [np.add(chin, (1.5 * width, 3 * tall)), np.add(chin, (-1.5 * width, 3 * tall))]]))
    collar = brush.polygon(chin + np.array([[-0.42 * width, 0.2 * tall], [0.42 * width, 0.2 * tall], [0, 1.1 * tall]]))
    skin_v = brush.polygon(chin + np.array([[-0.33 * width, 0.1 * tall], [0.33 * width, 0.1 * tall], [0, 0.55 * tall]]), 0.002)
    side = brush.side
    shade = 0.72 + 0.2 * np.clip((np.arange(side) / side - chin[1]) / 0.25, 0, 1)[:, None, None]
    torso = _over(np.array(background), neck, look.skin * shade)
    folds = (
        gaussian_filter(np.random.default_rng(int(look.cloth.sum() * 1000)).normal(size=(side, side)), (side / 20, side / 60)) * side / 8
    )
    torso = _over(torso, cloth, look.cloth * (0.95 + 0.1 * np.clip(folds, -1, 1))[..., None])
    torso = _over(torso, cloth * collar, look.shirt)
    torso = _over(torso, cloth * skin_v, look.skin * shade)
    alpha = np.maximum(neck, cloth)
    return torso, alpha.astype(np.float32), cloth * (1 - skin_v)


def _head(
    brush: _Brush, xy: np.ndarray, loops: dict[str, np.ndarray], look: Look, light: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    side = brush.side
    oval, width = xy[loops["oval"]], np.ptp(xy[:, 0])
    centre, top, chin = oval.mean(0), xy[10], xy[152]
    tall = chin[1] - top[1]
    crown = np.array([centre[0], top[1] + 0.28 * tall])
    skull = np.maximum(brush.ellipse(crown, (0.53 * width, 0.56 * tall)), brush.polygon(centre + (oval - centre) * [1.04, 1.004]))
    ears = np.zeros_like(skull)
    for tip, sign in ((xy[234], -1), (xy[454], 1)):
        ears = np.maximum(ears, brush.ellipse(np.add(tip, (sign * 0.035 * width, -0.02 * tall)), (0.055 * width, 0.15 * tall)))
    x, y = (np.arange(side) + 0.5) / side, ((np.arange(side) + 0.5) / side)[:, None]
    roundness = 1 - 0.35 * np.clip(np.abs(x - centre[0]) / (0.6 * width), 0, 1.2) ** 2.5
    skin = look.skin * (light * roundness)[..., None]
    head = _over(skin, ears * (1 - skull), look.skin * 0.82)
    alpha = np.maximum(skull, ears)
    hair = np.zeros_like(skull)
    if look.length > 0:
        outer = brush.ellipse(crown - [0, 0.04 * tall], ((0.54 + look.volume) * width, (0.6 + 0.8 * look.volume) * tall))
        bottom = top[1] + look.length * 1.15 * tall + 0.02 * np.sin(x * 60)
        sides = brush.polygon(
            np.stack(
                [
                    crown[0] + np.array([-1, 1, 1.1, -1.1]) * (0.53 + look.volume) * width,
                    [crown[1], crown[1], bottom.mean(), bottom.mean()],
                ],
                1,
            )
        )
        outer = np.maximum(outer, sides) * np.clip((bottom - y) / 0.02, 0, 1)
        line = top[1] + (0.02 + 0.24 * look.fringe * np.abs((x - centre[0]) / width - 0.3 * look.part) ** 0.5) * tall
        open_face = np.clip((y - line) / 0.012, 0, 1) * np.clip((0.47 - np.abs(x - centre[0]) / width) / 0.02, 0, 1)
        hair = gaussian_filter((outer * (1 - open_face)).astype(np.float32), 0.0015 * side)
        strands = gaussian_filter(rng.normal(size=(side, side)), (side / 60, side / 500)) * side / 14
        sheen = np.exp(-(((y - top[1] + 0.05 * tall) / (0.12 * tall)) ** 2)) * 0.3
        tone = np.clip(0.92 + 0.06 * strands + sheen, 0.3, 1.6) * (1 - 0.3 * np.clip((y - chin[1] + 0.2 * tall) / tall, 0, 1))
        head = _over(head, hair, look.hair * tone[..., None])
        alpha = np.maximum(alpha, hair)
    head = _features(brush, head, xy, loops, look, rng)
    return head, np.clip(alpha, 0, 1).astype(np.float32), hair


def _features(
    brush: _Brush, head: np.ndarray, xy: np.ndarray, loops: dict[str, np.ndarray], look: Look, rng: np.random.Generator
) -> np.ndarray:
    """Beard, cheeks, brows, nostrils, lips, eyes and glasses."""
    side, unit = brush.side, float(np.linalg.norm(xy[33] - xy[263]))
    for cheek in (50, 280):
        head = _over(head, 0.25 * brush.ellipse(xy[cheek], (0.16 * unit, 0.13 * unit), 0.06 * unit), look.skin * [1.0, 0.72, 0.7])
    if look.beard:
        jaw = xy[[132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 425, 2, 205]]
        stubble = np.clip(0.8 + 0.4 * rng.normal(size=(side, side)), 0.2, 1)
        head = _over(head, look.beard * stubble * brush.polygon(jaw, 0.02 * unit), look.hair * 0.9)
    for brow in (RIGHT_BROW, LEFT_BROW):
        ring = np.concatenate([xy[list(brow[:5])], xy[list(brow[5:])][::-1]])
        head = _over(head, 0.8 * brush.polygon(ring, 0.008 * unit), np.minimum(look.hair, look.skin * 0.6))
    for nostril in (xy[[79, 166, 59]].mean(0), xy[[309, 392, 289]].mean(0)):
        head = _over(head, 0.5 * brush.ellipse(nostril, (0.05 * unit, 0.022 * unit), 0.012 * unit), look.skin * 0.35)
    lips = brush.polygon(xy[list(LIPS_OUTER)], 0.006 * unit)
    head = _over(head, 0.85 * lips, look.lips)
    inner = xy[list(LIPS_INNER)]
    head = _over(head, 0.8 * brush.line(np.concatenate([inner[:11]]), 0.012 * unit, 0.004 * unit), look.lips * 0.4)
    for name, upper in (
        ("right_eye", (33, 246, 161, 160, 159, 158, 157, 173, 133)),
        ("left_eye", (263, 466, 388, 387, 386, 385, 384, 398, 362)),
    ):
        ring = xy[loops[name]]
        middle = (ring.min(0) + ring.max(0)) / 2
        hole = brush.polygon(ring)
        head = _over(head, 0.35 * brush.polygon(middle + (ring - middle) * 1.35, 0.03 * unit), look.skin * 0.6)
        radius = 0.068 * unit
        eye = np.broadcast_to(np.array([228.0, 224, 220]), head.shape)
        eye = _over(eye, brush.ellipse(middle, (radius, radius), 0.004 * unit), look.iris * 0.7)
        eye = _over(eye, brush.ellipse(middle, (0.78 * radius, 0.78 * radius), 0.006 * unit), look.iris * 1.15)
        eye = _over(eye, brush.ellipse(middle, (0.42 * radius, 0.42 * radius)), np.array([12.0, 10, 10]))
        eye = _over(
            eye,
            0.9 * brush.ellipse(np.add(middle, (-0.3 * radius, -0.35 * radius)), (0.16 * radius, 0.16 * radius)),
            np.array([250.0, 250, 250]),
        )
        head = _over(head, hole, eye)
        head = _over(head, 0.85 * brush.line(xy[list(upper)], 0.014 * unit, 0.004 * unit), look.hair * 0.35)
        if look.glasses:
            outline = brush.ellipse(np.add(middle, (0, 0.03 * unit)), (0.25 * unit, 0.19 * unit))
            hollow = brush.ellipse(np.add(middle, (0, 0.03 * unit)), (0.232 * unit, 0.172 * unit))
            head = _over(head, np.clip(outline - hollow, 0, 1), np.array([35.0, 30, 30]))
    if look.glasses:
        head = _over(head, brush.line(xy[[193, 417]], 0.02 * unit), np.array([35.0, 30, 30]))
    return head
