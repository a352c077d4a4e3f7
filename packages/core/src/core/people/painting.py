"""What is drawn into the unrolled face: brows, lips, lids, wrinkles, the shade of a beard, make-up."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float

from core.face.regions import LEFT_BROW, LIPS_INNER, LIPS_OUTER, RIGHT_BROW
from core.people.look import Look
from core.people.skin import Complexion

_SHIFT = 4
UPPER_LIDS = ((33, 246, 161, 160, 159, 158, 157, 173, 133), (263, 466, 388, 387, 386, 385, 384, 398, 362))
LOWER_LIDS = ((33, 7, 163, 144, 145, 153, 154, 155, 133), (263, 249, 390, 373, 374, 380, 381, 382, 362))
_CREASES = ((130, 247, 30, 29, 27, 28, 56, 190), (359, 467, 260, 259, 257, 258, 286, 414))
_FOLDS = ((129, 203, 206, 216, 212), (358, 423, 426, 436, 432))
_BAGS = ((226, 31, 228, 229, 230, 231, 232), (446, 261, 448, 449, 450, 451, 452))
_BEARD = (
    93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323,
    376, 411, 425, 391, 2, 165, 205, 187, 147,
)  # fmt: skip

_CHIN = (57, 43, 106, 182, 83, 18, 313, 406, 335, 273, 287, 434, 430, 394, 378, 400, 377, 152, 148, 176, 149, 169, 210, 214)


@dataclass(frozen=True)
class Brush:
    """Antialiased masks of shapes on a square texture.

    Attributes:
        side: of the texture in texels.
        unit: distance of the outer corners of the eyes, texture sides.
    """

    side: int
    unit: float

    def polygon(self, xy: Float[np.ndarray, "n 2"], blur: float = 0.0) -> Float[np.ndarray, "s s"]:
        """A closed polygon; ``blur`` in units."""
        return self.mask(lambda image: cv2.fillPoly(image, [self._fixed(xy)], 255, cv2.LINE_AA, _SHIFT), blur)

    def ellipse(self, centre: Float[np.ndarray, "2"], radii: tuple[float, float], blur: float = 0.0) -> Float[np.ndarray, "s s"]:
        """An upright ellipse; radii in units."""
        turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        return self.polygon(np.asarray(centre) + np.stack([np.cos(turn), np.sin(turn)], 1) * np.multiply(radii, self.unit), blur)

    def line(self, xy: Float[np.ndarray, "n 2"], width: float, blur: float = 0.0) -> Float[np.ndarray, "s s"]:
        """An open line; its width in units."""
        thick = max(1, round(width * self.unit * self.side))
        return self.mask(lambda image: cv2.polylines(image, [self._fixed(xy)], False, 255, thick, cv2.LINE_AA, _SHIFT), blur)

    def mask(self, action: Callable[[np.ndarray], object], blur: float = 0.0) -> Float[np.ndarray, "s s"]:
        """What an action draws with ``cv2`` on a black byte image."""
        image = np.zeros((self.side, self.side), np.uint8)
        action(image)
        sigma = blur * self.unit * self.side
        if sigma < 6:
            image = cv2.GaussianBlur(image, (0, 0), sigma) if sigma > 0.3 else image
        else:
            small = cv2.resize(image, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
            image = cv2.resize(cv2.GaussianBlur(small, (0, 0), sigma / 4), image.shape[::-1], interpolation=cv2.INTER_LINEAR)
        return np.multiply(image, np.float32(1 / 255), dtype=np.float32)

    def _fixed(self, xy: np.ndarray) -> np.ndarray:
        return np.rint((np.asarray(xy) * self.side - 0.5) * (1 << _SHIFT)).astype(np.int32)


@dataclass(frozen=True)
class FaceMap:
    """Where the parts of a face lie on its texture.

    Attributes:
        brush: draws there.
        xy: face-model vertices, texture coordinates.
    """

    brush: Brush
    xy: Float[np.ndarray, "468 2"]

    @classmethod
    def of(cls, uv: Float[np.ndarray, "v 2"], side: int) -> "FaceMap":
        """The face model's vertices come first."""
        return cls(Brush(side, float(np.linalg.norm(uv[33] - uv[263]))), uv[:468])

    def ring(self, *points: int) -> Float[np.ndarray, "n 2"]:
        """Their places."""
        return self.xy[list(points)]

    def beard(self) -> Float[np.ndarray, "s s"]:
        """Where a full beard grows, soft; the lips are free."""
        ring = self.ring(*_BEARD)
        ring[:19, 1] += 0.1 * np.exp(-(((ring[:19, 0] - self.xy[152, 0]) / 0.12) ** 2)) * self.brush.unit
        lips = self.xy[list(LIPS_OUTER)]
        area = self.brush.polygon(ring, 0.045)
        return area * (1 - np.clip(1.5 * self.brush.polygon(lips.mean(0) + (lips - lips.mean(0)) * [1.0, 1.08], 0.012), 0, 1))

    def moustache(self) -> Float[np.ndarray, "s s"]:
        """The upper lip."""
        return self.brush.polygon(self.ring(216, 92, 165, 167, 164, 393, 391, 322, 436, 291, 269, 0, 39, 61), 0.03)

    def chin(self) -> Float[np.ndarray, "s s"]:
        """A goatee."""
        around = self.ring(*_CHIN)
        return self.brush.polygon(around, 0.035)


