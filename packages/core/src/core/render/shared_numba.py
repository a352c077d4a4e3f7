"""``core.render.shared_pass`` compiled: same values within 1e-4 (tests/core/test_render_shared.py)."""

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from core.compiled import run_parallel
from core.render.bundle import Bundle
from core.render.decoder import PlaneDecoder
from core.render.march_numba import Part, Scenes, gathered, pack
from core.render.march_steps import BLOCK, activate, colour, embed, locate, place, summarise, weigh
from core.render.shared_pass import spread
from core.render.vector_math import HALF, compiled

if TYPE_CHECKING:
    from core.render.volume import VolumeConfig


@compiled
def _strata(near: np.float32, far: np.float32, published: bool, depths: np.ndarray) -> None:
    """Middles of equal parts; as published the last may lie beyond ``far``."""
    count = depths.shape[0]
    parts = np.float32(count - 1) if published else np.float32(count)
    for k in range(count):
        depths[k] = near + (far - near) / parts * (np.float32(k) + HALF)


@compiled
def _query(
    table: np.ndarray, side: int, axes: np.ndarray, scale: np.float32, bias: np.ndarray, sigma_row: np.ndarray,
    sigma_bias: np.float32, soft: bool, rays: np.ndarray, depths: np.ndarray, lanes: tuple, embedded: np.ndarray, density: np.ndarray,
    room: tuple,
) -> None:  # fmt: skip
    """Hidden layer and density of samples at depths (n, s) along rays."""
    count, samples = depths.shape
    cells, shares = np.empty((3, samples), np.int32), np.empty((2, 3, samples), np.float32)
    for n in range(count):
        locate(rays[n], depths[n], side, scale, cells, shares)
        for k in range(samples):
            embed(table, side, axes, bias, k, cells, shares, n * samples + k, embedded, lanes)
    activate(embedded, soft, sigma_row, sigma_bias, room[0], room[1], room[2], lanes, density.reshape(-1))


@compiled
def _first(
    table: np.ndarray, side: int, axes: np.ndarray, scale: np.float32, bias: np.ndarray, sigma_row: np.ndarray,
    sigma_bias: np.float32, settings: np.ndarray, soft: bool, published: bool, rays: np.ndarray, bounds: np.ndarray, lanes: tuple,
    embedded: np.ndarray, weights: np.ndarray,
) -> None:  # fmt: skip
    """Weights (n, coarse) of the intervals of rays (n, 6) within bounds (n, 2); the last of every ray is 0."""
    depths, density = np.empty_like(weights), np.empty_like(weights)
    bits = np.empty(max(BLOCK, weights.size), np.int32)
    room = np.empty(bits.shape[0], np.float32), bits, bits.view(np.float32)
    for n in range(rays.shape[0]):
        _strata(bounds[n, 0], bounds[n, 1], published, depths[n])
    _query(table, side, axes, scale, bias, sigma_row, sigma_bias, soft, rays, depths, lanes, embedded, density, room)
    weigh(depths, density, settings[0], weights, room[0], room[1], room[2])


@compiled
def look_again(
    table: np.ndarray, side: int, axes: np.ndarray, scale: np.float32, bias: np.ndarray, sigma_row: np.ndarray,
    sigma_bias: np.float32, settings: np.ndarray, soft: bool, published: bool, rays: np.ndarray, bounds: np.ndarray, weights: np.ndarray,
    fine: int, lanes: tuple, embedded: np.ndarray, share: np.ndarray, owner: np.ndarray, out: np.ndarray,
) -> int:  # fmt: skip
    """Hidden layer, share and ray of every sample of the second pass, depth and opacity (n, 2) of every ray; returns how many show."""
    count, order = rays.shape[0], np.arange(fine)
    strata, scratch = np.empty(weights.shape[1], np.float32), np.empty(weights.shape[1], np.float32)
    depths, density = np.empty((count, fine), np.float32), np.empty((count, fine), np.float32)
    own = np.empty((count, fine), np.float32)
    bits = np.empty(max(BLOCK, own.size), np.int32)
    room = np.empty(bits.shape[0], np.float32), bits, bits.view(np.float32)
    for n in range(count):
        _strata(bounds[n, 0], bounds[n, 1], published, strata)
        place(strata, weights[n], settings[1], published, depths[n], scratch)
    _query(table, side, axes, scale, bias, sigma_row, sigma_bias, soft, rays, depths, lanes, embedded, density, room)
    weigh(depths, density, settings[0], own, room[0], room[1], room[2])
    for n in range(count):
        summarise(depths[n], own[n], order, share[n * fine :], out[n])
        owner[n * fine : (n + 1) * fine] = n
    return pack(embedded, share, owner, settings[3], lanes)


