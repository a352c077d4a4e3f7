"""Parameter counts (spec 7.4) and presets."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from compose import HTBSR, HTBSRConfig
from core.hub import parameter_count


@cache
def network(config: HTBSRConfig) -> HTBSR:
    with torch.device("meta"):
        return HTBSR(config)


def millions(config: HTBSRConfig) -> float:
    return parameter_count(network(config)) / 1e6


@pytest.mark.parametrize(("preset", "expected"), [("paper", 50.66), ("release", 54.98)])
def test_presets_have_the_published_size(preset: str, expected: float):
    assert millions(HTBSRConfig.preset(preset)) == pytest.approx(expected, rel=0.01)


def test_variants_have_the_measured_size():
    paper = HTBSRConfig()
    assert millions(replace(paper, torso="v2")) == pytest.approx(51.61, rel=0.001)
    assert millions(replace(paper, torso="v2", fuse="concat")) == pytest.approx(51.63, rel=0.001)
    assert millions(replace(paper, keypoints=(0, 3, 6, 8, 10, 13, 16, 27, 33))) == pytest.approx(50.92, rel=0.001)


def test_parts_have_the_measured_size():
    paper = network(HTBSRConfig())
    assert parameter_count(paper.torso) / 1e6 == pytest.approx(47.48, rel=0.001)
    assert parameter_count(paper.torso.motion) / 1e6 == pytest.approx(37.9, rel=0.001)
    assert parameter_count(paper.background) / 1e6 == pytest.approx(0.740, rel=0.001)


def test_tiny_is_small():
    assert millions(HTBSRConfig.preset("tiny")) < 2.5
    assert millions(HTBSRConfig.preset("debug")) < 0.1


def test_unknown_preset_names_the_known_ones():
    with pytest.raises(ValueError, match="debug, tiny, paper, release"):
        HTBSRConfig.preset("huge")


@pytest.mark.parametrize(
    "change", [{"raw_size": 100}, {"torso_size": 40}, {"fuse": "concat", "final_composite": True}], ids=["raw", "torso", "concat"]
)
def test_impossible_sizes_are_refused(change: dict):
    with pytest.raises(ValueError, match=next(iter(change))):
        replace(HTBSRConfig(), **change)