def complexion(face: FaceMap, look: Look) -> Complexion:
    """Redness, shadows and relief by place."""
    brush, at = face.brush, face.xy
    out = Complexion.plain(brush.side)
    blood, melanin, height, shine = out.blood, out.melanin, out.height, out.shine
    for cheek in (50, 280):
        blood += (0.32 + 0.35 * look.makeup) * brush.ellipse(at[cheek], (0.2, 0.17), 0.1)
    blood += 0.3 * brush.ellipse(at[4], (0.14, 0.11), 0.06) + 0.14 * brush.ellipse(at[152], (0.2, 0.12), 0.08)
    shine += 0.7 * brush.ellipse(at[195], (0.07, 0.24), 0.05) + 0.5 * brush.ellipse(at[151], (0.35, 0.16), 0.12)
    for upper, lower, crease, bag, fold in zip(UPPER_LIDS, LOWER_LIDS, _CREASES, _BAGS, _FOLDS, strict=True):
        ring = at[[*upper, *lower[::-1]]]
        middle = ring.mean(0)
        melanin += 0.1 * brush.polygon(middle + (ring - middle) * [1.25, 1.7], 0.05) * (0.6 + look.age)
        blood += 0.3 * brush.polygon(middle + (ring - middle) * [1.12, 1.35], 0.025)
        height -= 0.22 * brush.line(at[list(crease)], 0.016, 0.008)
        melanin += 0.16 * brush.line(at[list(crease)], 0.014, 0.008)
        shine -= 0.5 * brush.polygon(middle + (ring - middle) * [1.3, 2.0], 0.05)
        height -= look.age * 0.5 * brush.line(at[list(bag)], 0.03, 0.022)
        height -= (0.1 + 0.75 * look.age) * brush.line(at[list(fold)], 0.03, 0.02)
        outer, away = at[upper[0]], np.sign(at[upper[0], 0] - at[168, 0])
        for k, rise in enumerate((-0.1, -0.02, 0.06, 0.13)):
            start = outer + np.array([0.07 * away, 0.4 * rise]) * brush.unit
            crow = np.stack([start, start + brush.unit * np.array([0.17 * away, rise])])
            height -= max(look.age - 0.15, 0) * (0.45 - 0.05 * k) * brush.line(crow, 0.012, 0.007)
    for k, share in enumerate((0.22, 0.42, 0.6)):
        brow = at[[70, 63, 105, 66, 107, 9, 336, 296, 334, 293, 300]]
        line = brow + (at[10] - at[9]) * [0, share * 1.35] + [0, 0.02 * np.sin(k)]
        line = at[151] + (line - at[151]) * [0.82, 1]
        height -= max(look.age - 0.25, 0) * 0.75 * brush.line(line[1:-1], 0.02, 0.012)
    for side in (55, 285):
        height -= max(look.age - 0.3, 0) * 0.5 * brush.line(np.stack([at[side], at[side] + [0, -0.1 * brush.unit]]), 0.015, 0.01)
    _lips(face, look, out)
    for nostril in (at[[79, 166, 59]].mean(0), at[[309, 392, 289]].mean(0)):
        melanin += 0.55 * brush.ellipse(nostril, (0.036, 0.016), 0.012)
    return out


def _lips(face: FaceMap, look: Look, out: Complexion) -> None:
    brush, at = face.brush, face.xy
    lips = brush.polygon(at[list(LIPS_OUTER)], 0.01)
    upper = brush.polygon(np.concatenate([at[list(LIPS_OUTER[:11])], at[list(LIPS_INNER[:11])][::-1]]), 0.006)
    creases = np.random.default_rng(7).standard_normal((brush.side, brush.side)).astype(np.float32)
    creases = cv2.GaussianBlur(creases, (0, 0), sigmaX=1.1, sigmaY=6)
    out.blood[:] += lips * ((1.35 + 1.1 * look.makeup) * (1 - 0.35 * look.melanin) + 0.12 * creases / creases.std())
    out.melanin[:] += lips * (0.05 + 0.06 * look.makeup) * (1 - look.melanin) + 0.07 * upper
    out.height[:] += lips * 0.1 * creases / creases.std() * (0.4 + look.age)
    out.height[:] += 0.25 * brush.polygon(at[list(LIPS_OUTER)], 0.02)
    out.shine[:] += lips * (0.5 + look.makeup)
    out.melanin[:] += 0.3 * brush.line(at[list(LIPS_INNER[:11])], 0.012, 0.008)
    out.melanin[:] += 0.08 * brush.line(at[[57, 43, 106, 182, 83, 18, 313, 406, 335, 273, 287]], 0.05, 0.03)


