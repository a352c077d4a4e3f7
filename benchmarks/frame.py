"""Steps of a frame of ``tiny`` that are compiled for CPUs, in turns with their readable twins; random weights and features of its sizes."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from compose.bleed_numba import bled
from compose.box import Box
from compose.halving_numba import halved
from compose.head_skip import trusted_torch
from compose.lookback import followed_torch, refined_torch
from compose.lookback_numba import followed, refined
from compose.mixing import blended_torch
from compose.mixing_numba import blended
from compose.trust_numba import trusted
from compose.warping import bleed_torch
from core.camera import FIT_FOCAL, Camera
from core.nn.rgb_numba import rgb_over
from core.nn.stylegan import upsample2d
from core.render.sampling import ray_bounds, ray_bounds_torch
from core.render.volume import VolumeRenderer
from recon import HeadRendererConfig
from torch import Tensor
from torch.nn import functional as F

from benchmarks.row import Case, Row

FUSION, SIZE = 256, 512


def _off(ours: Tensor, theirs: Tensor) -> str:
    return f"largest difference {(ours - theirs).abs().max().item():.1e}"


def _noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def _channels_last(features: Tensor) -> Tensor:
    return features.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def _first_pass(_: torch.device) -> Case:
    """Four rays share a first pass, 16 + 14 samples, in place of one of their own, 12 + 12: much the same error on trained planes."""
    config = HeadRendererConfig.preset("tiny").volume
    volumes = [VolumeRenderer(each).quicken() for each in (config, replace(config, quick=(12, 12), quick_shared=False))]
    volumes[1].load_state_dict(volumes[0].state_dict())
    planes = F.interpolate(3 * _noise(3, config.channels, 12, 12), (96, 96), mode="bicubic")[None]
    camera = Camera.from_pose(torch.zeros(1, 3), torch.zeros(1, 3), FIT_FOCAL)

    def draw(volume: VolumeRenderer) -> Tensor:
        with torch.inference_mode():
            return volume(planes, camera, SIZE // 4).feature

    return Case(partial(draw, volumes[0]), baseline=partial(draw, volumes[1]), baseline_name="a first pass for every ray")


def _colours(_: torch.device) -> Case:
    x, weight, bias, image = _channels_last(_noise(1, 8, SIZE, SIZE)), _noise(3, 8), _noise(3), _noise(1, 3, SIZE // 2, SIZE // 2)

    def readable() -> Tensor:
        return F.conv2d(x, weight[:, :, None, None], bias) + upsample2d(image)

    return Case(partial(rgb_over, x, weight, bias, image), baseline=readable, baseline_name="readable", note=_off)


def _layers(_: torch.device) -> Case:
    head, scenery = (_channels_last(_noise(1, 16, FUSION, FUSION) + k) for k in range(2))
    masks = tuple(_noise(1, 1, FUSION, FUSION).sigmoid() for _ in range(2))
    arguments = head, _noise(1, 16, FUSION // 2, FUSION // 2), scenery, masks, _noise(16), 0.01, Box(0, FUSION // 2, 0, FUSION // 2)

    def run(function) -> Tensor:  # noqa: ANN001 - one of the twins
        with torch.inference_mode():
            return function(*arguments)

    return Case(partial(run, blended), baseline=partial(run, blended_torch), baseline_name="readable", note=_off)


def _against(fast: Callable[..., Any], slow: Callable[..., Any], *given: Any) -> Case:
    """One of two twins against the other, for inference."""

    def run(function: Callable[..., Any]) -> Tensor:
        with torch.inference_mode():
            found = function(*given)
        return found if isinstance(found, Tensor) else found[0]

    return Case(partial(run, fast), baseline=partial(run, slow), baseline_name="readable", note=_off)


def _rays(_: torch.device) -> Case:
    camera = Camera.from_pose(torch.zeros(1, 3), torch.zeros(1, 3), FIT_FOCAL)
    shape = 0.86, (0.0, 0.0, 0.03), (0.41, 0.43, 0.37)

    def fast() -> Tensor:
        return ray_bounds(camera.rays(SIZE // 4), *shape)

    return _against(fast, lambda: ray_bounds_torch(camera.rays_torch(SIZE // 4, None), *shape))


def _bleeding(_: torch.device) -> Case:
    return _against(bled, bleed_torch, _noise(1, 4, SIZE // 4, SIZE // 4), (_noise(1, 1, SIZE // 4, SIZE // 4) > 0).float())


def _halving(_: torch.device) -> Case:
    def readable(image: Tensor) -> Tensor:
        return F.interpolate(image, scale_factor=0.5, mode="bilinear", antialias=True)

    return _against(halved, readable, _noise(1, 4, SIZE, SIZE))


def _trust(_: torch.device) -> Case:
    maps = torch.rand(2, 1, 1, FUSION, FUSION, generator=torch.Generator().manual_seed(0))
    last = torch.nn.Conv2d(16, 1, 3, padding=1).requires_grad_(False)
    return _against(trusted, trusted_torch, _channels_last(_noise(1, 16, FUSION, FUSION)), last, maps[0], maps[1], 0.02)


def _looking_back(_: torch.device) -> Case:
    coarse, fine = SIZE // 4, FUSION
    camera = Camera.from_pose(torch.tensor([[0.0, 0.3, 0.0]]), torch.zeros(1, 3), FIT_FOCAL)
    maps = torch.rand(4, 1, 1, coarse, coarse, generator=torch.Generator().manual_seed(0))
    skin, holes = torch.ones(1, 1, fine, fine), torch.zeros(1, 1, fine, fine)
    holes[..., 100:140, 90:160] = 1

    def run(follow: Callable[..., Any], refine: Callable[..., Any]) -> Tensor:
        rays = camera.rays(coarse)
        surface = 2.5 + 0.1 * maps[0], 0.01 * _noise(1, 3, coarse, coarse), maps[1]
        view = (camera.cam2world, camera.intrinsics), (2.5 + 0.1 * maps[2], maps[3]), (0.02, 0.03, 0.12)
        return refine(follow((rays.origins, rays.directions), surface, *view), skin, holes, 0 * skin)[0]

    return _against(partial(run, followed, refined), partial(run, followed_torch, refined_torch))


ROWS = (
    Row("frame.first_pass", _first_pass),
    Row("frame.colours", _colours),
    Row("frame.layers", _layers),
    Row("frame.rays", _rays),
    Row("frame.looking_back", _looking_back),
    Row("frame.bleeding", _bleeding),
    Row("frame.halving", _halving),
    Row("frame.trust", _trust),
)
