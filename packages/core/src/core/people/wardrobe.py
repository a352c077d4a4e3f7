"""Neck, shoulders and clothes of a procedural person: a solid body, looked at once, that becomes the flat torso; and what is behind."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8
from scipy.interpolate import PchipInterpolator

from core.camera import FIT_DISTANCE, FIT_FOCAL
from core.people.bake import PLAIN_WRAP, SKIN_WRAP, Lamp, to_bytes
from core.people.geometry import Pose, project, to_clip
from core.people.lathe import Paths
from core.people.look import Look, skin_colour
from core.people.openings import continue_colours
from core.people.person import Torso
from core.people.skull import vertex_normals
from core.raster.numba_backend import interpolate_arrays, rasterize_arrays

PIVOT = np.array([0.0, -0.95, -0.62])
"""Canonical point that the torso hangs on: the middle of the neck, where heads turn from under the skull."""
_Y = (-0.3, -0.7, -0.95, -1.08, -1.2, -1.32, -1.45, -1.7, -3.4)
_HALF = (0.50, 0.45, 0.47, 0.62, 0.92, 1.25, 1.46, 1.58, 1.62)
_DEEP = (0.46, 0.42, 0.44, 0.52, 0.58, 0.61, 0.63, 0.66, 0.70)
_MIDDLE = (-0.45, -0.58, -0.66, -0.68, -0.69, -0.7, -0.7, -0.7, -0.7)
_NECKLINE = {
    "tee": ((0, 50, 90, 180), (-1.3, -1.12, -1.04, -0.98)),
    "vneck": ((0, 25, 60, 90, 180), (-1.95, -1.42, -1.12, -1.04, -0.98)),
    "shirt": ((0, 30, 60, 90, 180), (-1.32, -1.08, -0.98, -0.94, -0.9)),
    "jacket": ((0, 30, 60, 90, 180), (-1.32, -1.08, -0.98, -0.94, -0.9)),
    "hoodie": ((0, 40, 80, 180), (-1.25, -1.05, -0.92, -0.85)),
}
"""Where cloth begins: y by azimuth in degrees."""
_LAPEL = ((0.5, -0.98), (0.42, -1.05), (0.02, -2.75), (0.42, -2.0), (0.62, -1.62), (0.53, -1.55), (0.66, -1.45), (0.62, -1.1))
_COLLAR = ((0.015, -1.3), (0.2, -1.62), (0.45, -1.3), (0.49, -0.93), (0.43, -0.9), (0.27, -1.12))


@dataclass(frozen=True)
class _Body:
    """Cross-sections from the neck down."""

    broad: float

    def at(self, angle: np.ndarray, y: np.ndarray, grow: float = 0.0) -> np.ndarray:
        """Points on the surface, ``grow`` outside of it."""
        half, deep, middle = (PchipInterpolator(-np.array(_Y), v)(-y) for v in (_HALF, _DEEP, _MIDDLE))
        half = np.where(half > 0.5, 0.5 + (half - 0.5) * self.broad, half) + grow
        s, c = np.sin(angle), np.cos(angle)
        power = 2 / 2.35
        return np.stack([half * np.sign(s) * np.abs(s) ** power, y, middle + (deep + grow) * np.sign(c) * np.abs(c) ** power], -1)


def _loft(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and triangles of a (rows, n) grid that is closed sideways."""
    rows, n = points.shape[:2]
    ring = np.arange(rows * n).reshape(rows, n)
    a, b, c, d = ring[:-1], np.roll(ring[:-1], -1, 1), ring[1:], np.roll(ring[1:], -1, 1)
    return points.reshape(-1, 3), np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)])


