"""What HTB-SR does at full size, compiled for CPUs: every pixel of a frame is read and written once instead of once per operation.

Each function has a readable twin that it equals up to rounding (tests/compose/test_layers_numba.py): ``head_skip.moved_head_torch``,
``torso.moved_torso_torch`` and ``layers.laid_over_torch``. Pictures that are looked up lie channels-last.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from core.compiled import compiled, run_parallel
from jaxtyping import Float
from torch import Tensor

from compose.fusion import FOG, RIM
from compose.layers import Head, Layers

BAND = 64
"""Rows of one job."""
ONE, HALF, ZERO = np.float32(1), np.float32(0.5), np.float32(0)


def channels_last(image: Float[Tensor, "b c h w"]) -> np.ndarray:
    """As an array (b, h, w, c); no copy of what is stored so."""
    return image.permute(0, 2, 3, 1).contiguous().numpy()


def moved_head(
    layer: Float[Tensor, "b c S S"],
    place: Float[Tensor, "b r r 2"],
    lids: Float[Tensor, "b 2 f f"],
    mouth: Float[Tensor, "b 4 S S"] | None,
    lashes: float,
) -> Float[Tensor, "b 4 S S"]:
    """The photograph's head as the frame shows it, over -1, with its opacity; lids only of layers that have shut eyes."""
    b, size = len(layer), layer.shape[-1]
    out, looked_up, where = torch.empty(b, 4, size, size), channels_last(layer), place.contiguous().numpy()
    shut = torch.zeros(b, 2, 1, 1) if layer.shape[1] == 4 else lids
    behind = torch.zeros(b, 4, 1, 1) if mouth is None else mouth
    shut, behind, result = (x.contiguous().numpy() for x in (shut, behind, out))
    lid_rows, mouth_rows, dark = [_filled_rows(x) for x in shut.max(1)], [_filled_rows(x[3]) for x in behind], np.float32(lashes)
    _in_bands(
        b, size,
        lambda i: partial(_head, looked_up[i], where[i], shut[i], lid_rows[i], behind[i], mouth_rows[i], dark, result[i]),
    )  # fmt: skip
    return out


def moved_torso(
    image: Float[Tensor, "b 3 S S"],
    mask: Float[Tensor, "b 1 S S"],
    offset: Float[Tensor, "b v v 2"],
    rgb: Float[Tensor, "b 3 s s"],
    logits: Float[Tensor, "b 1 s s"],
    floor: float,
) -> tuple[Float[Tensor, "b 3 S S"], Float[Tensor, "b 1 S S"]]:
    """The torso moved, with what the decoder adds to colours and odds; colours are 0 where its mask is."""
    b, size = len(image), image.shape[-1]
    colours, covers = torch.empty(b, 3, size, size), torch.empty(b, 1, size, size)
    source, there = channels_last(image), mask.contiguous().numpy()
    low = [x.contiguous().numpy() for x in (offset, rgb, logits)]
    _in_bands(
        b, size,
        lambda i: partial(_torso, source[i], there[i, 0], _filled_rows(there[i, 0])[0], low[0][i], low[1][i], low[2][i, 0],
                          np.float32(floor), colours[i].numpy(), covers[i, 0].numpy()),
    )  # fmt: skip
    return colours, covers


def laid_over_compiled(head: Head, behind: Layers, threshold: float) -> Float[Tensor, "b 3 S S"]:
    """``laid_over`` of a head with a photograph; torso and its mask at full size."""
    b, size = len(behind.background), behind.background.shape[-1]
    out = torch.empty(b, 3, size, size)
    tensors = head.drawn, head.photo, head.trust, head.weights, behind.torso, behind.mask, behind.background, out
    given = [x.contiguous().numpy() for x in tensors]
    scale, limits = size // head.weights.shape[-1], np.array([FOG, RIM, threshold], np.float32)
    corner = np.array([head.box.top * scale, head.box.left * scale])
    _in_bands(b, size, lambda i: partial(_layers, *(x[i] for x in given), corner, limits))
    return out


def _filled_rows(image: np.ndarray) -> np.ndarray:
    """First row with something in it, and the one behind the last."""
    rows = np.flatnonzero(image.max(1) > 0)
    return np.array([rows[0], rows[-1] + 1] if len(rows) else [0, 0])


def _in_bands(count: int, size: int, job: Callable[[int], Callable[[int, int], None]]) -> None:
    """Run ``job(picture)(top, bottom)`` for bands of rows on torch's number of threads."""
    run_parallel([partial(job(i), top, min(top + BAND, size)) for i in range(count) for top in range(0, size, BAND)])


