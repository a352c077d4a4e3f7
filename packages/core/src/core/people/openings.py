"""What lies behind the lids and the lips: eyes, the mouth cavity and teeth.

Eyes and visible teeth are sheets just behind the face that wear the photograph; each reaches beyond its opening, where its texture is
continued, so that nothing empty shows when the opening widens or is seen from the side. The cavity is a dark funnel that hangs on the
inner lips.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy.ndimage import distance_transform_edt, gaussian_filter

from core.people.geometry import LAYER_MADE, HeadMesh, Pose, project, projective_uvw, unproject


def polygon_mask(xy: Float[np.ndarray, "n 2"], side: int) -> Bool[np.ndarray, "s s"]:
    """Pixels whose centre lies in a closed polygon of photograph coordinates."""
    from PIL import Image, ImageDraw

    scale = 4
    image = Image.new("L", (side * scale, side * scale))
    ImageDraw.Draw(image).polygon([tuple(p) for p in (xy * side * scale).tolist()], fill=255)
    return np.asarray(image.resize((side, side), Image.Resampling.BOX)) > 127


def nearest(known: Bool[np.ndarray, "h w"]) -> tuple[Float[np.ndarray, "h w"], Int[np.ndarray, "h w"]]:
    """Distance to the nearest known pixel, and its number in a flattened picture; some pixel must be known."""
    import cv2

    away, label = cv2.distanceTransformWithLabels((~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    number = np.zeros(int(label.max()) + 1, np.int64)
    number[label[known]] = np.flatnonzero(known)
    return away, number[label]


def continue_colours(image: UInt8[np.ndarray, "h w c"], known: Bool[np.ndarray, "h w"], blur: float = 2.0) -> UInt8[np.ndarray, "h w c"]:
    """Outside ``known`` take the nearest known colour, smoothed the more the farther."""
    import cv2

    away, source = nearest(known)
    filled = image.reshape(-1, image.shape[-1])[source]
    smooth = cv2.GaussianBlur(filled, (0, 0), blur)
    share = np.clip(away / (2 * blur), 0, 1)[..., None]
    return np.where(known[..., None], image, filled * (1 - share) + smooth * share).astype(np.uint8)


def grain(image: UInt8[np.ndarray, "h w 3"], known: Bool[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Roughen continued colours like the known ones: as strongly, and as upright strands, whose place does not matter."""
    light = image.mean(-1).astype(np.float32)
    fine = light - gaussian_filter(light, 3.0)
    inner = known & (distance_transform_edt(known) > 3)
    if inner.sum() < 100:
        return image
    noise = gaussian_filter(np.random.default_rng(0).normal(size=light.shape), (4.0, 0.8))
    strength = min(float(np.median(np.abs(fine[inner]))) * 1.48, 7.0) / max(float(light[inner].mean()), 1.0)
    factor = 1 + noise / noise.std() * strength * gaussian_filter((~known).astype(np.float32), 2.0)
    return np.clip(image * factor[..., None] + 0.5, 0, 255).astype(np.uint8)


def _depth_over(
    contour: Float[np.ndarray, "n 2"], distance: Float[np.ndarray, " n"], xy: Float[np.ndarray, "m 2"]
) -> Float[np.ndarray, " m"]:
    """Distance over the opening, as a least-squares surface (plane, and bent sideways) of its contour."""
    centre, size = contour.mean(0), np.ptp(contour[:, 0])

    def terms(points: np.ndarray) -> np.ndarray:
        q = np.clip((points - centre) / size, -0.7, 0.7)
        return np.stack([np.ones(len(q)), q[:, 0], q[:, 1] * 0.3, q[:, 0] ** 2], 1)

    a = terms(contour)
    solution = np.linalg.solve(a.T @ a + 1e-3 * np.eye(4), a.T @ (distance - distance.mean()))
    return terms(xy) @ solution + distance.mean()


