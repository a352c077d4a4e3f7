"""The steps of ``core.render.march_numba``, compiled: texels, activation, weights of intervals, where to sample again, colours."""

import numpy as np

from core.render.vector_math import HALF, ONE, ZERO, compiled, exp, softplus

THIRD = np.float32(1 / 3)
BLOCK = 2048
"""Numbers worked on at once: what they need stays in the first cache."""


@compiled
def locate(ray: np.ndarray, depths: np.ndarray, side: int, scale: np.float32, cells: np.ndarray, shares: np.ndarray) -> None:
    """Where samples of a ray (origin and direction) lie on the three axes of a table with one texel of zeros around it.

    ``cells`` (3, n) become the texels to the left, ``shares`` (2, 3, n) the weights of these and of the next; 0 where nothing is met.
    """
    half = HALF * np.float32(side)
    for axis in range(3):
        first = (ray[axis] * scale + ONE) * half + HALF
        slope = ray[3 + axis] * scale * half
        for k in range(depths.shape[0]):
            position = first + depths[k] * slope
            inside = position > ZERO and position < np.float32(side) + ONE
            position = position if inside else ZERO
            cell = np.int32(position)
            right = position - np.float32(cell)
            cells[axis, k] = cell
            shares[0, axis, k] = (ONE if inside else ZERO) - right
            shares[1, axis, k] = right


@compiled
def _corner(
    plane: int, k: int, side: int, axes: np.ndarray, cells: np.ndarray, shares: np.ndarray
) -> tuple[int, np.float32, np.float32, np.float32, np.float32]:
    """Number of the upper left texel that a sample meets, and a third of the weights of all four."""
    u, v = axes[plane, 0], axes[plane, 1]
    left, right = shares[0, u, k] * THIRD, shares[1, u, k] * THIRD
    upper, lower = shares[0, v, k], shares[1, v, k]
    at = (plane * (side + 2) + np.int64(cells[v, k])) * (side + 2) + np.int64(cells[u, k])
    return at, left * upper, right * upper, left * lower, right * lower


@compiled
def embed(
    table: np.ndarray, side: int, axes: np.ndarray, bias: np.ndarray, k: int, cells: np.ndarray, shares: np.ndarray, row: int,
    out: np.ndarray, lanes: tuple,
) -> None:  # fmt: skip
    """Hidden layer before its activation of one sample, into a row of ``out``; no array is cut out of another, which would take longer.

    ``lanes`` is as long as the layer is wide: the compiler knows tuples' lengths.
    """
    p, p0, p1, p2, p3 = _corner(0, k, side, axes, cells, shares)
    q, q0, q1, q2, q3 = _corner(1, k, side, axes, cells, shares)
    r, r0, r1, r2, r3 = _corner(2, k, side, axes, cells, shares)
    below = side + 2
    for j in range(len(lanes)):
        first = p0 * table[p, j] + p1 * table[p + 1, j] + p2 * table[p + below, j] + p3 * table[p + below + 1, j]
        second = q0 * table[q, j] + q1 * table[q + 1, j] + q2 * table[q + below, j] + q3 * table[q + below + 1, j]
        third = r0 * table[r, j] + r1 * table[r + 1, j] + r2 * table[r + below, j] + r3 * table[r + below + 1, j]
        out[row, j] = bias[j] + first + second + third


@compiled
def activate(
    rows: np.ndarray, soft: bool, sigma_row: np.ndarray, sigma_bias: np.float32, e: np.ndarray, bits: np.ndarray, power: np.ndarray,
    lanes: tuple, out: np.ndarray,
) -> None:  # fmt: skip
    """Softplus (``soft``) or silu of rows (n, hidden) in place, and their densities (n,); ``e``, ``bits``, ``power``: room for a block."""
    flat = rows.reshape(-1)
    for start in range(0, flat.shape[0], BLOCK):
        part = flat[start : start + BLOCK]
        if soft:
            softplus(part, e[: part.shape[0]], bits, power)
        else:
            for i in range(part.shape[0]):
                e[i] = -part[i]
            exp(e[: part.shape[0]], bits, power)
            for i in range(part.shape[0]):
                part[i] /= ONE + e[i]
    for k in range(rows.shape[0]):
        value = sigma_bias
        for j in range(len(lanes)):
            value += rows[k, j] * sigma_row[j]
        out[k] = value


