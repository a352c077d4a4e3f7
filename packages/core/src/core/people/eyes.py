"""Eyes that look elsewhere: the photograph's eye, completed under the lids, turns on a ball while its surface stays behind the lids.

The sheet behind the lids (``core.people.openings``) does not move. A gaze moves the texture over it as a turning ball would, so nothing
pokes through a lid and blinks stay what they are.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy.ndimage import binary_erosion, gaussian_filter, map_coordinates

from core.people.geometry import HeadMesh, Pose, projective_uvw

BALL = 2.05
"""Radius of the eyeball in radii of the iris: 12 and 5.85 mm."""
MAX_GAZE = np.radians(30.0)
DROP = 0.1
"""The completed eyes lie this far below the seen ones in the texture of the eyes, in canvas sides."""


@dataclass(frozen=True)
class Irises:
    """Where the irises are in a photograph: right eye, then left.

    Attributes:
        xy: centres, photograph coordinates.
        radius: of the (hardly covered) horizontal extent, same units.
    """

    xy: Float[np.ndarray, "2 2"]
    radius: Float[np.ndarray, "2"]

    @classmethod
    def of(cls, landmarks: Float[np.ndarray, "n d"]) -> "Irises":
        """From refined landmarks (478 points); without irises among them, in the middle of the lids."""
        from core.face.regions import LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS

        points = landmarks[:, :2].astype(np.float64)
        if len(points) >= 478:
            rings = [points[list(iris)] for iris in (RIGHT_IRIS, LEFT_IRIS)]
            return cls(np.stack([ring[0] for ring in rings]), np.array([np.linalg.norm(ring[1] - ring[3]) / 2 for ring in rings]))
        lids = [points[list(eye)] for eye in (RIGHT_EYE, LEFT_EYE)]
        radius = 0.068 * np.linalg.norm(points[33] - points[263])
        return cls(np.stack([(lid.min(0) + lid.max(0)) / 2 for lid in lids]), np.full(2, radius))


@dataclass(frozen=True)
class Eyes:
    """How the eyes of one person turn.

    Attributes:
        first: number of the first vertex of both sheets in the solid mesh; the left eye's follow those of the right.
        count: vertices of each sheet.
        middle: canonical x, y straight in front of each eyeball.
        radius: of the balls, 3DMM units.
        rest: gaze in the photograph, see ``turn``.
    """

    first: int
    count: int
    middle: Float[np.ndarray, "2 2"]
    radius: Float[np.ndarray, "2"]
    rest: Float[np.ndarray, "2"]

    @classmethod
    def of(
        cls, lids: Float[np.ndarray, "2 n 3"], seen: Float[np.ndarray, "2 3"], iris: Float[np.ndarray, "2"], first: int, count: int
    ) -> "Eyes":
        """Measure the gaze of a photograph.

        Args:
            lids: outlines of the openings, canonical.
            seen: centres of the irises, canonical, at the depth of the lids.
            iris: radii, 3DMM units.
            first: vertex of the right eye's sheet.
            count: vertices of each sheet.
        """
        middle, radius = (lids[..., :2].min(1) + lids[..., :2].max(1)) / 2, BALL * iris
        offset = ((seen[:, :2] - middle) / radius[:, None]).mean(0)  # both eyes look the same way
        yaw, pitch = np.arcsin(np.clip(offset * [1, -1], -0.4, 0.4))
        return cls(first, count, middle, radius, np.array([yaw, pitch]))

    def turn(self, mesh: HeadMesh, pose: Pose, gaze: Float[np.ndarray, "2"]) -> Float[np.ndarray, "v 3"]:
        """Texture coordinates of a mesh whose eyes look elsewhere.

        Args:
            mesh: the solid mesh.
            pose: of the head in the photograph.
            gaze: yaw and pitch of the eyes in the head, radians, signs as those of the head's own angles: positive yaw looks along +x,
                positive pitch down.
        """
        uvw = mesh.uvw.copy()
        back = direction(self.rest) @ direction(np.clip(gaze, -MAX_GAZE, MAX_GAZE)).T
        for eye in range(2):
            part = slice(self.first + eye * self.count, self.first + (eye + 1) * self.count)
            points = mesh.vertices[part].astype(np.float64)
            flat = (points[:, :2] - self.middle[eye]) / self.radius[eye]
            points[:, :2] += (ball_back(flat, back) - flat) * self.radius[eye]
            uvw[part] = projective_uvw(pose.apply(points))
            uvw[part, 1] += DROP * uvw[part, 2]
        return uvw


def ball_back(flat: Float[np.ndarray, "n 2"], back: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "n 2"]:
    """Where points in front of a ball of radius 1 (x and y up from its middle) come from when ``back`` takes its turn back."""
    height = np.sqrt(np.maximum(1 - (flat**2).sum(1), 0.36))  # beyond the ball's edge it goes on as a cylinder
    return (np.concatenate([flat, height[:, None]], 1) @ back.T)[:, :2]


def direction(gaze: Float[np.ndarray, "2"]) -> Float[np.ndarray, "3 3"]:
    """Rotation that takes straight ahead (+z) to a gaze, yaw and pitch in radians: positive yaw looks along +x, positive pitch down."""
    (cy, sy), (cp, sp) = ((np.cos(a), np.sin(a)) for a in gaze)
    return np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]]) @ np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])


def add_complete_eyes(
    texture: UInt8[np.ndarray, "s s 3"],
    image: UInt8[np.ndarray, "s s 3"],
    openings: tuple[Bool[np.ndarray, "s s"], Bool[np.ndarray, "s s"]],
    irises: Irises,
) -> UInt8[np.ndarray, "s s 3"]:
    """Write both eyes, with iris and white completed under the lids, ``DROP`` below their place.

    Args:
        texture: of the eyes as they are seen.
        image: photograph on the canvas.
        openings: what the lids leave free, right and left.
        irises: on the canvas.
    """
    side = len(image)
    out = texture.copy()
    for opening, centre, radius in zip(openings, irises.xy * side, irises.radius * side, strict=True):
        reach = int(3.4 * radius) + 2
        x, y = (int(v) for v in centre)
        rows, columns = slice(y - reach, y + reach + 1), slice(x - reach, x + reach + 1)
        below = slice(rows.start + round(DROP * side), rows.stop + round(DROP * side))
        inside = rows.start >= 0 and columns.start >= 0 and columns.stop <= side and below.stop <= side
        if inside and opening[rows, columns].any():
            out[below, columns] = _complete(
                image[rows, columns].astype(np.float32), opening[rows, columns], centre - (x - reach, y - reach), radius
            )
    return out


def _complete(
    patch: Float[np.ndarray, "h w 3"], opening: Bool[np.ndarray, "h w"], centre: Float[np.ndarray, "2"], radius: float
) -> UInt8[np.ndarray, "h w 3"]:
    """One eye without lids: the iris averaged around its centre, the white (what is bright and grey; corners are skin) spread out."""
    sure = binary_erosion(opening, iterations=max(1, round(0.16 * radius)))
    sure = sure if sure.sum() > 12 else opening
    x, y = np.arange(patch.shape[1])[None] + 0.5 - centre[0], np.arange(patch.shape[0])[:, None] + 0.5 - centre[1]
    away = np.hypot(x, y) / radius
    white = sure & (away > 1.12)
    grey = patch.max(-1) - patch.min(-1)
    bright = patch.mean(-1) / max(float(np.percentile(patch.mean(-1)[white], 90)), 1.0) if white.any() else np.ones_like(grey)
    light = np.where(white, np.clip(1.2 - grey / np.maximum(patch.max(-1), 1) * 2.2, 0.05, 1) * np.clip(bright, 0.1, 1) ** 3, 0)
    spread = 0.8 * radius
    weight = gaussian_filter(light, spread)
    plain = (patch * light[..., None]).sum((0, 1)) / max(float(light.sum()), 1e-6) if light.sum() > 0.5 else np.full(3, 170.0)
    ball = (gaussian_filter(patch * light[..., None], (spread, spread, 0)) + 0.003 * plain) / (weight + 0.003)[..., None]
    ball *= (1 - 0.12 * np.clip(np.abs(y) / radius - 0.5, 0, 1))[..., None]  # the lids' shadow
    iris = _around(patch, sure & (away < 1.15), away)
    edge = np.clip((1.08 - away) / 0.16, 0, 1)[..., None]
    made = ball * (1 - edge) + iris * edge
    keep = gaussian_filter(sure.astype(np.float32), 0.7) * np.clip((2.1 - away) / 0.4, 0, 1)
    keep = np.where(away > 1.12, keep * np.clip(light * 2, 0, 1), keep * sure)[..., None]
    return np.clip(patch * keep + made * (1 - keep) + 0.5, 0, 255).astype(np.uint8)


def _around(patch: np.ndarray, seen: np.ndarray, away: np.ndarray) -> np.ndarray:
    """Median colour by distance from the centre; where nothing is seen, that of the nearest distance."""
    steps = np.linspace(0, 1.15, 9)
    colours, at = [], []
    for low, high in pairwise(steps):
        ring = seen & (away >= low) & (away < high)
        if ring.sum() >= 3:
            colours.append(np.median(patch[ring], 0))
            at.append((low + high) / 2)
    if not colours:
        return np.full_like(patch, 60.0)
    table = np.stack([np.interp(np.linspace(0, 1.15, 64), at, np.array(colours)[:, q]) for q in range(3)], 1)
    return np.stack([map_coordinates(table[:, q], [np.clip(away / 1.15, 0, 1) * 63], order=1) for q in range(3)], -1)