def sheet(
    loop: Float[np.ndarray, "n 3"], pose: Pose, layer: int, behind: float, margin: tuple[float, float, float], cells: int = 24
) -> HeadMesh:
    """A surface behind an opening that wears the photograph and is fixed to the skull.

    Args:
        loop: the opening's outline, canonical.
        pose: of the head in the photograph.
        layer: texture.
        behind: how far behind the outline, 3DMM units.
        margin: how far it reaches beyond the opening: above, below, sideways, 3DMM units.
        cells: grid cells across.
    """
    posed = pose.apply(loop)
    contour, distance = project(posed), 10 - posed[:, 2]
    unit = 4.5313 / distance.mean()
    up, down, aside = (m * unit for m in margin)
    order = np.argsort(contour[:, 0])
    x = np.linspace(contour[:, 0].min() - aside, contour[:, 0].max() + aside, cells)
    middle = np.interp(x, contour[order, 0], gaussian_filter(contour[order, 1], 1.5, mode="nearest"))
    top, bottom = (_envelope(contour, x, middle, sign) for sign in (-1, 1))
    rows = np.linspace(0, 1, 10)[:, None]
    y = (top - up) * (1 - rows) + (bottom + down) * rows
    xy = np.stack([np.broadcast_to(x, y.shape), y], -1).reshape(-1, 2)
    points = unproject(xy, _depth_over(contour, distance, xy) + behind)
    a = (np.arange(9)[:, None] * cells + np.arange(cells - 1)).reshape(-1)
    triangles = np.concatenate([np.stack([a, a + cells, a + 1], 1), np.stack([a + 1, a + cells, a + cells + 1], 1)])
    n = len(points)
    return HeadMesh(
        pose.remove(points),
        np.zeros((n, 3), int),
        np.zeros((n, 3)),
        projective_uvw(points),
        triangles,
        np.full(len(triangles), layer, np.uint8),
    )


def _envelope(contour: np.ndarray, x: np.ndarray, middle: np.ndarray, sign: int) -> np.ndarray:
    """Upper (-1) or lower (+1) edge of a closed contour over the columns ``x``."""
    left, right = contour[:, 0].argmin(), contour[:, 0].argmax()
    index = np.arange(len(contour))
    a = np.take(contour, np.arange(left, left + (right - left) % len(index) + 1), axis=0, mode="wrap")
    b = np.take(contour, np.arange(right, right + (left - right) % len(index) + 1), axis=0, mode="wrap")[::-1]
    upper, lower = (a, b) if a[:, 1].mean() < b[:, 1].mean() else (b, a)
    chain = upper if sign < 0 else lower
    order = np.argsort(chain[:, 0], kind="stable")
    return np.interp(x, chain[order, 0], chain[order, 1])


def cavity(loop: Int[np.ndarray, " n"], vertices: Float[np.ndarray, "v 3"]) -> HeadMesh:
    """A funnel behind the inner lips; wears the column ``u = 0.98`` of the made texture, v from the lips (0.52) to the throat (0.98)."""
    ring = vertices[loop]
    centre = ring.mean(0)
    parts, texture = [], []
    for grow, back, v in ((1.0, 0.0, 0.53), (1.1, 0.11, 0.62), (0.95, 0.2, 0.8), (0.5, 0.27, 0.93)):
        spread = ring.copy()
        spread[:, :2] = centre[:2] + (ring[:, :2] - centre[:2]) * grow
        spread[:, 2] -= back
        parts.append(spread)
        texture.append(np.tile([0.98, v, 1.0], (len(loop), 1)))
    n, rings = len(loop), len(parts)
    points = np.concatenate([*parts, (centre - [0, 0, 0.3])[None]])
    a = np.arange(n)
    b = np.roll(a, -1)
    bands = [np.stack([a + r * n, b + r * n, a + (r + 1) * n], 1) for r in range(rings - 1)]
    bands += [np.stack([b + r * n, b + (r + 1) * n, a + (r + 1) * n], 1) for r in range(rings - 1)]
    bands.append(np.stack([a + (rings - 1) * n, b + (rings - 1) * n, np.full(n, rings * n)], 1))
    triangles = np.concatenate(bands)
    anchors = np.concatenate([np.tile(loop[:, None], (rings, 3)), np.tile(loop[:3], (1, 1))])
    weights = np.tile([1.0, 0.0, 0.0], (len(points), 1))
    weights[-1] = 1 / 3
    uvw = np.concatenate([*texture, [[0.98, 0.98, 1.0]]])
    return HeadMesh(points, anchors, weights, uvw, triangles, np.full(len(triangles), LAYER_MADE, np.uint8))