@compiled
def weigh(
    depths: np.ndarray, density: np.ndarray, gain: np.float32, out: np.ndarray, e: np.ndarray, bits: np.ndarray, power: np.ndarray
) -> None:
    """Weights of the intervals behind sorted samples, all (rays, samples); there is none behind the last."""
    rays, n = depths.shape
    for r in range(rays):
        for i in range(n - 1):
            out[r, i] = (density[r, i] + density[r, i + 1]) * HALF - ONE
        out[r, n - 1] = ZERO
    flat = out.reshape(-1)
    softplus(flat, e[: flat.shape[0]], bits, power)
    for r in range(rays):
        for i in range(n - 1):
            out[r, i] *= gain * (depths[r, i] - depths[r, i + 1])
    exp(flat, bits, power)
    for r in range(rays):
        light = ONE
        for i in range(n - 1):
            left = light * out[r, i]
            out[r, i] = light - left
            light = left
        out[r, n - 1] = ZERO


@compiled
def place(depths: np.ndarray, weights: np.ndarray, floor: np.float32, published: bool, fine: np.ndarray, share: np.ndarray) -> None:
    """Depths distributed like the smoothed weights: ``core.render.sampling.importance`` without noise, by the textbook or as published.

    As published the bins lie between the middles of intervals, and the first and the last weight are left out.
    """
    n = depths.shape[0] - 1
    first, count = (1, n - 2) if published else (0, n)
    total = ZERO
    for i in range(count):
        at = i + first
        before = max(weights[max(at - 1, 0)], weights[at])
        after = max(weights[at], weights[min(at + 1, n - 1)])
        share[i] = (before + after) * HALF + floor + np.float32(1e-5)
        total += share[i]
    i, low = 0, ZERO
    width = share[0] / total
    for k in range(fine.shape[0]):
        u = (np.float32(k) + HALF) / np.float32(fine.shape[0])
        while i < count - 1 and low + width <= u:
            low += width
            i += 1
            width = share[i] / total
        start, end = depths[i], depths[i + 1]
        if published:
            start, end = (start + end) * HALF, (end + depths[i + 2]) * HALF
        fine[k] = start + min(max((u - low) / width, ZERO), ONE) * (end - start)


@compiled
def merge(depths: np.ndarray, coarse: int, order: np.ndarray) -> None:
    """Indices that sort ``depths``, whose first ``coarse`` entries and whose others are sorted."""
    i, j = 0, coarse
    for k in range(depths.shape[0]):
        if j == depths.shape[0] or (i < coarse and depths[i] <= depths[j]):
            order[k] = i
            i += 1
        else:
            order[k] = j
            j += 1


@compiled
def summarise(depths: np.ndarray, weights: np.ndarray, order: np.ndarray, share: np.ndarray, out: np.ndarray) -> None:
    """Shares of a ray's samples in its colour (in unsorted order), its mean depth (-1: nothing met) and its opacity."""
    total, middle, before = ZERO, ZERO, ZERO
    for k in range(depths.shape[0]):
        after = weights[k]
        share[order[k]] = (before + after) * HALF
        total += after
        if k + 1 < depths.shape[0]:
            middle += after * (depths[k] + depths[k + 1]) * HALF
        before = after
    out[0] = middle / total if total > ZERO else -ONE
    out[1] = total


@compiled
def colour(logits: np.ndarray, bias: np.ndarray, share: np.ndarray, owner: np.ndarray, lanes: tuple, out: np.ndarray) -> None:
    """Add every sample's share of its colour to its ray: logits (samples, features), which are overwritten, out (rays, features)."""
    rows = max(BLOCK // len(lanes), 1)
    bits = np.empty(rows * len(lanes), np.int32)
    for start in range(0, logits.shape[0], rows):
        part = logits[start : start + rows]
        for k in range(part.shape[0]):
            for c in range(len(lanes)):
                part[k, c] = -part[k, c] - bias[c]
        flat = part.reshape(-1)
        exp(flat, bits, bits.view(np.float32))
        for k in range(part.shape[0]):
            n, weight = owner[start + k], share[start + k]
            for c in range(len(lanes)):
                out[n, c] += weight / (ONE + part[k, c])
