"""The model of scaling: closed forms, published sizes, and FLOPs counted in the published modules."""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parent.parent / "tools")
    yield import_module("model_scaling")
    sys.modules.pop("model_scaling")


def test_a_ring_sends_everything_almost_twice(tool) -> None:
    assert tool.Machine("", 2, bandwidth=1e9, delay=0.0).all_reduce(1e9) == pytest.approx(1.0)
    assert tool.Machine("", 1000, bandwidth=1e9, delay=0.0).all_reduce(1e9) == pytest.approx(2.0, rel=0.01)
    assert tool.Machine("", 64, delay=1e-3).all_reduce(0) == pytest.approx(0.126)


def test_only_what_exceeds_the_backward_pass_is_waited_for(tool) -> None:
    quick, slow = (tool.Machine("", 2, compute=3e12, bandwidth=bandwidth, delay=0.0) for bandwidth in (1e12, 4e8))
    stage = tool.Stage("x", 100_000_000, 2, 3e12)  # a second of computing, 0.8 GB
    assert stage.reduced == 800_000_000
    bucket = 25 * 2**20
    assert stage.seconds(quick) == pytest.approx((1.0, 0.8e-3, 2 * bucket / 1e12))
    assert stage.seconds(slow) == pytest.approx((1.0, 2.0, 2.0 - 2 / 3))


@pytest.mark.slow
def test_networks_have_their_published_sizes_and_counted_costs(tool) -> None:
    costs, sizes = tool.forward_costs()
    millions = {name: size / 1e6 for name, size in sizes.items()}
    expected = {"i2p": 87.33, "adapter": 5.706, "critic": 31.36, "a2m": 9.86, "vgg": 20.0 + 14.7}  # spec; VGG without classifiers
    assert {name: millions[name] for name in expected} == pytest.approx(expected, rel=0.01)
    counted = {"i2p": 1275, "adapter": 102.5, "renderer": 13.1 + 197.6, "critic": 125}  # GFLOP, of the published modules
    assert costs["htbsr"] / 1e9 == pytest.approx(162 + 478, rel=0.01)  # ``portrait bench`` on real tensors
    assert {name: costs[name] / 1e9 for name in counted} == pytest.approx(counted, rel=0.01)
    made = {stage.name: stage for stage in tool.stages()}
    assert made["recon"].parameters == sizes["i2p"] + sizes["renderer"] + sizes["critic"]
    assert made["compose"].flop > 3 * costs["htbsr"]
