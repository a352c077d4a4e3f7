"""Ray marching for inference on a CPU: a ray's samples, decoder and shading in one go, so that nothing of them reaches memory.

Equals ``VolumeRenderer.march`` without noise within 1e-4 (tests/core/test_render_march.py) for the textbook scheme and silu. The hidden
layer is linear in the planes' features, so it is applied to the texels of the planes once instead of to every sample.
"""

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from core.render.bundle import Bundle
from core.render.decoder import COLOUR_SCALE, COLOUR_SHIFT, PlaneDecoder
from core.render.triplane_numba import padded_table, run_parallel
from core.render.vector_math import ONE, ZERO, compiled, exp, softplus

if TYPE_CHECKING:
    from core.render.volume import VolumeConfig

RAYS = 128
"""Rays per job: what they need stays in the cache."""
HALF, THIRD = np.float32(0.5), np.float32(1 / 3)


@compiled
def _tap(u: np.float32, size: int, scale: np.float32) -> tuple[int, np.float32]:
    """Texel to the left in a table with one texel of zeros around it, and the weight of the right one; -1 where nothing is met."""
    position = (u * scale + ONE) * HALF * np.float32(size) + HALF
    if not (position > ZERO and position < np.float32(size) + ONE):
        return np.int64(-1), ZERO
    cell = np.int64(np.int32(position))
    return cell, position - np.float32(cell)


@compiled
def _corner(
    ray: np.ndarray, depth: np.float32, plane: int, axes: np.ndarray, height: int, width: int, scale: np.float32
) -> tuple[int, np.float32, np.float32, np.float32, np.float32]:
    """Number of the upper left texel that a point of a ray (origin and direction) meets, and a third of the weights of all four."""
    u, v = axes[plane, 0], axes[plane, 1]
    x, right = _tap(ray[u] + depth * ray[3 + u], width, scale)
    y, lower = _tap(ray[v] + depth * ray[3 + v], height, scale)
    third = THIRD
    if x < 0 or y < 0:
        x, y, third = np.int64(0), np.int64(0), ZERO
    both = right * lower * third
    right, lower = right * third - both, lower * third - both
    return (plane * (height + 2) + y) * (width + 2) + x, third - right - lower - both, right, lower, both


@compiled
def _embed(
    table: np.ndarray, height: int, width: int, axes: np.ndarray, scale: np.float32, bias: np.ndarray, ray: np.ndarray, depth: np.float32,
    out: np.ndarray, lanes: tuple,
) -> None:  # fmt: skip
    """Hidden layer before its activation at one point of a ray. ``lanes`` is as long as it is wide: the compiler knows tuples' lengths."""
    n = len(lanes)
    p, p0, p1, p2, p3 = _corner(ray, depth, 0, axes, height, width, scale)
    q, q0, q1, q2, q3 = _corner(ray, depth, 1, axes, height, width, scale)
    r, r0, r1, r2, r3 = _corner(ray, depth, 2, axes, height, width, scale)
    below = width + 2
    a, b, c = table[p * n :], table[q * n :], table[r * n :]
    d, e, f = table[(p + below) * n :], table[(q + below) * n :], table[(r + below) * n :]
    for j in range(n):
        first = p0 * a[j] + p1 * a[j + n] + p2 * d[j] + p3 * d[j + n]
        second = q0 * b[j] + q1 * b[j + n] + q2 * e[j] + q3 * e[j + n]
        out[j] = bias[j] + first + second + r0 * c[j] + r1 * c[j + n] + r2 * f[j] + r3 * f[j + n]


@compiled
def _activate(
    rows: np.ndarray, sigma_row: np.ndarray, sigma_bias: np.float32, e: np.ndarray, bits: np.ndarray, power: np.ndarray, out: np.ndarray
) -> None:
    """Silu of the rows (n, hidden) in place, and their densities (n,); ``e`` (n * hidden,) is room to work in."""
    flat = rows.reshape(-1)
    for i in range(flat.shape[0]):
        e[i] = -flat[i]
    exp(e[: flat.shape[0]], bits, power)
    for i in range(flat.shape[0]):
        flat[i] /= ONE + e[i]
    for k in range(rows.shape[0]):
        value = sigma_bias
        for j in range(rows.shape[1]):
            value += rows[k, j] * sigma_row[j]
        out[k] = value


