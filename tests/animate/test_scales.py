"""Parameter counts (spec 5) and presets."""

from dataclasses import replace

import pytest
import torch
from animate import MotionAdapter, MotionAdapterConfig
from core.hub import parameter_count
from recon import HeadRendererConfig, I2PConfig


def millions(config: MotionAdapterConfig) -> float:
    with torch.device("meta"):
        return parameter_count(MotionAdapter(config)) / 1e6


@pytest.mark.parametrize("inputs", ["cano+src+drv", "src+drv"])
def test_paper_has_the_published_size(inputs: str):
    assert millions(replace(MotionAdapterConfig.preset("paper"), pncc_inputs=inputs)) == pytest.approx(5.706, rel=0.001)


def test_parts_have_the_measured_size():
    with torch.device("meta"):
        network = MotionAdapter(MotionAdapterConfig())
    assert parameter_count(network.encoder) / 1e6 == pytest.approx(3.319, rel=0.001)
    assert parameter_count(network.head) / 1e6 == pytest.approx(0.395, rel=0.002)
    assert (parameter_count(network.convs) + parameter_count(network.to_planes)) / 1e6 == pytest.approx(1.992, rel=0.001)


def test_tiny_is_small():
    assert millions(MotionAdapterConfig.preset("tiny")) < 1.5
    assert millions(MotionAdapterConfig.preset("debug")) < 0.1


def test_unknown_preset_names_the_known_ones():
    with pytest.raises(ValueError, match="debug, tiny, paper"):
        MotionAdapterConfig.preset("huge")


def test_image_size_must_suit_the_encoder():
    with pytest.raises(ValueError, match="image_size 100"):
        MotionAdapterConfig(image_size=100)


@pytest.mark.parametrize("scale", ["debug", "tiny", "paper", "40M", "200M"])
def test_motion_fits_the_planes_and_the_renderer_of_its_scale(scale: str):
    small = scale if scale in ("debug", "tiny") else "paper"
    planes, motion = I2PConfig.preset(scale), MotionAdapterConfig.preset(small)
    assert (motion.plane_size, motion.plane_channels) == (planes.plane_size, planes.plane_channels)
    assert HeadRendererConfig.preset(small).volume.channels == planes.plane_channels