def teeth_strip(
    centre: Float[np.ndarray, "3"], half_width: float, top: float, bottom: float, v: tuple[float, float], follow: tuple[int, float] | None
) -> HeadMesh:
    """A curved row of teeth with its own texture.

    Args:
        centre: canonical point between the front teeth.
        half_width: 3DMM units.
        top: y of the upper edge, relative to ``centre``.
        bottom: y of the lower edge.
        v: rows of the made texture at the top and at the bottom.
        follow: model vertex that it moves with and how much, or None for the skull.
    """
    cells = 17
    t = np.linspace(-1, 1, cells)
    x, z = half_width * np.sin(t * 1.2) / np.sin(1.2), -0.75 * half_width * (1 - np.cos(t * 1.2))
    edges = [np.stack([centre[0] + x, np.full(cells, centre[1] + y), centre[2] + z], 1) for y in (top, bottom)]
    uvw = [np.stack([0.04 + 0.9 * (t + 1) / 2, np.full(cells, row), np.ones(cells)], 1) for row in v]
    a = np.arange(cells - 1)
    triangles = np.concatenate([np.stack([a, a + cells, a + 1], 1), np.stack([a + 1, a + cells, a + cells + 1], 1)])
    points = np.concatenate(edges)
    vertex, amount = follow or (0, 0.0)
    anchors, weights = np.full((len(points), 3), vertex), np.zeros((len(points), 3))
    weights[:, 0] = amount
    return HeadMesh(points, anchors, weights, np.concatenate(uvw), triangles, np.full(len(triangles), LAYER_MADE, np.uint8))


def tongue(tip: Float[np.ndarray, "3"], half_width: float, follow: tuple[int, float]) -> HeadMesh:
    """The front of a tongue at rest behind the lower teeth; wears the columns left of the cavity's.

    Args:
        tip: canonical.
        half_width: 3DMM units.
        follow: model vertex that it moves with, and how much.
    """
    across, along = np.meshgrid(np.linspace(-1, 1, 13), np.linspace(0, 1, 9))
    narrow = np.sqrt(np.clip(1 - (1 - np.clip(along / 0.55, 0, 1)) ** 2 * 0.75, 0, 1))
    x = half_width * across * narrow
    y = (0.03 + 0.12 * along) * np.sin(np.clip(along / 0.4, 0, 1) * np.pi / 2) * (1 - 0.4 * across**2)
    y -= 0.02 * np.exp(-((across / 0.18) ** 2)) * along
    points = np.stack([tip[0] + x, tip[1] + y, tip[2] - 0.14 * along], -1).reshape(-1, 3)
    uvw = np.stack([0.05 + 0.85 * (across + 1) / 2, 0.55 + 0.4 * along, np.ones_like(along)], -1).reshape(-1, 3)
    a = (np.arange(8)[:, None] * 13 + np.arange(12)).reshape(-1)
    triangles = np.concatenate([np.stack([a, a + 1, a + 13], 1), np.stack([a + 1, a + 14, a + 13], 1)])
    anchors, weights = np.full((len(points), 3), follow[0]), np.zeros((len(points), 3))
    weights[:, 0] = follow[1]
    return HeadMesh(points, anchors, weights, uvw, triangles, np.full(len(triangles), LAYER_MADE, np.uint8))