def _parts(look: Look, hair: Paths | None) -> list[tuple[np.ndarray, np.ndarray, int]]:
    """Meshes of skin (0), cloth (1), its hem (2) and hair behind the neck (3), canonical."""
    body = _Body(0.86 if look.woman else 1.0)
    angle = np.linspace(-np.pi, np.pi, 120, endpoint=False)
    a, y = np.meshgrid(angle, np.linspace(-0.3, -2.1, 40))
    parts = [(*_loft(body.at(a, y)), 0)]
    line = np.interp(np.abs(np.degrees(angle)), *_NECKLINE[look.clothes])
    t = np.linspace(0, 1, 44)[:, None] ** 1.5
    lower = line * (1 - t) + t * -3.4
    cloth = body.at(np.broadcast_to(angle, lower.shape), lower, 0.04)
    parts.append((*_loft(cloth), 1))
    if look.clothes in ("tee", "vneck", "hoodie"):
        thick = 0.13 if look.clothes == "hoodie" else 0.028
        edge, turn = body.at(angle, line, 0.04 + 0.3 * thick), np.linspace(0, 2 * np.pi, 9)[:, None]
        out = (edge - [0, 0, -0.68]) * [1, 0, 1]
        out /= np.linalg.norm(out, axis=1, keepdims=True)
        roll = edge + thick * (np.cos(turn)[..., None] * out + np.sin(turn)[..., None] * np.array([0, 1.0, 0]))
        parts.append((*_loft(roll), 2))
    if hair is not None:
        points = hair.at(np.linspace(0.72, 0.99, 24), -0.13)[0][:, np.abs(hair.angle) > np.radians(120)]
        points = np.concatenate([points[:, points.shape[1] // 2 :], points[:, : points.shape[1] // 2]], 1)
        parts.append((*_loft(points[:, ::2]), 3))
    return parts


def dress(look: Look, pose: Pose, lamp: Lamp, side: int, hair: Paths | None, rng: np.random.Generator) -> Torso:
    """The torso of a person.

    Args:
        look: of the person.
        pose: of the head; the body stands upright below it.
        lamp: light.
        side: of the picture in pixels.
        hair: hanging hair; what is behind the neck belongs to the torso, which heads always hide.
        rng: of folds.
    """
    stand = Pose(np.eye(3), pose.apply(PIVOT[None])[0] - PIVOT)
    points, triangles, kinds, normals, start = [], [], [], [], 0
    for vertices, faces, kind in _parts(look, hair):
        own = vertex_normals(vertices, faces)
        points.append(vertices)
        normals.append(own * np.sign((own * (vertices - vertices.mean(0)) * [1, 0, 1]).sum()))
        triangles.append(faces + start)
        kinds.append(np.full(len(faces), kind))
        start += len(vertices)
    points, triangles, kinds = np.concatenate(points), np.concatenate(triangles).astype(np.int32), np.concatenate(kinds)
    clip = to_clip(stand.apply(points))
    fragments = rasterize_arrays(clip, triangles, side, side)
    values = interpolate_arrays(np.concatenate([points, np.concatenate(normals)], 1).astype(np.float32), fragments, triangles)
    seen = fragments[..., 3] > 0
    kind = np.where(seen, kinds[fragments[..., 3].astype(int) - 1], -1)
    place, normal = values[..., :3], values[..., 3:]
    unit = FIT_FOCAL / (FIT_DISTANCE - stand.trans[2]) * side
    low = slice(int(seen.any(1).argmax()), side)  # nothing above
    skin = _skin(place[low], normal[low], look, lamp, unit)
    cloth, kind[low] = _cloth(place[low], normal[low], kind[low], look, lamp, stand, side, rng)
    image = np.zeros((side, side, 3), np.float32)
    image[low] = np.where((kind[low] == 0)[..., None], skin, cloth)
    image[kind == 3] = (0.3 * look.hair_colour * lamp.exposure).astype(np.float32)
    outline = rasterize_arrays(clip, triangles, 2 * side, 2 * side)[..., 3] > 0
    alpha = cv2.resize(outline.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)
    colours = continue_colours(to_bytes(cv2.GaussianBlur(image, (0, 0), 0.5)), cv2.erode(seen.astype(np.uint8), np.ones((3, 3))) > 0, 2.0)
    return Torso(colours, alpha, np.where(kind == 0, 2, 4).astype(np.uint8), PIVOT)


def _bumped(normal: np.ndarray, height: np.ndarray, strength: float) -> np.ndarray:
    """Normals of a surface seen from the front, roughened by a height map (pixels)."""
    dx, dy = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3), cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3)
    out = normal + strength * np.stack([-dx, dy, np.zeros_like(dx)], -1)
    return (out / np.maximum(np.linalg.norm(out, axis=-1, keepdims=True), 1e-6)).astype(np.float32)


def _skin(place: np.ndarray, normal: np.ndarray, look: Look, lamp: Lamp, unit: float) -> np.ndarray:
    """Neck with its muscles and collar bones, in the shadow of the chin."""
    x, y = np.abs(place[..., 0]), place[..., 1]
    muscle = np.exp(-(((x - np.interp(y, [-1.2, -0.55], [0.07, 0.44])) / 0.055) ** 2)) * np.clip((-0.55 - y) * 5, 0, 1)
    bone = np.exp(-(((y + 1.2 - 0.08 * x) / 0.035) ** 2)) * np.clip((x - 0.08) * 8, 0, 1) * np.clip((1.1 - x) * 3, 0, 1)
    pit = np.exp(-((x / 0.09) ** 2) - ((y + 1.2) / 0.07) ** 2)
    apple = 0.0 if look.woman else np.exp(-((x / 0.07) ** 2) - ((y + 0.88) / 0.09) ** 2)
    height = (0.03 * muscle + 0.022 * bone - 0.03 * pit + 0.025 * apple) * unit
    lit = lamp.arriving(_bumped(normal, height.astype(np.float32), 0.16), SKIN_WRAP) * lamp.exposure
    shadow = 1 - 0.5 * np.exp(-((np.clip(-0.72 - y, 0, 9) / 0.24) ** 2)) * np.exp(-((x / 0.75) ** 2))
    warm = 1 - (1 - shadow[..., None]) * np.array([0.8, 1.0, 1.05], np.float32)
    return skin_colour(np.full(y.shape, look.melanin + 0.02), look.blood + 0.06 * np.ones_like(y)) * lit * warm


def _cloth(
    place: np.ndarray, normal: np.ndarray, kind: np.ndarray, look: Look, lamp: Lamp, stand: Pose, side: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Colours of everything that is not skin, and which pixels are (as in ``_parts``)."""
    folds = cv2.GaussianBlur(rng.standard_normal((side // 2, side // 2), np.float32), (0, 0), sigmaX=side / 100, sigmaY=side / 36)
    folds += 0.35 * cv2.GaussianBlur(rng.standard_normal(folds.shape, np.float32), (0, 0), sigmaX=side / 180, sigmaY=side / 120)
    folds = cv2.resize(folds / folds.std(), (side, side), interpolation=cv2.INTER_CUBIC)[-len(place) :]
    weave = rng.standard_normal((side, side), np.float32)[-len(place) :]
    ribs = np.sin(place[..., 0] * 150) * np.sin(place[..., 1] * 120) if look.pattern == "knit" else 0.3 * weave
    ribs = np.where(kind == 2, np.sin(np.arctan2(place[..., 0], place[..., 2] + 0.68) * 170), ribs)
    lit = lamp.arriving(_bumped(normal, (2.2 * side / 512 * folds + 0.16 * ribs).astype(np.float32), 0.11), PLAIN_WRAP) * lamp.exposure
    tone = np.clip(0.92 + 0.05 * folds + 0.025 * weave, 0.5, 1.3)[..., None]
    base = _pattern(place, look)
    kind, over = kind.copy(), np.ones(kind.shape, np.float32)
    if look.clothes in ("shirt", "jacket"):
        base, kind, over = _tailored(base, kind, look, stand, side)
    shadow = 1 - 0.4 * np.exp(-np.clip(-1.0 - place[..., 1], 0, 9) / 0.14) * np.exp(-((place[..., 0] / 0.7) ** 2))
    return base * tone * lit * (over * shadow)[..., None], kind


def _pattern(place: np.ndarray, look: Look) -> np.ndarray:
    """Woven colours."""
    x, y = place[..., 0], place[..., 1]
    share = np.zeros_like(x)
    if look.pattern == "stripes" and look.clothes != "jacket":
        share = np.clip(np.sin(y * 24) * 6, 0, 1) * 0.75
    elif look.pattern == "checks":
        share = 0.28 * (np.clip(np.sin(x * 22) * 6, 0, 1) + np.clip(np.sin(y * 22) * 6, 0, 1))
    cloth, shirt = look.cloth.astype(np.float32), look.shirt.astype(np.float32)
    return cloth * (1 - share[..., None]) + shirt * share[..., None]


def _tailored(base: np.ndarray, kind: np.ndarray, look: Look, stand: Pose, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A shirt's collar and buttons; for a jacket its lapels over shirt and tie, on the lowest rows. Colours, kinds and shadows."""
    rows = len(kind)

    def mask(*points: tuple[float, float], z: float = -0.05) -> np.ndarray:
        flat = np.array([[x, y, z] for x, y in points], np.float64)
        image = np.zeros((rows, side), np.uint8)
        spots = np.rint((project(stand.apply(flat)) * side - 0.5 - [0, side - rows]) * 16).astype(np.int32)
        return cv2.fillPoly(image, [spots], 255, cv2.LINE_AA, 4).astype(np.float32) / 255

    def put(area: np.ndarray, colour: np.ndarray) -> None:
        nonlocal base, over, kind
        soft = cv2.blur(area, (side // 50 + 1, side // 50 + 1))
        moved = np.roll(soft, side // 160, 0)
        over = np.where(area > 0.5, 1.0, over * (1 - 0.5 * moved))
        base = base * (1 - area[..., None]) + colour.astype(np.float32) * area[..., None]
        kind = np.where(area > 0.5, 1, kind)

    over = np.ones(kind.shape, np.float32)
    shirt = look.shirt if look.clothes == "jacket" else look.cloth
    if look.clothes == "jacket":
        put(mask((-0.42, -1.02), (0.42, -1.02), (0.3, -1.6), (0.05, -2.6), (-0.05, -2.6), (-0.3, -1.6)) * (kind != 0), look.shirt)
        if not look.woman:
            put(mask((-0.07, -1.27), (0.07, -1.27), (0.05, -1.42), (0.13, -2.7), (-0.13, -2.7), (-0.05, -1.42)), look.wear)
        for s in (-1, 1):
            put(mask(*((s * x, y) for x, y in _LAPEL)), look.cloth)
    else:
        over = over * (1 - 0.35 * mask((0.05, -1.3), (0.065, -1.3), (0.065, -3.0), (0.05, -3.0)))
        for k in range(4):
            t, y = np.linspace(0, 2 * np.pi, 14), -1.55 - 0.36 * k
            put(mask(*zip(0.032 * np.cos(t), y + 0.032 * np.sin(t), strict=True)), look.shirt * 0.9)
    for s in (-1, 1):
        put(mask(*((s * x, y) for x, y in _COLLAR)), shirt * 1.03)
    return base, kind, over


def backdrop(look: Look, side: int, rng: np.random.Generator) -> UInt8[np.ndarray, "s s 3"]:
    """A wall, or an unsharp room: shapes of other colours out of focus."""
    small = 64
    x, y = np.meshgrid(np.linspace(-1, 1, small), np.linspace(-1, 1, small))
    image = look.backdrop * (1 - 0.16 * y - 0.12 * (x - rng.normal() * 0.5) ** 2)[..., None]
    for _ in range(int(rng.integers(0, 9)) * int(rng.random() < 0.65)):
        cx, cy, w, h = *rng.uniform(-1.1, 1.1, 2), *rng.uniform(0.08, 0.5, 2)
        tint = look.backdrop * rng.uniform(0.45, 1.45) + rng.normal(size=3) * 22
        block = np.clip((w - np.abs(x - cx)) / 0.08, 0, 1) * np.clip((h - np.abs(y - cy)) / 0.08, 0, 1)
        image = image * (1 - block[..., None]) + tint * block[..., None]
    image = cv2.GaussianBlur(image, (0, 0), 2.5)
    image = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC) + rng.standard_normal((side, side, 1)) * 1.5
    return np.clip(image + 0.5, 0, 255).astype(np.uint8)
