"""Steps of a frame of ``tiny`` that are compiled for CPUs, in turns with their readable twins; random weights and features of its sizes."""

from dataclasses import replace
from functools import partial

import torch
from compose.box import Box
from compose.mixing import blended_torch
from compose.mixing_numba import blended
from core.camera import FIT_FOCAL, Camera
from core.nn.rgb_numba import rgb_over
from core.nn.stylegan import upsample2d
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


ROWS = (Row("frame.first_pass", _first_pass), Row("frame.colours", _colours), Row("frame.layers", _layers))
