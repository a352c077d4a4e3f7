"""Parameter counts of stage 1's networks (paper Table 6 and section 4.4)."""

import pytest
import torch
from core.hub import parameter_count
from recon.config import HeadRendererConfig, I2PConfig
from recon.eg3d import EG3DConfig, EG3DGenerator
from recon.model import I2P
from recon.renderer import HeadRenderer


@pytest.mark.parametrize(("name", "millions"), [("40M", 39.90), ("87M", 87.333), ("paper", 87.333), ("200M", 200.97)])
def test_i2p(name, millions):
    with torch.device("meta"):
        assert parameter_count(I2P(I2PConfig.preset(name))) / 1e6 == pytest.approx(millions, rel=1e-4)


def test_eg3d_generator():
    with torch.device("meta"):
        net = EG3DGenerator(EG3DConfig.preset("paper"))
    parts = [parameter_count(part) / 1e6 for part in (net, net.mapping, net.backbone)]
    assert parts == pytest.approx([30.662, 0.801, 28.208], rel=1e-3)


def test_scale_study_of_the_embedded_size_halves_and_doubles():
    with torch.device("meta"):
        half, whole, double = (parameter_count(I2P(I2PConfig.preset(name))) for name in ("tiny_half", "tiny", "tiny_double"))
    assert half / whole == pytest.approx(0.5, abs=0.1)
    assert double / whole == pytest.approx(2, abs=0.3)


def test_embedded_sizes_stay_small():
    with torch.device("meta"):
        assert parameter_count(I2P(I2PConfig.preset("tiny"))) < 6e6
        assert parameter_count(HeadRenderer(HeadRendererConfig.preset("tiny"))) < 0.1e6
