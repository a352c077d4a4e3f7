"""Weights folders: round trip, half precision, and what must be refused."""

import json
from dataclasses import dataclass, field

import pytest
import torch
from core.errors import PortraitError
from core.hub import Pretrained, decode_config, parameter_count
from safetensors.torch import load_file, save_file
from torch import nn


@dataclass(frozen=True)
class InnerConfig:
    depth: int = 1


@dataclass(frozen=True)
class NetConfig:
    widths: tuple[int, ...] = (3, 4)
    inner: InnerConfig = field(default_factory=InnerConfig)


class Net(nn.Module, Pretrained):
    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        self.config = config
        self.linear = nn.Linear(*config.widths)


@pytest.fixture
def folder(tmp_path):
    Net(NetConfig((5, 6), InnerConfig(2))).save_pretrained(tmp_path / "net")
    return tmp_path / "net"


def test_round_trip(folder):
    net = Net.from_pretrained(folder)
    assert net.config == NetConfig((5, 6), InnerConfig(2))
    assert not net.training
    assert torch.equal(net.linear.weight, load_file(folder / "model.safetensors")["linear.weight"])
    assert parameter_count(net) == 36


def test_folder_explains_itself_and_loading_is_silent(folder, capsys):
    Net.from_pretrained(folder)
    assert capsys.readouterr().out == ""
    card = (folder / "README.md").read_text()
    assert "# Net" in card
    assert "36 parameters" in card
    assert "More Information Needed" not in card


def test_half_precision_is_stored_and_read_as_float32(tmp_path):
    net = Net(NetConfig())
    net.save_half(tmp_path)
    assert net.linear.weight.dtype == torch.float32
    assert load_file(tmp_path / "model.safetensors")["linear.weight"].dtype == torch.float16
    assert Net.from_pretrained(tmp_path).linear.weight.dtype == torch.float32


@pytest.mark.parametrize("damage", ["missing tensor", "extra tensor", "shape", "unknown field", "no config", "no weights"])
def test_damage_is_refused(folder, damage):
    weights, config = folder / "model.safetensors", folder / "config.json"
    tensors = load_file(weights)
    if damage == "missing tensor":
        del tensors["linear.bias"]
    elif damage == "extra tensor":
        tensors["more"] = torch.zeros(1)
    elif damage == "shape":
        tensors["linear.bias"] = torch.zeros(7)
    save_file(tensors, weights)
    if damage == "unknown field":
        config.write_text(json.dumps({**json.loads(config.read_text()), "colour": 1}))
    elif damage == "no config":
        config.unlink()
    elif damage == "no weights":
        weights.unlink()
    with pytest.raises(PortraitError, match="E_WEIGHTS"):
        Net.from_pretrained(folder)


def test_decode_config_nests():
    assert decode_config(NetConfig, {"widths": [1, 2], "inner": {"depth": 7}}) == NetConfig((1, 2), InnerConfig(7))
