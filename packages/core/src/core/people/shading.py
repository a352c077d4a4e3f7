"""Fragments to pictures: texture look-up, soft fringe and supersampling in one compiled pass."""

# ruff: noqa: ANN001, ANN201, ANN202, D417
# compiled functions take arrays whose types numba finds out

import inspect

import numba
import numpy as np

from core.people.geometry import FAR, NEAR

_A = (FAR + NEAR) / (FAR - NEAR)
_B = -2 * FAR * NEAR / (FAR - NEAR)
NO_LABEL = 255


def _compiled(function):
    """Compile on first use; keep the machine code on disk where there is a writable place for it."""
    plain = inspect.unwrap(function)  # run-time type checkers wrap what they check; numba needs what was written
    try:
        return numba.njit(cache=True, nogil=True)(plain)
    except RuntimeError:  # neither the package folder nor the user's cache folder is writable
        return numba.njit(nogil=True)(plain)


@_compiled
def _locate(row, column, fragment, triangles, uvw, height, width):
    """Texel coordinates (u, v) that one fragment shows."""
    t = int(fragment[row, column, 3]) - 1
    b0, b1 = fragment[row, column, 0], fragment[row, column, 1]
    b2 = np.float32(1.0) - b0 - b1
    i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
    w = b0 * uvw[i, 2] + b1 * uvw[j, 2] + b2 * uvw[k, 2]
    u = (b0 * uvw[i, 0] + b1 * uvw[j, 0] + b2 * uvw[k, 0]) / w * width - np.float32(0.5)
    v = (b0 * uvw[i, 1] + b1 * uvw[j, 1] + b2 * uvw[k, 1]) / w * height - np.float32(0.5)
    return min(max(u, np.float32(0.0)), np.float32(width - 1.001)), min(max(v, np.float32(0.0)), np.float32(height - 1.001))


@_compiled
def _sample(u, v, texture, out):
    """Bilinear RGBA in 0..255 into ``out`` (4,)."""
    x, y = int(u), int(v)
    fx, fy = u - np.float32(x), v - np.float32(y)
    one = np.float32(1.0)
    a, b, c, d = (one - fx) * (one - fy), fx * (one - fy), (one - fx) * fy, fx * fy
    for q in range(4):
        out[q] = a * texture[y, x, q] + b * texture[y, x + 1, q] + c * texture[y + 1, x, q] + d * texture[y + 1, x + 1, q]


@_compiled
def _plain(solid, fringe, row, column, step, layer):
    """The one texture that all samples of a pixel show, or -1 where an outline, a fringe or several textures meet."""
    first = -1
    for sub in range(step * step):
        r, c = row * step + sub // step, column * step + sub % step
        t = int(solid[r, c, 3]) - 1
        if t < 0 or (fringe[r, c, 3] > 0 and fringe[r, c, 2] < solid[r, c, 2]):
            return -1
        if first < 0:
            first = int(layer[t])
        elif first != layer[t]:
            return -1
    return first


@_compiled
def _smooth_pixel(n, solid, mesh, textures, classes, step, row, column, colour, alpha, depth, labels, texel):
    """Shade a pixel that shows one smooth piece of texture ``n`` with a single look-up; False if the piece is not smooth."""
    share = np.float32(1.0 / (step * step))
    mu, mv, md = np.float32(0), np.float32(0), np.float32(0)
    lu, lv, hu, hv = np.float32(1e9), np.float32(1e9), np.float32(-1), np.float32(-1)
    for sub in range(step * step):
        r, c = row * step + sub // step, column * step + sub % step
        u, v = _locate(r, c, solid, mesh[0], mesh[1], textures.shape[1], textures.shape[2])
        mu, mv, md = mu + share * u, mv + share * v, md + share * solid[r, c, 2]
        lu, lv, hu, hv = min(lu, u), min(lv, v), max(hu, u), max(hv, v)
    if hu - lu >= 1.5 or hv - lv >= 1.5:
        return False
    _sample(mu, mv, textures[n], texel)
    for q in range(3):
        colour[row, column, q] = texel[q]
    alpha[row, column] = np.float32(1.0)
    depth[row, column] = _B / (md - _A)
    labels[row, column] = classes[n, int(mv + 0.5), int(mu + 0.5)]
    return True


@_compiled
def _add(r, c, fragments, mesh, textures, classes, weight, fringe, pixel, texel):
    """Blend one fragment's colour (and alpha, if ``fringe``) into ``pixel`` (RGBA); returns its opacity and label."""
    u, v = _locate(r, c, fragments, mesh[0], mesh[1], textures.shape[1], textures.shape[2])
    n = int(mesh[2][int(fragments[r, c, 3]) - 1])
    _sample(u, v, textures[n], texel)
    a = texel[3] / np.float32(255.0) if fringe else np.float32(1.0)
    for q in range(3):
        pixel[q] += weight * a * texel[q]
    pixel[3] += weight * a
    return a, classes[n, int(v + 0.5), int(u + 0.5)]


@_compiled
def _mixed_pixel(solid, fringe, solid_mesh, fringe_mesh, textures, classes, step, row, column, pixel, texel):
    """Average of all samples of a pixel into ``pixel`` (RGBA, premultiplied); returns mean depth and label."""
    share, one = np.float32(1.0 / (step * step)), np.float32(1.0)
    pixel[:] = 0
    far, count, label = np.float32(0), 0, NO_LABEL
    for sub in range(step * step):
        r, c = row * step + sub // step, column * step + sub % step
        seen = solid[r, c, 3] > 0
        behind = one
        if fringe[r, c, 3] > 0 and (not seen or fringe[r, c, 2] < solid[r, c, 2]):
            a, label = _add(r, c, fringe, fringe_mesh, textures, classes, share, True, pixel, texel)
            behind = one - a
            if not seen and a > 0.5:
                far, count = far + _B / (fringe[r, c, 2] - _A), count + 1
        if seen:
            _, kind = _add(r, c, solid, solid_mesh, textures, classes, share * behind, False, pixel, texel)
            if behind > 0.5:
                label = kind
            far, count = far + _B / (solid[r, c, 2] - _A), count + 1
    return far / max(count, 1), label


@_compiled
def shade(solid, fringe, solid_mesh, fringe_mesh, textures, classes, step, colour, alpha, depth, labels):
    """Shade ``step x step`` fragments per pixel; where they show one smooth piece of one texture it is looked up once, in their middle.

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
    texel, pixel = np.zeros(4, np.float32), np.zeros(4, np.float32)
    for row in range(colour.shape[0]):
        for column in range(colour.shape[1]):
            n = _plain(solid, fringe, row, column, step, solid_mesh[2])
            if n >= 0 and _smooth_pixel(n, solid, solid_mesh, textures, classes, step, row, column, colour, alpha, depth, labels, texel):
                continue
            depth[row, column], labels[row, column] = _mixed_pixel(
                solid, fringe, solid_mesh, fringe_mesh, textures, classes, step, row, column, pixel, texel
            )
            colour[row, column] = pixel[:3]
            alpha[row, column] = pixel[3]
