"""Ray marching for inference on a CPU: a ray's samples, decoder and shading in one go, so that nothing of them reaches memory.

Equals ``VolumeRenderer.march`` without noise within 1e-4 (tests/core/test_render_march.py). The hidden layer is linear in the planes'
features, so it is applied to the texels of the planes once instead of to every sample. Colours are worked out only for samples that
show in them.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.compiled import run_parallel
from core.render.bundle import Bundle
from core.render.decoder import COLOUR_SCALE, COLOUR_SHIFT, PlaneDecoder
from core.render.march_steps import BLOCK, activate, colour, embed, locate, merge, place, summarise, weigh
from core.render.triplane_numba import padded_table
from core.render.vector_math import HALF, compiled

if TYPE_CHECKING:
    from core.render.volume import VolumeConfig

ROOM = 2**18
"""Numbers of the hidden layers of a job's samples: they stay in the cache."""
TILE = 8
"""Side of the tiles of rays."""
FAINT = 1e-7
"""Share of a sample in its ray's colour below which it is left out."""


@compiled
def _march(
    table: np.ndarray, side: int, axes: np.ndarray, scale: np.float32, bias: np.ndarray, sigma_row: np.ndarray,
    sigma_bias: np.float32, settings: np.ndarray, soft: bool, published: bool, rays: np.ndarray, bounds: np.ndarray, coarse: int,
    fine: int, lanes: tuple, embedded: np.ndarray, share: np.ndarray, owner: np.ndarray, out: np.ndarray,
) -> int:  # fmt: skip
    """Sample rays (n, 6) within bounds (n, 2): hidden layer, share and ray of every sample, depth and opacity (n, 2) of every ray.

    Returns the number of samples that show: coarse ones of all rays and fine ones of rays that met more than ``skip_below``.
    ``table`` is the hidden layer of the texels (texels, hidden); ``settings`` are density scale, floor, ``skip_below``, ``FAINT``.
    """
    count, most = rays.shape[0], coarse + fine
    bits = np.empty(max(BLOCK, count * most), np.int32)
    power, e = bits.view(np.float32), np.empty(bits.shape[0], np.float32)
    depths, density = np.empty((count, coarse), np.float32), np.empty((count, coarse), np.float32)
    weights, order = np.empty((count, coarse), np.float32), np.arange(most)
    cells, shares = np.empty((3, max(coarse, fine)), np.int32), np.empty((2, 3, max(coarse, fine)), np.float32)
    strata = np.float32(coarse - 1) if published else np.float32(coarse)
    for n in range(count):
        for k in range(coarse):
            depths[n, k] = bounds[n, 0] + (bounds[n, 1] - bounds[n, 0]) / strata * (np.float32(k) + HALF)
        locate(rays[n], depths[n], side, scale, cells, shares)
        for k in range(coarse):
            embed(table, side, axes, bias, k, cells, shares, n * coarse + k, embedded, lanes)
            owner[n * coarse + k] = n
    start = count * coarse
    activate(embedded[:start], soft, sigma_row, sigma_bias, e, bits, power, lanes, density.reshape(-1))
    weigh(depths, density, settings[0], weights, e, bits, power)
    refined = np.empty(count, np.int64)
    found = 0
    for n in range(count):
        summarise(depths[n], weights[n], order, share[n * coarse :], out[n])
        if out[n, 1] > settings[2]:
            refined[found] = n
            found += 1
    union, new = np.empty((found, most), np.float32), np.empty((found, fine), np.float32)
    for m in range(found):
        n = refined[m]
        union[m, :coarse] = depths[n]
        place(depths[n], weights[n], settings[1], published, union[m, coarse:], e)
        locate(rays[n], union[m, coarse:], side, scale, cells, shares)
        for k in range(fine):
            row = start + m * fine + k
            embed(table, side, axes, bias, k, cells, shares, row, embedded, lanes)
            owner[row] = n
    end = start + found * fine
    activate(embedded[start:end], soft, sigma_row, sigma_bias, e, bits, power, lanes, new.reshape(-1))
    _again(union, density, new, refined, settings[0], start, e, bits, power, share, out)
    return pack(embedded[:end], share, owner, settings[3], lanes)