@compiled
def _ticks(count: int, scale: np.float32, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For ``count`` places of an image enlarged by ``scale``: the two of ``size`` places they lie between, and the share of the second."""
    first, second, share = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count, np.float32)
    for i in range(count):
        at = max((np.float32(i) + HALF) / scale - HALF, ZERO)
        first[i] = min(int(at), size - 1)
        second[i] = min(first[i] + 1, size - 1)
        share[i] = at - np.float32(first[i])
    return first, second, share


@compiled
def _between(image: np.ndarray, y: int, scale: np.float32, low: int, high: int, out: np.ndarray) -> None:
    """One row of ``image`` (h, w) enlarged downwards only, as if its rows ended at ``low`` and before ``high``."""
    at = max((np.float32(y) + HALF) / scale - HALF, np.float32(low))
    first = min(int(at), high - 1)
    second, share = min(first + 1, high - 1), at - np.float32(first)
    above, below = image[first], image[second]
    for i in range(out.shape[0]):
        out[i] = above[i] + share * (below[i] - above[i])


@compiled
def _head(
    layer: np.ndarray, place: np.ndarray, lids: np.ndarray, lid_rows: np.ndarray, mouth: np.ndarray, mouth_rows: np.ndarray,
    lashes: np.float32, out: np.ndarray, top: int, bottom: int,
) -> None:  # fmt: skip
    size, coarse, fine = layer.shape[0], place.shape[0], lids.shape[1]
    last, middle = np.float32(size - 1), np.float32(size) * HALF
    scale, lid_scale = np.float32(size / coarse), np.float32(size / fine)
    left, right, share = _ticks(size, scale, coarse)
    lid_left, lid_right, lid_share = _ticks(size, lid_scale, fine)
    flat = place.reshape(coarse, 2 * coarse)
    row, lid, dark = np.empty(2 * coarse, np.float32), np.empty(fine, np.float32), np.empty(fine, np.float32)
    colour = np.empty(3, np.float32)
    for y in range(top, bottom):
        _between(flat, y, scale, 0, coarse, row)
        shutting = lid_rows[0] * lid_scale <= y < lid_rows[1] * lid_scale
        if shutting:
            _between(lids[0], y, lid_scale, lid_rows[0], lid_rows[1], lid)
            _between(lids[1], y, lid_scale, lid_rows[0], lid_rows[1], dark)
        opening = mouth_rows[0] <= y < mouth_rows[1]
        for x in range(size):
            a, b, f = 2 * left[x], 2 * right[x], share[x]
            u = min(max((row[a] + f * (row[b] - row[a]) + ONE) * middle - HALF, ZERO), last)
            v = min(max((row[a + 1] + f * (row[b + 1] - row[a + 1]) + ONE) * middle - HALF, ZERO), last)
            i, j = int(v), int(u)
            below, beside = min(i + 1, size - 1), min(j + 1, size - 1)
            down, across = v - np.float32(i), u - np.float32(j)
            w11 = down * across
            w10, w01 = down - w11, across - w11
            w00 = ONE - down - w01
            alpha = w00 * layer[i, j, 3] + w01 * layer[i, beside, 3] + w10 * layer[below, j, 3] + w11 * layer[below, beside, 3]
            for c in range(3):
                colour[c] = w00 * layer[i, j, c] + w01 * layer[i, beside, c] + w10 * layer[below, j, c] + w11 * layer[below, beside, c]
            if shutting:
                closed = lid[lid_left[x]] + lid_share[x] * (lid[lid_right[x]] - lid[lid_left[x]])
                shade = ONE - lashes * (dark[lid_left[x]] + lid_share[x] * (dark[lid_right[x]] - dark[lid_left[x]]))
                for c in range(3):
                    skin = w00 * layer[i, j, 4 + c] + w01 * layer[i, beside, 4 + c] + w10 * layer[below, j, 4 + c]
                    skin += w11 * layer[below, beside, 4 + c]
                    colour[c] = (colour[c] + closed * (skin - colour[c]) + ONE) * shade - ONE
            if opening:
                inside = min(mouth[3, y, x] * np.float32(2), ONE)
                for c in range(3):
                    colour[c] += inside * (mouth[c, y, x] - colour[c])
            for c in range(3):
                out[c, y, x] = (colour[c] + ONE) * alpha - ONE
            out[3, y, x] = alpha


@compiled
def _mirrored(at: np.float32, size: int) -> np.float32:
    """A place beyond the border of a row of ``size`` pixels goes back inside, as in ``grid_sample`` with reflection."""
    span, at = np.float32(size), abs(at + HALF)
    turns = np.floor(at / span)
    at -= turns * span
    at = (at if turns % 2 == 0 else span - at) - HALF
    return min(max(at, ZERO), span - ONE)


@compiled
def _torso(
    image: np.ndarray, mask: np.ndarray, highest: int, offset: np.ndarray, rgb: np.ndarray, logits: np.ndarray, floor: np.float32,
    colours: np.ndarray, covers: np.ndarray, top: int, bottom: int,
) -> None:  # fmt: skip
    """``highest`` is the first row of the mask with something in it."""
    size, coarse, fine = image.shape[0], offset.shape[0], rgb.shape[1]
    last, middle, span = np.float32(size - 1), np.float32(size) * HALF, ONE - np.float32(2) * floor
    scale, added = np.float32(size / coarse), np.float32(size / fine)
    left, right, share = _ticks(size, scale, coarse)
    a, b, f = _ticks(size, added, fine)
    flat = offset.reshape(coarse, 2 * coarse)
    row, odds, paint = np.empty(2 * coarse, np.float32), np.empty(fine, np.float32), np.empty((3, fine), np.float32)
    for y in range(top, bottom):
        _between(flat, y, scale, 0, coarse, row)
        _between(logits, y, added, 0, fine, odds)
        if np.float32(y) + row[1::2].max() * middle + ONE < highest and odds.max() <= ZERO:  # most rows: the torso is at the bottom
            covers[y] = ZERO
            colours[:, y] = ZERO
            continue
        for c in range(3):
            _between(rgb[c], y, added, 0, fine, paint[c])
        for x in range(size):
            m, n, g = 2 * left[x], 2 * right[x], share[x]
            u = np.float32(x) + (row[m] + g * (row[n] - row[m])) * middle
            v = np.float32(y) + (row[m + 1] + g * (row[n + 1] - row[m + 1])) * middle
            s, t = min(max(u, ZERO), last), min(max(v, ZERO), last)
            i, j = int(t), int(s)
            below, beside, down, across = min(i + 1, size - 1), min(j + 1, size - 1), t - np.float32(i), s - np.float32(j)
            upper = mask[i, j] + across * (mask[i, beside] - mask[i, j])
            lower = mask[below, j] + across * (mask[below, beside] - mask[below, j])
            there = min(max(upper + down * (lower - upper), ZERO), ONE) * span + floor
            lean = np.exp(-(odds[a[x]] + f[x] * (odds[b[x]] - odds[a[x]])))
            there = min(max((there / (there + (ONE - there) * lean) - floor) / span, ZERO), ONE)
            covers[y, x] = there
            if there <= ZERO:
                for c in range(3):
                    colours[c, y, x] = ZERO
                continue
            s, t = _mirrored(u, size), _mirrored(v, size)
            i, j = int(t), int(s)
            below, beside, down, across = min(i + 1, size - 1), min(j + 1, size - 1), t - np.float32(i), s - np.float32(j)
            for c in range(3):
                upper = image[i, j, c] + across * (image[i, beside, c] - image[i, j, c])
                lower = image[below, j, c] + across * (image[below, beside, c] - image[below, j, c])
                colours[c, y, x] = upper + down * (lower - upper) + paint[c, a[x]] + f[x] * (paint[c, b[x]] - paint[c, a[x]])


@compiled
def _layers(
    drawn: np.ndarray, photo: np.ndarray, trust: np.ndarray, weights: np.ndarray, torso: np.ndarray, mask: np.ndarray,
    background: np.ndarray, out: np.ndarray, corner: np.ndarray, limits: np.ndarray, top: int, bottom: int,
) -> None:  # fmt: skip
    size, coarse, (height, width) = out.shape[1], weights.shape[1], drawn.shape[1:]
    fog, rim, threshold = limits
    scale, half = np.float32(size / coarse), np.float32(height / trust.shape[1])
    left, right, share = _ticks(size, scale, coarse)
    a, b, f = _ticks(width, half, trust.shape[2])
    cover_row, trust_row = np.empty(coarse, np.float32), np.empty(trust.shape[2], np.float32)
    for y in range(top, bottom):
        for c in range(3):
            front, behind, cover, row = torso[c, y], background[c, y], mask[0, y], out[c, y]
            for x in range(size):
                row[x] = behind[x] + cover[x] * (front[x] - behind[x])
        inside = y - corner[0]
        if inside < 0 or inside >= height:
            continue
        _between(weights[0], y, scale, 0, coarse, cover_row)
        _between(trust[0], inside, half, 0, trust.shape[1], trust_row)
        for k in range(width):
            x = corner[1] + k
            trusted = trust_row[a[k]] + f[k] * (trust_row[b[k]] - trust_row[a[k]])
            cover = cover_row[left[x]] + share[x] * (cover_row[right[x]] - cover_row[left[x]])
            cover += trusted * (photo[3, y, x] - cover)
            if cover <= fog:
                continue
            presence = min((cover - fog) / (rim - fog), ONE)
            hidden = min((cover - fog) / (threshold - fog), ONE)
            for c in range(3):
                head = drawn[c, inside, k] + trusted * (photo[c, y, x] - drawn[c, inside, k])
                out[c, y, x] = presence - hidden + out[c, y, x] * (ONE - hidden) + head * presence
