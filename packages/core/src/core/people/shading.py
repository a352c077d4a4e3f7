"""Fragments to pictures: texture look-up, soft fringe and supersampling in one compiled pass."""

import numba
import numpy as np

from core.people.geometry import FAR, NEAR

_A = (FAR + NEAR) / (FAR - NEAR)
_B = -2 * FAR * NEAR / (FAR - NEAR)
NO_LABEL = 255


def _compiled(function):  # noqa: ANN001, ANN202
    """Compile on first use; keep the machine code on disk where there is a writable place for it."""
    try:
        return numba.njit(cache=True, nogil=True, fastmath=False)(function)
    except RuntimeError:
        return numba.njit(nogil=True)(function)


@_compiled
def _texel(row, column, fragment, triangles, uvw, layer, textures, out):  # noqa: ANN001, ANN202
    """Bilinear RGBA of one fragment into ``out`` (4,) in 0..255; returns (layer, y, x) of the nearest texel."""
    t = int(fragment[row, column, 3]) - 1
    b0, b1 = fragment[row, column, 0], fragment[row, column, 1]
    b2 = 1.0 - b0 - b1
    i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
    w = b0 * uvw[i, 2] + b1 * uvw[j, 2] + b2 * uvw[k, 2]
    height, width = textures.shape[1], textures.shape[2]
    u = (b0 * uvw[i, 0] + b1 * uvw[j, 0] + b2 * uvw[k, 0]) / w * width - 0.5
    v = (b0 * uvw[i, 1] + b1 * uvw[j, 1] + b2 * uvw[k, 1]) / w * height - 0.5
    u = min(max(u, 0.0), width - 1.001)
    v = min(max(v, 0.0), height - 1.001)
    x, y = int(u), int(v)
    fx, fy = u - x, v - y
    n = layer[t]
    for c in range(4):
        top = textures[n, y, x, c] * (1 - fx) + textures[n, y, x + 1, c] * fx
        bottom = textures[n, y + 1, x, c] * (1 - fx) + textures[n, y + 1, x + 1, c] * fx
        out[c] = top * (1 - fy) + bottom * fy
    return n, int(v + 0.5), int(u + 0.5)


@_compiled
def shade(solid, fringe, solid_mesh, fringe_mesh, textures, classes, step, colour, alpha, depth, labels):  # noqa: ANN001, ANN202
    """Shade ``step x step`` fragments per pixel.

    Args:
        solid, fringe: fragments (h step, w step, 4) of the opaque and the soft mesh.
        solid_mesh, fringe_mesh: (triangles, uvw, layer) of either.
        textures: (n, th, tw, 4) uint8, RGB and alpha.
        classes: (n, th, tw) uint8 segmentation labels.
        step: fragments per pixel side.
        colour: out, (h, w, 3) float32, RGB times alpha, 0..255.
        alpha: out, (h, w) float32 in [0, 1].
        depth: out, (h, w) float32, mean camera distance of what is solid, 0 where nothing is.
        labels: out, (h, w) uint8, ``NO_LABEL`` where nothing is seen.
    """
    texel = np.zeros(4)
    share = 1.0 / (step * step)
    for row in range(colour.shape[0]):
        for column in range(colour.shape[1]):
            count = 0
            for sub in range(step * step):
                r, c = row * step + sub // step, column * step + sub % step
                behind = 1.0
                near = 1e9
                if solid[r, c, 3] > 0:
                    near = solid[r, c, 2]
                if fringe[r, c, 3] > 0 and fringe[r, c, 2] < near:
                    n, y, x = _texel(r, c, fringe, fringe_mesh[0], fringe_mesh[1], fringe_mesh[2], textures, texel)
                    a = texel[3] / 255.0
                    for q in range(3):
                        colour[row, column, q] += share * a * texel[q]
                    alpha[row, column] += share * a
                    behind = 1.0 - a
                    labels[row, column] = classes[n, y, x]
                    if near == 1e9 and a > 0.5:
                        depth[row, column] += _B / (fringe[r, c, 2] - _A)
                        count += 1
                if near < 1e9:
                    n, y, x = _texel(r, c, solid, solid_mesh[0], solid_mesh[1], solid_mesh[2], textures, texel)
                    for q in range(3):
                        colour[row, column, q] += share * behind * texel[q]
                    alpha[row, column] += share * behind
                    if behind > 0.5:
                        labels[row, column] = classes[n, y, x]
                    depth[row, column] += _B / (near - _A)
                    count += 1
            if count > 0:
                depth[row, column] /= count