@compiled
def _again(
    union: np.ndarray, density: np.ndarray, new: np.ndarray, refined: np.ndarray, gain: np.float32, start: int, e: np.ndarray,
    bits: np.ndarray, power: np.ndarray, share: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    """Shares, depths and opacities of the rays with two passes, from the samples of both."""
    found, most = union.shape
    coarse, fine = density.shape[1], new.shape[1]
    depths, sigma, weights = np.empty_like(union), np.empty_like(union), np.empty_like(union)
    order, both = np.empty((found, most), np.int64), np.empty(most, np.float32)
    for m in range(found):
        merge(union[m], coarse, order[m])
        for k in range(most):
            at = order[m, k]
            depths[m, k] = union[m, at]
            sigma[m, k] = density[refined[m], at] if at < coarse else new[m, at - coarse]
    weigh(depths, sigma, gain, weights, e, bits, power)
    for m in range(found):
        n = refined[m]
        summarise(depths[m], weights[m], order[m], both, out[n])
        share[n * coarse : (n + 1) * coarse] = both[:coarse]
        share[start + m * fine : start + (m + 1) * fine] = both[coarse:]


@compiled
def pack(rows: np.ndarray, share: np.ndarray, owner: np.ndarray, faint: np.float32, lanes: tuple) -> int:
    """Put the samples with more than a faint share first, in any order; returns how many they are."""
    kept = rows.shape[0]
    for k in range(rows.shape[0] - 1, -1, -1):
        if share[k] > faint:
            continue
        kept -= 1
        for j in range(len(lanes)):
            rows[k, j] = rows[kept, j]
        share[k], owner[k] = share[kept], owner[kept]
    return kept


def _draw(
    planes: tuple, last: Float[Tensor, "h f"], colour_bias: np.ndarray, rays: np.ndarray, bounds: np.ndarray, samples: tuple[int, int],
    sums: np.ndarray, depth: np.ndarray,
) -> None:  # fmt: skip
    """One job: the sums of colours (n, f), depth and opacity (n, 2) of some rays. ``planes`` are the first arguments of ``_march``."""
    hidden, features = last.shape
    room = len(rays) * sum(samples)
    embedded = torch.empty(room, hidden)
    share, owner = np.empty(room, np.float32), np.empty(room, np.int64)
    lanes = (0,) * hidden
    used = _march(*planes, rays, bounds, *samples, lanes, embedded.numpy(), share, owner, depth)
    logits = torch.mm(embedded[:used], last).numpy()
    colour(logits, colour_bias, share, owner, (0,) * features, sums)


def tiled(hit: Bool[Tensor, " n"]) -> Int[Tensor, " k"]:
    """Indices of the marked rays of a square picture, tile by tile: rays that lie side by side meet the same texels."""
    side = math.isqrt(len(hit))
    row, column = torch.arange(side)[:, None] // TILE, torch.arange(side) // TILE
    return (torch.where(hit, (row * side + column).flatten(), side * side).sort(stable=True).indices)[: int(hit.sum())]


@dataclass(frozen=True)
class Scenes:
    """Planes and decoder as the compiled functions take them.

    Attributes:
        tables: hidden layer of the texels (texels, hidden), per sample.
        layer: side of the planes, their axes and scale, bias of the hidden layer, weights and bias of the density, ``_march``'s settings.
        last: weights of the colours (hidden, features).
        colour_bias: of every feature.
    """

    tables: tuple[np.ndarray, ...]
    layer: tuple
    last: Float[Tensor, "h f"]
    colour_bias: Float[np.ndarray, " f"]

    @classmethod
    def of(cls, planes: Float[Tensor, "b 3 c h w"], decoder: PlaneDecoder, axes: tuple, config: "VolumeConfig") -> "Scenes":
        """Planes, square, float32, on the CPU; ``axes`` are (column, row) coordinates of every plane."""
        weight, bias = decoder.out.weight * decoder.out.gain, decoder.out.bias.contiguous()
        hidden = decoder.hidden.weight * decoder.hidden.gain
        table = padded_table((planes.flatten(-2).transpose(-1, -2) @ hidden.T).transpose(-1, -2).unflatten(-1, planes.shape[-2:]))
        settings = np.array([config.density_scale, config.floor, config.skip_below, FAINT], np.float32)
        sigma = weight[0].numpy(), np.float32(bias[0])
        layer = (planes.shape[-1], np.array(axes), np.float32(2 / config.box), decoder.hidden.bias.numpy(), *sigma, settings)
        tables = tuple(each.flatten(0, 2).numpy() for each in table)
        return cls(tables, layer, weight[1:].T.contiguous(), bias[1:].numpy())

    def rays_per_job(self, samples: int) -> int:
        """So many that what a job needs stays in the cache."""
        return max(ROOM // (self.last.shape[0] * samples), 1)


@torch.no_grad()
def march_rays(
    planes: Float[Tensor, "b 3 c h w"], decoder: PlaneDecoder, axes: tuple[tuple[int, int], ...], config: "VolumeConfig", bundle: Bundle,
    hit: Bool[Tensor, "b n"],
) -> tuple[Float[Tensor, "b n f"], Float[Tensor, "b n 1"], Float[Tensor, "b n 1"]]:  # fmt: skip
    """Feature in [-1, 1], depth and opacity of all rays; those that miss are empty. Runs on torch's number of threads.

    Args:
        planes: square, float32, on the CPU.
        axes: (column, row) coordinate of every plane.
        decoder: of the same volume.
        config: of the volume; two passes.
        bundle: without noise.
        hit: rays of a square picture that meet the volume.
    """
    scenes, kind = Scenes.of(planes, decoder, axes, config), (config.activation == "softplus", config.scheme == "eg3d")
    samples = config.coarse, config.fine
    parts, jobs = [Part.of(bundle, hit, i, scenes) for i in range(len(hit))], []
    for table, part in zip(scenes.tables, parts, strict=True):
        for at in part.slices(scenes.rays_per_job(sum(samples))):
            scene = (table, *scenes.layer, *kind)
            jobs.append(
                partial(
                    _draw, scene, scenes.last, scenes.colour_bias, part.rays[at], part.bounds[at], samples, part.sums[at], part.depth[at]
                )
            )
    run_parallel(jobs)
    return gathered(parts, hit, bundle.far.max())


@dataclass(frozen=True)
class Part:
    """The rays of one sample that meet the volume, tile by tile, and what was found along them.

    Attributes:
        index: among all rays.
        rays: origin and direction.
        bounds: near and far.
        sums: of colours before they are scaled.
        depth: depth (-1: nothing met) and opacity.
    """

    index: Int[Tensor, " k"]
    rays: Float[np.ndarray, "k 6"]
    bounds: Float[np.ndarray, "k 2"]
    sums: Float[np.ndarray, "k f"]
    depth: Float[np.ndarray, "k 2"]

    @classmethod
    def of(cls, bundle: Bundle, hit: Bool[Tensor, "b n"], sample: int, scenes: Scenes) -> "Part":
        """Those of one sample of a batch; empty yet."""
        index = tiled(hit[sample])
        rays = torch.cat([bundle.origins[sample, index], bundle.directions[sample, index]], 1).numpy()
        bounds = torch.stack([bundle.near[sample, index], bundle.far[sample, index]], 1).numpy()
        return cls(index, rays, bounds, np.zeros((len(index), scenes.last.shape[1]), np.float32), np.zeros((len(index), 2), np.float32))

    def slices(self, step: int) -> list[slice]:
        """Jobs."""
        return [slice(start, start + step) for start in range(0, len(self.index), step)]


def gathered(parts: list[Part], hit: Bool[Tensor, "b n"], empty_depth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Features, depths and opacities of all rays."""
    features = parts[0].sums.shape[1]
    maps = torch.zeros(*hit.shape, features + 2)
    maps[..., -2] = -1.0
    for i, part in enumerate(parts):
        maps[i, part.index] = torch.from_numpy(np.concatenate([part.sums, part.depth], 1))
    sums, depth, total = maps.split([features, 1, 1], -1)
    feature = (sums * COLOUR_SCALE + total * COLOUR_SHIFT) * 2 - 1  # colour_of() is affine, so it can follow the sum
    return feature, torch.where(depth < 0, empty_depth, depth), total