def _look(scene: tuple, hidden: int, rays: np.ndarray, bounds: np.ndarray, weights: np.ndarray) -> None:
    """One job of the first pass."""
    _first(*scene, rays, bounds, (0,) * hidden, np.empty((weights.size, hidden), np.float32), weights)


def _draw(scene: tuple, scenes: Scenes, part: Part, at: slice, weights: np.ndarray, fine: int) -> None:
    """One job of the second."""
    hidden, features = scenes.last.shape
    rays = part.rays[at]
    embedded = torch.empty(len(rays) * fine, hidden)
    share, owner = np.empty(len(embedded), np.float32), np.empty(len(embedded), np.int64)
    lanes = (0,) * hidden
    used = look_again(*scene, rays, part.bounds[at], weights, fine, lanes, embedded.numpy(), share, owner, part.depth[at])
    logits = torch.mm(embedded[:used], scenes.last).numpy()
    colour(logits, scenes.colour_bias, share, owner, (0,) * features, part.sums[at])


@torch.no_grad()
def march_shared(
    planes: Float[Tensor, "b 3 c h w"], decoder: PlaneDecoder, axes: tuple[tuple[int, int], ...], config: "VolumeConfig",
    first: tuple[Bundle, Bool[Tensor, "b m"]], second: tuple[Bundle, Bool[Tensor, "b n"]],
) -> tuple[Float[Tensor, "b n f"], Float[Tensor, "b n 1"], Float[Tensor, "b n 1"]]:  # fmt: skip
    """As ``core.render.march_numba.march_rays``, with a first pass of its own rays."""
    scenes, kind = Scenes.of(planes, decoder, axes, config), (config.activation == "softplus", config.scheme == "eg3d")
    scene = [(table, *scenes.layer, *kind) for table in scenes.tables]
    (bundle, hit), (wide, wide_hit) = second, first
    weights = torch.zeros(*wide_hit.shape, config.coarse)
    parts, jobs = [Part.of(wide, wide_hit, i, scenes) for i in range(len(hit))], []
    found = [np.zeros((len(part.index), config.coarse), np.float32) for part in parts]
    for each, part, into in zip(scene, parts, found, strict=True):
        steps = part.slices(scenes.rays_per_job(config.coarse))
        jobs += [partial(_look, each, len(scenes.last), part.rays[at], part.bounds[at], into[at]) for at in steps]
    run_parallel(jobs)
    for i, (part, into) in enumerate(zip(parts, found, strict=True)):
        weights[i, part.index] = torch.from_numpy(into)
    weights = spread(weights, int(hit.shape[1] ** 0.5))
    shown = hit & (weights[..., :-1].sum(-1) > config.skip_below)
    parts, jobs = [Part.of(bundle, shown, i, scenes) for i in range(len(hit))], []
    for i, (each, part) in enumerate(zip(scene, parts, strict=True)):
        own = weights[i, part.index].numpy()
        steps = part.slices(scenes.rays_per_job(config.fine))
        jobs += [partial(_draw, each, scenes, part, at, own[at], config.fine) for at in steps]
    run_parallel(jobs)
    return gathered(parts, hit, bundle.far.max())
