"""The type of a frame's convolutions: how it is chosen, and that the picture stays."""

from dataclasses import replace

import pytest
import torch
from compose import HTBSR, HTBSRConfig
from core.errors import PortraitError
from portrait.channels import PRECISIONS
from portrait.cli import build_parser
from portrait.precision import choose_precision, has_bfloat16

CPU, DEBUG = torch.device("cpu"), HTBSRConfig.preset("debug")


@pytest.mark.parametrize(("able", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_takes_what_the_processor_has(monkeypatch: pytest.MonkeyPatch, able: bool, expected: torch.dtype):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: able, raising=False)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    assert choose_precision("auto", CPU, DEBUG) == expected
    assert choose_precision("auto", torch.device("cuda"), DEBUG) == torch.float32
    assert choose_precision("auto", CPU, HTBSRConfig.preset("paper")) == torch.float32
    assert choose_precision("float32", CPU, DEBUG) == torch.float32
    assert choose_precision("bfloat16", CPU, DEBUG) == torch.bfloat16


def test_a_torch_that_does_not_tell_means_float32(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported", raising=False)
    assert not has_bfloat16(CPU)


@pytest.mark.parametrize(("name", "preset"), [("half", "debug"), ("bfloat16", "release")])
def test_what_cannot_be_is_said(name: str, preset: str):
    with pytest.raises(PortraitError, match="E_PRECISION"):
        choose_precision(name, CPU, HTBSRConfig.preset(preset))


def test_the_command_line_offers_them():
    words = ["animate", "a.jpg", "--audio", "a.wav", "-o", "o.mp4"]
    assert build_parser().parse_args(words).precision == "auto"
    assert [build_parser().parse_args([*words, "--precision", name]).precision for name in PRECISIONS] == list(PRECISIONS)


def test_published_fusion_refuses_to_fold_in_another_type():
    network = HTBSR(replace(DEBUG, head_skip=False, final_composite=False)).eval()
    with pytest.raises(ValueError, match="final_composite"):
        network.fold(torch.bfloat16)