@compiled
def _weigh(
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
def _place(depths: np.ndarray, weights: np.ndarray, floor: np.float32, fine: np.ndarray, share: np.ndarray) -> None:
    """Depths distributed like the smoothed weights: the textbook scheme of ``core.render.sampling.importance`` without noise."""
    n = depths.shape[0] - 1
    total = np.float32(0)
    for i in range(n):
        before = max(weights[max(i - 1, 0)], weights[i])
        after = max(weights[i], weights[min(i + 1, n - 1)])
        share[i] = (before + after) * HALF + floor + np.float32(1e-5)
        total += share[i]
    i, low = 0, np.float32(0)
    width = share[0] / total
    for k in range(fine.shape[0]):
        u = (np.float32(k) + HALF) / np.float32(fine.shape[0])
        while i < n - 1 and low + width <= u:
            low += width
            i += 1
            width = share[i] / total
        fine[k] = depths[i] + min(max((u - low) / width, np.float32(0)), ONE) * (depths[i + 1] - depths[i])


@compiled
def _merge(depths: np.ndarray, coarse: int, order: np.ndarray) -> None:
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
def _summarise(depths: np.ndarray, weights: np.ndarray, order: np.ndarray, share: np.ndarray, out: np.ndarray) -> None:
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
def _march(
    table: np.ndarray, height: int, width: int, axes: np.ndarray, scale: np.float32, bias: np.ndarray, sigma_row: np.ndarray,
    sigma_bias: np.float32, settings: np.ndarray, rays: np.ndarray, bounds: np.ndarray, coarse: int, fine: int, lanes: tuple,
    embedded: np.ndarray, share: np.ndarray, owner: np.ndarray, out: np.ndarray,
) -> int:  # fmt: skip
    """Sample rays (n, 6) within bounds (n, 2): hidden layer, share and ray of every sample, depth and opacity (n, 2) of every ray.

    Returns the number of samples, the coarse ones of all rays and the fine ones of rays that met more than ``skip_below``.
    ``table`` is the hidden layer of the texels, flat; ``settings`` are density scale, floor, ``skip_below``.
    """
    count, hidden, most = rays.shape[0], embedded.shape[1], coarse + fine
    bits = np.empty(count * max(coarse, fine) * hidden, np.int32)
    power, e = bits.view(np.float32), np.empty(bits.shape[0], np.float32)
    depths, density = np.empty((count, coarse), np.float32), np.empty((count, coarse), np.float32)
    weights, order = np.empty((count, coarse), np.float32), np.arange(most)
    for n in range(count):
        for k in range(coarse):
            depths[n, k] = bounds[n, 0] + (bounds[n, 1] - bounds[n, 0]) / np.float32(coarse) * (np.float32(k) + HALF)
            _embed(table, height, width, axes, scale, bias, rays[n], depths[n, k], embedded[n * coarse + k], lanes)
            owner[n * coarse + k] = n
    start = count * coarse
    _activate(embedded[:start], sigma_row, sigma_bias, e, bits, power, density.reshape(-1))
    _weigh(depths, density, settings[0], weights, e, bits, power)
    refined = np.empty(count, np.int64)
    found = 0
    for n in range(count):
        _summarise(depths[n], weights[n], order, share[n * coarse :], out[n])
        if out[n, 1] > settings[2]:
            refined[found] = n
            found += 1
    union, new = np.empty((found, most), np.float32), np.empty((found, fine), np.float32)
    for m in range(found):
        n = refined[m]
        union[m, :coarse] = depths[n]
        _place(depths[n], weights[n], settings[1], union[m, coarse:], e)
        for k in range(fine):
            row = start + m * fine + k
            _embed(table, height, width, axes, scale, bias, rays[n], union[m, coarse + k], embedded[row], lanes)
            owner[row] = n
    end = start + found * fine
    _activate(embedded[start:end], sigma_row, sigma_bias, e, bits, power, new.reshape(-1))
    _again(union, density, new, refined, settings[0], start, share, out)
    return end


@compiled
def _again(
    union: np.ndarray, density: np.ndarray, new: np.ndarray, refined: np.ndarray, gain: np.float32, start: int, share: np.ndarray,
    out: np.ndarray,
) -> None:  # fmt: skip
    """Shares, depths and opacities of the rays with two passes, from the samples of both."""
    found, most = union.shape
    coarse, fine = density.shape[1], new.shape[1]
    depths, sigma, weights = np.empty_like(union), np.empty_like(union), np.empty_like(union)
    bits = np.empty(found * most, np.int32)
    order, e, both = np.empty((found, most), np.int64), np.empty(bits.shape[0], np.float32), np.empty(most, np.float32)
    for m in range(found):
        _merge(union[m], coarse, order[m])
        for k in range(most):
            at = order[m, k]
            depths[m, k] = union[m, at]
            sigma[m, k] = density[refined[m], at] if at < coarse else new[m, at - coarse]
    _weigh(depths, sigma, gain, weights, e, bits, bits.view(np.float32))
    for m in range(found):
        n = refined[m]
        _summarise(depths[m], weights[m], order[m], both, out[n])
        share[n * coarse : (n + 1) * coarse] = both[:coarse]
        share[start + m * fine : start + (m + 1) * fine] = both[coarse:]


@compiled
def _colour(logits: np.ndarray, bias: np.ndarray, share: np.ndarray, owner: np.ndarray, lanes: tuple, out: np.ndarray) -> None:
    """Add every sample's share of its colour to its ray: logits (samples, features), which are overwritten, out (rays, features)."""
    bits = np.empty(logits.size, np.int32)
    for k in range(logits.shape[0]):
        for c in range(len(lanes)):
            logits[k, c] = -logits[k, c] - bias[c]
    flat = logits.reshape(-1)
    exp(flat, bits, bits.view(np.float32))
    for i in range(flat.shape[0]):
        flat[i] = ONE / (ONE + flat[i])
    for k in range(logits.shape[0]):
        n, part = owner[k], share[k]
        for c in range(len(lanes)):
            out[n, c] += part * logits[k, c]


def _draw(
    planes: tuple, colour: Float[Tensor, "h f"], colour_bias: np.ndarray, rays: np.ndarray, bounds: np.ndarray, samples: tuple[int, int],
    sums: np.ndarray, depth: np.ndarray,
) -> None:  # fmt: skip
    """One job: the sums of colours (n, f), depth and opacity (n, 2) of some rays. ``planes`` are the first arguments of ``_march``."""
    hidden, features = colour.shape
    room = len(rays) * sum(samples)
    embedded = torch.empty(room, hidden)
    share, owner = np.empty(room, np.float32), np.empty(room, np.int64)
    lanes = (0,) * hidden
    used = _march(*planes, rays, bounds, *samples, lanes, embedded.numpy(), share, owner, depth)
    logits = torch.mm(embedded[:used], colour).numpy()
    _colour(logits, colour_bias, share, owner, (0,) * features, sums)


@torch.no_grad()
def march_rays(
    planes: Float[Tensor, "b 3 c h w"], decoder: PlaneDecoder, axes: tuple[tuple[int, int], ...], config: "VolumeConfig", bundle: Bundle,
    hit: Bool[Tensor, "b n"],
) -> tuple[Float[Tensor, "b n f"], Float[Tensor, "b n 1"], Float[Tensor, "b n 1"]]:  # fmt: skip
    """Feature in [-1, 1], depth and opacity of all rays; those that miss are empty. Runs on torch's number of threads.

    Args:
        planes: float32 on the CPU.
        decoder: with silu.
        axes: (column, row) coordinate of every plane.
        config: of the volume, textbook scheme.
        bundle: without noise.
        hit: rays that meet the volume.
    """
    weight, bias = decoder.out.weight * decoder.out.gain, decoder.out.bias.contiguous()
    table = padded_table(torch.einsum("bkchw,oc->bkohw", planes, decoder.hidden.weight * decoder.hidden.gain))
    settings = np.array([config.density_scale, config.floor, config.skip_below], np.float32)
    layer = (np.array(axes), np.float32(2 / config.box), decoder.hidden.bias.numpy(), weight[0].numpy(), np.float32(bias[0]), settings)
    maps = torch.zeros(*hit.shape, len(weight) + 1)  # colour sums, depth, opacity
    maps[..., -2] = -1.0
    colour, jobs, results = weight[1:].T.contiguous(), [], []
    for i, texels in enumerate(table):
        index = hit[i].nonzero()[:, 0]
        rays = torch.cat([bundle.origins[i, index], bundle.directions[i, index]], 1).numpy()
        bounds = torch.stack([bundle.near[i, index], bundle.far[i, index]], 1).numpy()
        scene = (texels.flatten().numpy(), *planes.shape[-2:], *layer)
        sums, depth = np.zeros((len(index), len(weight) - 1), np.float32), np.empty((len(index), 2), np.float32)
        results.append((index, sums, depth))
        for start in range(0, len(index), RAYS):
            at = slice(start, start + RAYS)
            jobs.append(
                partial(_draw, scene, colour, bias[1:].numpy(), rays[at], bounds[at], (config.coarse, config.fine), sums[at], depth[at])
            )
    run_parallel(jobs)
    for i, (index, sums, depth) in enumerate(results):
        maps[i, index] = torch.from_numpy(np.concatenate([sums, depth], 1))
    sums, depth, total = maps.split([len(weight) - 1, 1, 1], -1)
    feature = (sums * COLOUR_SCALE + total * COLOUR_SHIFT) * 2 - 1  # colour_of() is affine, so it can follow the sum
    return feature, torch.where(depth < 0, bundle.far.max(), depth), total
