"""The type of a frame's convolutions: how it is chosen."""

from dataclasses import replace

import pytest
import torch
from compose import HTBSR, HTBSRConfig
from core.errors import PortraitError
from portrait.channels import PRECISIONS
from portrait.cli import build_parser
from portrait.precision import choose_precision

DEBUG = HTBSRConfig.preset("debug")


@pytest.mark.parametrize(("name", "expected"), [("auto", torch.float32), ("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_every_name_has_its_type(name: str, expected: torch.dtype):
    assert choose_precision(name, DEBUG) == expected


@pytest.mark.parametrize(("name", "preset"), [("half", "debug"), ("bfloat16", "release")])
def test_what_cannot_be_is_said(name: str, preset: str):
    with pytest.raises(PortraitError, match="E_PRECISION"):
        choose_precision(name, HTBSRConfig.preset(preset))


def test_the_command_line_offers_them():
    words = ["animate", "a.jpg", "--audio", "a.wav", "-o", "o.mp4"]
    assert build_parser().parse_args(words).precision == "auto"
    assert [build_parser().parse_args([*words, "--precision", name]).precision for name in PRECISIONS] == list(PRECISIONS)


def test_published_fusion_refuses_to_fold_in_another_type():
    network = HTBSR(replace(DEBUG, head_skip=False, final_composite=False)).eval()
    with pytest.raises(ValueError, match="final_composite"):
        network.fold(torch.bfloat16)
