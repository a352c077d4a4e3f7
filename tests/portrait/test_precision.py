"""The type in which networks multiply: how it is chosen."""

from dataclasses import replace

import pytest
import torch
from compose import HTBSRConfig
from core.errors import PortraitError
from portrait.channels import PRECISIONS
from portrait.cli import build_parser
from portrait.precision import choose_precision, computing, head_precision, multiplies_bfloat16

DEBUG, TINY, PAPER = (HTBSRConfig.preset(name) for name in ("debug", "tiny", "paper"))


@pytest.mark.parametrize(("name", "expected"), [("auto", torch.float32), ("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_every_name_has_its_type(name: str, expected: torch.dtype, monkeypatch):
    monkeypatch.setattr("portrait.precision.multiplies_bfloat16", lambda: False)
    assert choose_precision(name, DEBUG) == expected


@pytest.mark.parametrize("able", [False, True])
def test_auto_is_bfloat16_on_a_cpu_made_for_it(able: bool, monkeypatch):
    monkeypatch.setattr("portrait.precision.multiplies_bfloat16", lambda: able)
    assert choose_precision("auto", PAPER) == choose_precision("auto", TINY) == (torch.bfloat16 if able else torch.float32)
    assert choose_precision("auto", replace(DEBUG, sr_channels=(8, 8))) == torch.float32
    assert choose_precision("auto", PAPER, torch.device("cuda")) == torch.float32
    assert choose_precision("float32", PAPER) == torch.float32


@pytest.mark.parametrize(("abilities", "expected"), [({}, False), ({"avx512_bf16": True}, True), ({"amx_bf16": True, "avx2": True}, True)])
def test_torch_tells_what_the_cpu_can(abilities: dict[str, bool], expected: bool, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: abilities, raising=False)
    assert multiplies_bfloat16() == expected
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not multiplies_bfloat16()


def test_the_head_of_narrow_networks_stays_float32():
    assert head_precision(torch.bfloat16, TINY) == torch.float32
    assert head_precision(torch.bfloat16, PAPER) == torch.bfloat16
    assert head_precision(torch.float32, PAPER) == torch.float32


def test_what_cannot_be_is_said():
    with pytest.raises(PortraitError, match="E_PRECISION"):
        choose_precision("half", DEBUG)


def test_products_have_the_type():
    for dtype in (torch.float32, torch.bfloat16):
        with torch.no_grad(), computing(dtype, torch.device("cpu")):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


def test_the_command_line_offers_them():
    words = ["animate", "a.jpg", "--audio", "a.wav", "-o", "o.mp4"]
    assert build_parser().parse_args(words).precision == "auto"
    assert [build_parser().parse_args([*words, "--precision", name]).precision for name in PRECISIONS] == list(PRECISIONS)
