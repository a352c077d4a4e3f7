"""The rim of the face, which runs back to the ears along the photograph's own rays, so that the photograph hardly shows it.

What it does show there, a pixel or two of hair, ear or earring, would be drawn out into streaks when the head turns. The rim wears the
cheek beside it instead, mirrored at the line where the rim begins, so that skin goes on as far as the ear.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from core.camera import FIT_DISTANCE, FIT_FOCAL
from core.people.canvas import to_canvas
from core.people.geometry import HeadMesh, project

EDGE_ON = ((0.15, 0.3), (0.08, 0.2))
"""Cosines between surface and line of sight below which the photograph's own pixels are not used, and from which on they are: for the
outermost ring of triangles and for the next, where cheeks that are turned away end."""
SQUEEZE = 0.3
"""Texture per length of the rim."""
MARGIN = 0.03
"""How far inside the cheek the rim begins: the outline itself mixes with what is behind; 3DMM units."""


def worn_rim(face: HeadMesh, posed: Float[np.ndarray, "v 3"], loop: Int[np.ndarray, " n"]) -> HeadMesh:
    """Let the outer triangles of the face wear the skin beside them where the photograph sees them edge-on.

    Args:
        face: mesh of the face with the photograph projected onto it.
        posed: its vertices in camera space of the photograph.
        loop: outline of the mesh.
    """
    xy, distance = project(posed), FIT_DISTANCE - posed[:, 2:]
    inward, ring = _inward(posed, xy), _rings(face.triangles, loop, len(posed))
    for number in (1, 0):
        outer, inner, share = _edge_on(posed, face.triangles, ring, number)
        length = np.linalg.norm(posed[outer] - posed[inner], axis=1)
        begin = np.zeros(len(posed))
        np.maximum.at(begin, inner, share)
        xy += (MARGIN * begin)[:, None] * inward
        found = xy[inner] + inward[inner] * (SQUEEZE * length)[:, None]
        xy[outer] += share[:, None] * (found - xy[outer])
    return replace(face, uvw=np.concatenate([to_canvas(xy) * distance, distance], 1))


def _rings(triangles: Int[np.ndarray, "f 3"], loop: Int[np.ndarray, " n"], count: int) -> Int[np.ndarray, " v"]:
    """How many edges every vertex lies inside the outline: 0, 1, 2; everything else is 3."""
    ring = np.full(count, 3)
    ring[loop] = 0
    for number in (1, 2):
        near = triangles[(ring[triangles] == number - 1).any(1)]
        ring[near[ring[near] == 3]] = number
    return ring


def _inward(posed: Float[np.ndarray, "v 3"], xy: Float[np.ndarray, "v 2"]) -> Float[np.ndarray, "v 2"]:
    """One 3DMM unit sideways to the middle of the face, photograph coordinates; shorter on a cheek that the head turns away."""
    unit = FIT_FOCAL / float((FIT_DISTANCE - posed[:, 2]).mean())
    down = xy[152] - xy[10]
    across = np.array([down[1], -down[0]]) / np.linalg.norm(down)
    offset = (xy - (xy[10] + xy[152]) / 2) @ across
    half = float(np.linalg.norm(posed[234] - posed[454])) / 2
    return (-np.sign(offset) * np.clip(np.abs(offset) / (half * unit), 0.2, 1.0) * unit)[:, None] * across


def _edge_on(
    posed: Float[np.ndarray, "v 3"], triangles: Int[np.ndarray, "f 3"], ring: Int[np.ndarray, " v"], number: int
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Vertices of a ring, the nearest one of the next ring for each, and 0..1 how far what is between them is seen edge-on."""
    steps = ring[triangles]
    band = triangles[(steps.min(1) == number) & (steps.max(1) == number + 1)]
    corners = posed[band]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    ray = np.array([0.0, 0.0, FIT_DISTANCE]) - corners.mean(1)
    cosine = (normal * ray).sum(1) / np.maximum(np.linalg.norm(normal, axis=1) * np.linalg.norm(ray, axis=1), 1e-12)
    low, high = EDGE_ON[number]
    outer = np.flatnonzero(ring == number)
    outer = outer[np.isin(outer, band)]
    inner, share = np.empty_like(outer), np.empty(len(outer))
    for n, vertex in enumerate(outer):
        touching = (band == vertex).any(1)
        around = band[touching][ring[band[touching]] == number + 1]
        inner[n] = around[np.linalg.norm(posed[around] - posed[vertex], axis=1).argmin()]
        share[n] = np.clip((high - cosine[touching].mean()) / (high - low), 0, 1)
    return outer, inner, share
