"""Samples to pictures: texture look-up, soft fringe, supersampling, torso, background and all labels in one compiled pass."""

# ruff: noqa: ANN001, ANN201, ANN202, D417
# compiled functions take arrays whose types numba finds out

import numpy as np

from core.people.drawing import compiled

NO_LABEL = 255


@compiled
def _sample(u, v, textures, n, out):
    """Bilinear RGBA in 0..255 of texture ``n`` into ``out`` (4,)."""
    x, y = int(u), int(v)
    fx, fy = u - np.float32(x), v - np.float32(y)
    one = np.float32(1.0)
    a, b, c, d = (one - fx) * (one - fy), fx * (one - fy), (one - fx) * fy, fx * fy
    for q in range(4):
        top = a * textures[n, y, x, q] + b * textures[n, y, x + 1, q]
        out[q] = top + c * textures[n, y + 1, x, q] + d * textures[n, y + 1, x + 1, q]


@compiled
def _within(value, size):
    """A texel coordinate that has a neighbour on its right."""
    return min(max(value, np.float32(0.0)), np.float32(size - 1.001))


@compiled
def _smooth_pixel(row, column, step, near, texel, kind, before, side, middle):
    """Do all samples show one smooth piece of a texture, with nothing of the fringe (``before``) in front?

    The piece's middle (texel column, row, 1 / distance) goes into ``middle``.
    """
    share, first = np.float32(1.0 / (step * step)), kind[row, column]
    mu, mv, md = np.float32(0), np.float32(0), np.float32(0)
    lu, lv, hu, hv = np.float32(1e9), np.float32(1e9), np.float32(-1e9), np.float32(-1e9)
    for r in range(row, row + step):
        for c in range(column, column + step):
            if kind[r, c] != first or kind[r, c] == 0 or before[r, c] > near[r, c]:
                return False
            u, v = _within(texel[r, c, 0], side), _within(texel[r, c, 1], side)
            mu, mv, md = mu + share * u, mv + share * v, md + share * near[r, c]
            lu, lv, hu, hv = min(lu, u), min(lv, v), max(hu, u), max(hv, v)
    middle[0], middle[1], middle[2] = mu, mv, md
    return hu - lu < 1.5 and hv - lv < 1.5


@compiled
def _add(u, v, n, wardrobe, weight, fringe, pixel, tone):
    """Blend one sample's colour (and alpha, if ``fringe``) into ``pixel`` (RGBA); returns its opacity and label."""
    textures, classes, gain = wardrobe
    u, v = _within(u, textures.shape[1]), _within(v, textures.shape[1])
    _sample(u, v, textures, n, tone)
    a = tone[3] / np.float32(255.0) if fringe else np.float32(1.0)
    for q in range(3):
        pixel[q] += weight * a * gain[n] * tone[q]
    pixel[3] += weight * a
    return a, classes[n, int(v + 0.5), int(u + 0.5)]


@compiled
def _mixed_pixel(row, column, step, solid, fringe, wardrobe, pixel, tone):
    """Average of all samples of a pixel into ``pixel`` (RGBA, premultiplied); returns mean distance and label."""
    near, texel, kind = solid
    before, thread, soft = fringe
    share, one = np.float32(1.0 / (step * step)), np.float32(1.0)
    far, count, label = np.float32(0), 0, NO_LABEL
    for r in range(row, row + step):
        for c in range(column, column + step):
            seen, behind = kind[r, c] > 0, one
            if soft[r, c] > 0 and before[r, c] > near[r, c]:
                a, label = _add(thread[r, c, 0], thread[r, c, 1], int(soft[r, c]) - 1, wardrobe, share, True, pixel, tone)
                behind = one - a
                if not seen and a > 0.5:
                    far, count = far + one / before[r, c], count + 1
            if seen:
                _, own = _add(texel[r, c, 0], texel[r, c, 1], int(kind[r, c]) - 1, wardrobe, share * behind, False, pixel, tone)
                if behind > 0.5:
                    label = own
                far, count = far + one / near[r, c], count + 1
    return far / np.float32(max(count, 1)), label


@compiled
def shade(solid, fringe, step, wardrobe, colour, depth, labels):
    """Shade ``step x step`` samples per pixel; where they show one smooth piece of one texture it is looked up once, in its middle.

    Args:
        solid, fringe: (1 / distance, texel, texture + 1) of the opaque and the soft mesh, (h step, w step).
        step: samples per pixel side.
        wardrobe: textures (n, t, t, 4) uint8 RGB and alpha, their segmentation labels (n, t, t) and brightness (n,) float32.
        colour: out, (h, w, 4) float32, RGB times alpha 0..255 and alpha 0..1; starts at zero.
        depth: out, (h, w) float32, mean distance of what is solid; starts at zero.
        labels: out, (h, w) uint8; untouched where nothing is seen.
    """
    near, texel, kind = solid
    before, soft = fringe[0], fringe[2]
    textures, classes, gain = wardrobe
    side = textures.shape[1]
    tone, middle, pixel = np.zeros(4, np.float32), np.zeros(3, np.float32), np.zeros(4, np.float32)
    for row in range(colour.shape[0]):
        for column in range(colour.shape[1]):
            r, c = row * step, column * step
            if _smooth_pixel(r, c, step, near, texel, kind, before, side, middle):
                n, u, v = int(kind[r, c]) - 1, middle[0], middle[1]
                _sample(u, v, textures, n, tone)
                for q in range(3):
                    colour[row, column, q] = gain[n] * tone[q]
                colour[row, column, 3] = np.float32(1.0)
                depth[row, column], labels[row, column] = np.float32(1.0) / middle[2], classes[n, int(v + 0.5), int(u + 0.5)]
            elif _anything(r, c, step, kind, soft):
                pixel[:] = 0
                depth[row, column], labels[row, column] = _mixed_pixel(r, c, step, solid, fringe, wardrobe, pixel, tone)
                for q in range(4):  # assigning the array would compile the formatting of an error message, for seconds
                    colour[row, column, q] = pixel[q]