def mouth_light(vertices: Float[np.ndarray, "v 3"]) -> float:
    """Brightness of what is made up behind the lips: less light falls in through a smaller opening."""
    opening = float(vertices[13, 1] - vertices[14, 1]) / max(float(np.linalg.norm(vertices[78] - vertices[308])), 0.1)
    return 0.84 + 0.16 * min(max(opening / 0.4, 0.0), 1.0)


def made_texture(side: int, enamel: Float[np.ndarray, "3"]) -> UInt8[np.ndarray, "s s 3"]:
    """Upper teeth (v 0..0.25), lower teeth (0.25..0.5), below them the tongue and right of it the cavity from lips to throat."""
    return np.clip(_made_reflectance(side) * enamel.astype(np.float32), 0, 255).astype(np.uint8)


@lru_cache(maxsize=2)
def _made_reflectance(side: int) -> np.ndarray:
    """``made_texture`` relative to clean enamel."""
    image = np.zeros((side, side, 3), np.float32)
    u, v = np.meshgrid((np.arange(side) + 0.5) / side, (np.arange(side) + 0.5) / side)
    widths = np.cumsum([0, 0.6, 0.7, 0.8, 0.75, 1.0, 1.0, 0.75, 0.8, 0.7, 0.6])
    position = np.clip((u - 0.04) / 0.9, 0, 1) * widths[-1]
    tooth = np.clip(np.searchsorted(widths, position, side="right") - 1, 0, 9)
    across = (position - widths[tooth]) / np.diff(widths)[tooth]
    edge = np.minimum(across, 1 - across)
    shade = (0.84 + 0.16 * np.clip(edge / 0.11, 0, 1) ** 0.7) * (1 - 0.6 * np.clip(np.abs(u - 0.49) / 0.45, 0, 1) ** 2)
    for low, upper in ((0.0, True), (0.25, False)):
        inside = (v >= low) & (v < low + 0.25)
        row = np.clip((v - low) / 0.25, 0, 1)
        root = 1 - row if upper else row  # 1 at the gum
        gum = np.clip((root - 0.72 - 0.1 * (edge < 0.12)) / 0.08, 0, 1)[..., None]
        worn = 0.03 * np.sin(2.3 * tooth + 1)[..., None] * (not upper)  # lower front teeth stand less evenly
        tone = ((1.0 if upper else 0.74) + worn) * (1 - gum) + gum * np.array([0.62, 0.3, 0.3])
        gap = np.clip(((0.07 if upper else 0.04) * (1 - np.clip(edge / 0.3, 0, 1) ** 2) + worn[..., 0] - root) / 0.04, 0, 1)[..., None]
        tone = tone * (1 - 0.8 * gap)  # round corners, before the dark of the mouth
        lip = 1 - 0.3 * root[..., None] ** 2  # under the lip; the jaw shades all lower teeth
        image[inside] = (tone * shade[..., None] * lip)[inside]
    deep = np.clip((v - 0.52) / 0.4, 0, 1)[..., None]
    throat = np.array([0.5, 0.22, 0.21]) * (1 - deep) ** 2 + np.array([0.14, 0.05, 0.05]) * (1 - (1 - deep) ** 2)
    image[v >= 0.5] = throat[v >= 0.5]
    flesh = (v >= 0.5) & (u < 0.94)
    across, along = np.clip(np.abs((u - 0.475) / 0.425), 0, 1), np.clip((v - 0.55) / 0.4, 0, 1)
    rough = gaussian_filter(np.random.default_rng(0).normal(size=u.shape), 1.2) * 0.06
    soft = (0.95 - 0.75 * along**0.8) * (1 - 0.45 * across**3) * (1 - 0.15 * np.exp(-((across / 0.09) ** 2))) * (1 + rough)
    image[flesh] = (np.array([0.74, 0.39, 0.38]) * soft[..., None])[flesh]
    return image