def paint_features(rgb: Float[np.ndarray, "s s 3"], face: FaceMap, look: Look, rng: np.random.Generator) -> Float[np.ndarray, "s s 3"]:
    """Brows, rims of the lids, eyeliner and shadow over lit skin."""
    brush, at = face.brush, face.xy
    dark = 0.3 + 0.7 * np.clip(rgb.mean(-1, keepdims=True) / max(float(rgb.mean()), 1.0), 0, 1.4)
    for upper, lower, crease in zip(UPPER_LIDS, LOWER_LIDS, _CREASES, strict=True):
        lid = brush.polygon(np.concatenate([at[list(upper)], at[list(crease)][::-1]]), 0.02)
        rgb = _over(rgb, look.makeup * 0.5 * lid, look.cloth * 0.5 + 30)
        rgb = _over(rgb, 0.5 * brush.line(at[list(lower)], 0.018, 0.006), np.array([176.0, 112, 102]) * (1 - 0.6 * look.melanin))
        liner = 0.016 + 0.02 * look.makeup
        rgb = _over(rgb, 0.85 * brush.line(at[list(upper)], liner, 0.005), np.minimum(look.hair_colour * 0.3, 40))
        rgb = _over(rgb, 0.3 * look.makeup * brush.line(at[list(lower[:6])], 0.016, 0.006), np.array([30.0, 22, 22]))
    hairs = sum(_brow(face, brow, look, rng) for brow in (RIGHT_BROW, LEFT_BROW))
    tone = np.minimum(look.hair_colour * 0.75, 0.75 * np.median(rgb[brush.side // 2 :: 8, ::8].reshape(-1, 3), 0).max()) * dark
    return _over(rgb, np.clip(hairs, 0, 0.92), tone)


def _brow(face: FaceMap, brow: tuple[int, ...], look: Look, rng: np.random.Generator) -> Float[np.ndarray, "s s"]:
    """Single hairs between the brow's two outlines, upright inside, swept outwards."""
    brush = face.brush
    high, low = face.xy[list(brow[:5])], face.xy[list(brow[5:])]
    grid = np.linspace(0, 4, 40)
    high, low = (np.stack([np.interp(grid, np.arange(5), line[:, q]) for q in range(2)], 1) for line in (high, low))
    count = int(150 + 230 * look.brows)
    t = rng.uniform(0, 1, count) ** 0.85
    across = np.clip(rng.normal(0.5, 0.2 + 0.08 * look.brows, count), 0, 1)
    n = (t * 39).astype(int)
    thin = 0.35 + 0.65 * np.clip(t / 0.35, 0, 1)  # t = 0 is the outer end, where brows taper
    middle = 0.5 + (across - 0.5) * thin * (0.34 + 0.36 * look.brows)
    start = low[n] + (high[n] - low[n]) * middle[:, None]
    out = np.sign(face.xy[brow[0], 0] - face.xy[168, 0])
    lean = np.clip(1.35 - 1.2 * t, 0.12, 1.3) + rng.normal(size=count) * 0.14
    way = np.stack([out * np.cos(1.45 - lean), -np.sin(1.45 - lean) * (1 - 0.6 * (across > 0.6))], 1)
    long = brush.unit * (0.035 + 0.03 * rng.random(count))[:, None]
    ends = np.stack([start, start + way * long], 1)

    def strokes(image: np.ndarray) -> None:
        fixed = np.rint((ends * brush.side - 0.5) * (1 << _SHIFT)).astype(np.int32)
        cv2.polylines(image, list(fixed), False, 255, 1, cv2.LINE_AA, _SHIFT)

    soft = brush.mask(strokes)
    return 0.42 * soft + 0.42 * cv2.GaussianBlur(soft, (0, 0), 1.6)


def _over(canvas: np.ndarray, mask: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Blend a colour in, in place; most masks are small."""
    rows, columns = np.flatnonzero(mask.max(1) > 0), np.flatnonzero(mask.max(0) > 0)
    if len(rows):
        view = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        part = mask[view][..., None]
        canvas[view] += part * ((colour[view] if colour.shape == canvas.shape else colour) - canvas[view])
    return canvas