@compiled
def _anything(row, column, step, kind, soft):
    """Is anything drawn in a pixel?"""
    for r in range(row, row + step):
        for c in range(column, column + step):
            if kind[r, c] > 0 or soft[r, c] > 0:
                return True
    return False


@compiled
def _taps(scale, start, count, size):
    """For ``count`` pixels of a line: the two torso pixels that it lies between (mirrored at the borders) and the share of the second."""
    pair, share = np.empty((2, count), np.int64), np.empty(count, np.float32)
    for n in range(count):
        position = scale * n + start
        first = int(np.floor(position))
        share[n] = position - first
        for k in range(2):
            i = abs(first + k) % (2 * size - 2)
            pair[k, n] = min(i, 2 * size - 2 - i)
    return pair, share


@compiled
def _byte(value):
    return np.uint8(min(max(value + np.float32(0.5), np.float32(0.0)), np.float32(255.0)))


@compiled
def wear(torso, torso_map, worn, classes):
    """The flat torso as this view shows it.

    Args:
        torso: RGB uint8, alpha float32 and labels of the layer.
        torso_map: (scale, x, y): torso pixel = scale * image pixel + (x, y); mirrored beyond the layer's borders.
        worn: out, (s, s, 4) float32, RGB times alpha 0..255 and alpha 0..1; starts at zero.
        classes: out, (s, s) uint8.
    """
    image, alpha, kinds = torso
    one = np.float32(1.0)
    columns, across = _taps(torso_map[0], torso_map[1], worn.shape[1], alpha.shape[1])
    rows, down = _taps(torso_map[0], torso_map[2], worn.shape[0], alpha.shape[0])
    for row in range(worn.shape[0]):
        top, bottom, fy = rows[0, row], rows[1, row], down[row]
        near_row = bottom if fy >= 0.5 else top
        for column in range(worn.shape[1]):
            left, right, fx = columns[0, column], columns[1, column], across[column]
            a, b = (one - fy) * (one - fx) * alpha[top, left], (one - fy) * fx * alpha[top, right]
            c, d = fy * (one - fx) * alpha[bottom, left], fy * fx * alpha[bottom, right]
            classes[row, column] = kinds[near_row, right if fx >= 0.5 else left]
            worn[row, column, 3] = a + b + c + d
            if worn[row, column, 3] > 0:
                for q in range(3):
                    upper = a * image[top, left, q] + b * image[top, right, q]
                    worn[row, column, q] = upper + c * image[bottom, left, q] + d * image[bottom, right, q]


@compiled
def compose(colour, corner, worn, plate, pictures, masks, labels):
    """Put head, torso and background together.

    Args:
        colour: head of ``shade``.
        corner: row and column of its first pixel in the picture.
        worn: torso of ``wear``.
        plate: background, uint8 RGB.
        pictures: out, uint8 RGB: everything, the head over black, and the torso over black where the head does not hide it.
        masks: head alpha and visible torso alpha, out; distance, in with what ``shade`` found and out without what is mostly clear.
        labels: in, those of the head; ``classes`` of the torso; out, those of the picture.
    """
    image, head, body = pictures
    head_alpha, body_alpha, depth = masks
    own, cloth = labels
    one = np.float32(1.0)
    bottom, right = corner[0] + colour.shape[0], corner[1] + colour.shape[1]
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            a, inside = np.float32(0.0), corner[0] <= row < bottom and corner[1] <= column < right
            r, c = (row - corner[0], column - corner[1]) if inside else (0, 0)
            if inside:
                a = colour[r, c, 3]
            clear = one - a
            b = clear * worn[row, column, 3]
            if a < 0.5:
                depth[row, column] = 0
                own[row, column] = cloth[row, column] if worn[row, column, 3] >= 0.5 else 0
            head_alpha[row, column], body_alpha[row, column] = a, b
            behind = clear - b
            for q in range(3):
                h = colour[r, c, q] if inside else np.float32(0.0)
                t = clear * worn[row, column, q]
                head[row, column, q], body[row, column, q] = _byte(h), _byte(t)
                image[row, column, q] = _byte(h + t + behind * plate[row, column, q])
