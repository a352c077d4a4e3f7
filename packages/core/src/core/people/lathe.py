"""Shells about a head: hair, caps and scarves as surfaces from the crown outwards and down.

Along every azimuth a path leaves the crown, follows the head at a thickness, and from its widest place on may hang straight down. A shell
covers every path from the crown to its own end, so that its lower edge is smooth.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from core.people.atlas import disc_uv, flat_uvw
from core.people.geometry import HeadMesh
from core.people.skull import Head, vertex_normals

AROUND, ROWS = 168, 40
_DOWN = np.linspace(0.004, 2.6, 72)
"""Polar angles at which paths are measured."""


@dataclass(frozen=True)
class Paths:
    """Ways from the crown down, one per azimuth.

    Attributes:
        centre: of the head.
        angle: azimuths (n,).
        out: distance from the upright axis (n, k).
        y: canonical height (n, k).
        gone: length of the way up to each point (n, k).
        end: length at which each ends (n,).
        longest: the longest of all; the rim of the disc.
    """

    centre: Float[np.ndarray, "3"]
    angle: Float[np.ndarray, " n"]
    out: Float[np.ndarray, "n k"]
    y: Float[np.ndarray, "n k"]
    gone: Float[np.ndarray, "n k"]
    end: Float[np.ndarray, " n"]
    longest: float

    @classmethod
    def over(
        cls,
        head: Head,
        thickness: Callable[[np.ndarray, np.ndarray], np.ndarray],
        end: Float[np.ndarray, " n"],
        hang: float = 0.0,
        flare: float = 0.0,
    ) -> "Paths":
        """Measure the ways over a head.

        Args:
            head: to cover.
            thickness: of azimuth and height above the end (both (n, k)), 3DMM units.
            end: canonical y where each of ``AROUND`` azimuths ends.
            hang: 0 follows the head, 1 hangs down from its widest place.
            flare: how much what hangs widens per unit of height.
        """
        angle = azimuths()
        a, down = np.meshgrid(angle, _DOWN, indexing="ij")
        way = np.stack([np.sin(down) * np.sin(a), np.cos(down), np.sin(down) * np.cos(a)], -1)
        radius = head.radius(way.reshape(-1, 3)).reshape(a.shape)
        y = head.skull.centre[1] + radius * np.cos(down)
        radius = radius + thickness(a, y - end[:, None])
        out, y = radius * np.sin(down), head.skull.centre[1] + radius * np.cos(down)
        y = np.minimum.accumulate(y, 1)
        widest = np.maximum.accumulate(out, 1)
        out = out + hang * (widest - out) * (down > 1.2)
        more = np.linspace(0.03, 1, 24) * max(float(y[:, -1].max() - end.min()) + 0.3, 0.1)
        y = np.concatenate([y, y[:, -1:] - more], 1)
        out = np.concatenate([out, out[:, -1:].repeat(24, 1)], 1)
        out = out + flare * np.clip(head.skull.centre[1] - 0.2 - y, 0, 2)
        step = np.hypot(np.diff(out, axis=1), np.diff(y, axis=1)) + 1e-5
        gone = np.concatenate([out[:, :1], out[:, :1] + np.cumsum(step, 1)], 1)
        below = np.argmax(y < end[:, None], 1)
        n = np.arange(len(angle))
        share = (y[n, below - 1] - end) / np.maximum(y[n, below - 1] - y[n, below], 1e-6)
        reach = gone[n, below - 1] + np.clip(share, 0, 1) * (gone[n, below] - gone[n, below - 1])
        return cls(head.skull.centre, angle, out, y, gone, reach, float(reach.max()) * 1.15)

    def at(self, share: Float[np.ndarray, " r"], lift: Float[np.ndarray, " r"] | float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """Points (r, n, 3) at shares of every way, moved outwards by ``lift``, and their places on the disc (r, n, 2)."""
        want = np.asarray(share)[:, None] * self.end
        lift = np.broadcast_to(lift, np.shape(share))[:, None]
        out, y = np.empty_like(want), np.empty_like(want)
        for n in range(len(self.angle)):
            out[:, n], y[:, n] = np.interp(want[:, n], self.gone[n], self.out[n]), np.interp(want[:, n], self.gone[n], self.y[n])
        top = np.clip(1 - out / 0.5, 0, 1)
        out, y = out + lift * (1 - top), y + lift * top
        points = self.centre * [1, 0, 1] + np.stack([out * np.sin(self.angle), y, out * np.cos(self.angle)], -1)
        uv = disc_uv(np.broadcast_to(self.angle, want.shape).ravel(), (want / self.longest).ravel())
        return points, uv.reshape(*want.shape, 2)

    def shell(self, share: Float[np.ndarray, " r"], lift: Float[np.ndarray, " r"] | float, layer: int) -> tuple[HeadMesh, np.ndarray]:
        """A shell over shares of the ways that wears one texture, and its outward normals."""
        points, uv = self.at(share, lift)
        rows, n = points.shape[:2]
        return grid_mesh(points, uv, np.ones((rows - 1, n), bool), layer)


def azimuths() -> Float[np.ndarray, " n"]:
    """All azimuths of a shell, radians, starting behind."""
    return np.linspace(-np.pi, np.pi, AROUND, endpoint=False)


def grid_mesh(points: np.ndarray, uv: np.ndarray, keep: np.ndarray, layer: int) -> tuple[HeadMesh, np.ndarray]:
    """A still mesh of a (rows, n) grid that is closed sideways; ``keep`` says which cells (rows - 1, n) exist."""
    rows, n = points.shape[:2]
    ring = np.arange(rows * n).reshape(rows, n)
    a, b, c, d = ring[:-1], np.roll(ring[:-1], -1, 1), ring[1:], np.roll(ring[1:], -1, 1)
    triangles = np.concatenate([np.stack([a, c, b], -1)[keep], np.stack([b, c, d], -1)[keep]])
    flat = points.reshape(-1, 3)
    still = np.zeros_like(flat)
    mesh = HeadMesh(flat, still.astype(np.int64), still, flat_uvw(uv.reshape(-1, 2)), triangles, np.full(len(triangles), layer, np.uint8))
    return mesh, vertex_normals(flat, triangles)
