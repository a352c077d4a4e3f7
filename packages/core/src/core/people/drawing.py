"""Meshes to samples: vertices are moved, posed and projected, triangles drawn with the texel that every sample shows, all compiled.

``core.raster`` finds triangles and weights for any purpose. Here only the texel, its texture and the distance are wanted, every vertex
is in front of the camera, and no second pass over the triangles is affordable; the rules of coverage are the same.
"""

# ruff: noqa: ANN001, ANN201, ANN202, D417
# compiled functions take arrays whose types numba finds out

import inspect
import math

import numba
import numpy as np

from core.camera import FIT_DISTANCE, FIT_FOCAL

_SLACK = 1e-3
"""Samples by which bounding boxes are widened: far more than their rounding error."""


def compiled(function):
    """Compile on first use; keep the machine code on disk where there is a writable place for it."""
    plain = inspect.unwrap(function)  # run-time type checkers wrap what they check; numba needs what was written
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(plain)
    except RuntimeError:  # neither the package folder nor the user's cache folder is writable
        return numba.njit(nogil=True, error_model="numpy")(plain)


@compiled
def place(vertices, uvw, anchors, weights, motion, rotation, trans, side, texture_side, out):
    """Follow the face, stand in camera space, project.

    Args:
        vertices, uvw, anchors, weights: of a ``HeadMesh``.
        motion: (m, 3) displacement of the face model's vertices.
        rotation, trans: (3, 3) and (3,), pose of the head.
        side: samples across the whole image.
        texture_side: texels across the textures.
        out: (v, 6) float32: column and row in samples (centres are whole numbers), then 1, texel column, texel row and w, all divided
            by the distance from the camera: linear over the image, so that blends of them are exact between vertices.
    """
    for n in range(vertices.shape[0]):
        x, y, z = float(vertices[n, 0]), float(vertices[n, 1]), float(vertices[n, 2])
        for k in range(3):
            weight = weights[n, k]
            if weight != 0:
                x += weight * motion[anchors[n, k], 0]
                y += weight * motion[anchors[n, k], 1]
                z += weight * motion[anchors[n, k], 2]
        px = rotation[0, 0] * x + rotation[0, 1] * y + rotation[0, 2] * z + trans[0]
        py = rotation[1, 0] * x + rotation[1, 1] * y + rotation[1, 2] * z + trans[1]
        pz = rotation[2, 0] * x + rotation[2, 1] * y + rotation[2, 2] * z + trans[2]
        near = 1.0 / (FIT_DISTANCE - pz)
        out[n, 0] = (FIT_FOCAL * px * near + 0.5) * side - 0.5
        out[n, 1] = (0.5 - FIT_FOCAL * py * near) * side - 0.5
        out[n, 2] = near
        out[n, 3] = (uvw[n, 0] * texture_side - 0.5 * uvw[n, 2]) * near
        out[n, 4] = (uvw[n, 1] * texture_side - 0.5 * uvw[n, 2]) * near
        out[n, 5] = uvw[n, 2] * near


@compiled
def _inside(edge, a, b):
    """Is the sample, shifted by (e, e^2), on the inner side of the edge ``a x + b y + c``? Shared edges belong to one triangle."""
    return edge > 0.0 or (edge == 0.0 and (a > 0.0 or (a == 0.0 and b > 0.0)))


@compiled
def _range(a, b, c, low, high):
    """First and one-past-last whole number within three coordinates and [low, high)."""
    first = max(math.ceil(min(a, b, c) - _SLACK), low)
    return first, min(math.floor(max(a, b, c) + _SLACK) + 1, high)


@compiled
def draw(placed, triangles, layer, outward, origin, near, texel, kind):
    """Draw a mesh with a z-buffer.

    Args:
        placed: vertices of ``place``.
        triangles, layer: of a ``HeadMesh``.
        outward: texture whose triangles are seen from outside only.
        origin: (row, column) of the first sample of the buffers.
        near: in and out, (h, w) float32, 1 / distance of what is nearest; 0 where nothing is.
        texel: out, (h, w, 2) float32, texel column and row.
        kind: out, (h, w) uint8, texture + 1; 0 where nothing is.
    """
    top, left = origin
    bottom, right = top + near.shape[0], left + near.shape[1]
    for t in range(triangles.shape[0]):
        p, q, r = placed[triangles[t, 0]], placed[triangles[t, 1]], placed[triangles[t, 2]]
        x0, y0, x1, y1, x2, y2 = float(p[0]), float(p[1]), float(q[0]), float(q[1]), float(r[0]), float(r[1])
        first, last = _range(x0, x1, x2, left, right)
        if first >= last:
            continue
        high, low = _range(y0, y1, y2, top, bottom)
        if high >= low:
            continue
        a0, b0, c0 = y1 - y2, x2 - x1, x1 * y2 - x2 * y1
        a1, b1, c1 = y2 - y0, x0 - x2, x2 * y0 - x0 * y2
        a2, b2, c2 = y0 - y1, x1 - x0, x0 * y1 - x1 * y0
        area = c0 + c1 + c2
        if area == 0.0 or (area > 0.0 and layer[t] == outward):
            continue
        if area < 0.0:
            a0, b0, c0, a1, b1, c1, a2, b2, c2, area = -a0, -b0, -c0, -a1, -b1, -c1, -a2, -b2, -c2, -area
        unit = 1.0 / area
        for row in range(high, low):
            r0, r1, r2 = b0 * row + c0, b1 * row + c1, b2 * row + c2
            for column in range(first, last):
                e0, e1, e2 = a0 * column + r0, a1 * column + r1, a2 * column + r2
                if _inside(e0, a0, b0) and _inside(e1, a1, b1) and _inside(e2, a2, b2):
                    e0, e1, e2 = e0 * unit, e1 * unit, e2 * unit
                    closeness = np.float32(e0 * p[2] + e1 * q[2] + e2 * r[2])
                    if closeness > near[row - top, column - left]:
                        w = 1.0 / (e0 * p[5] + e1 * q[5] + e2 * r[5])
                        near[row - top, column - left] = closeness
                        texel[row - top, column - left, 0] = (e0 * p[3] + e1 * q[3] + e2 * r[3]) * w
                        texel[row - top, column - left, 1] = (e0 * p[4] + e1 * q[4] + e2 * r[4]) * w
                        kind[row - top, column - left] = layer[t] + 1
