"""Plain copies for inference: the same results, and originals that are left alone."""

from dataclasses import replace

import pytest
import torch
from compose import HTBSRConfig
from compose.folding import SHALLOW, ShallowConv3d, folded
from compose.torso import TorsoBranch
from torch import nn


@pytest.mark.parametrize("kernel", [1, 3, 7])
@pytest.mark.parametrize("depth", range(2, SHALLOW + 1))
def test_shallow_convolutions_are_convolutions(kernel: int, depth: int):
    torch.manual_seed(0)
    conv, x = nn.Conv3d(4, 5, kernel, padding=kernel // 2), torch.randn(2, 4, depth, 6, 8)
    with torch.no_grad():
        torch.testing.assert_close(ShallowConv3d(conv, depth)(x), conv(x), atol=1e-5, rtol=1e-4)


def trained(config: HTBSRConfig) -> TorsoBranch:
    """With statistics and weights that no initialisation gives."""
    torch.manual_seed(0)
    branch = TorsoBranch(config).eval()
    for name, tensor in branch.state_dict().items():
        if name.endswith(("running_mean", "bias")):
            tensor.normal_(std=0.3)
        elif "norm" in name or (name.endswith(("running_var", "weight")) and tensor.ndim == 1):
            tensor.uniform_(0.5, 2)
    nn.init.normal_(branch.motion.mask.weight, std=0.1)
    return branch


@pytest.mark.parametrize("change", [{}, {"torso": "v2"}, {"volume_depth": SHALLOW + 1}, {"warp_skip": False}], ids=str)
def test_a_folded_branch_gives_the_same_torso_and_training_takes_it_back(change: dict):
    config = replace(HTBSRConfig.preset("debug"), **change)
    branch, size = trained(config), 64
    image, segmap = torch.rand(1, 3, size, size) * 2 - 1, torch.zeros(1, 6, size, size)
    segmap[:, 4, 20:] = 1
    head = torch.randn(1, 4, 16, 16) if config.torso == "v2" else None
    keypoints = torch.rand(2, 1, len(config.keypoints), 3) - 0.5
    before = {name: tensor.clone() for name, tensor in branch.state_dict().items()}
    with torch.no_grad():
        features = branch.prepare(image, segmap)
        expected = branch(features, *keypoints, head)
        branch.fold()
        found = branch(features, *keypoints, head)
    assert branch.state_dict().keys() == before.keys()
    assert all(torch.equal(before[name], tensor) for name, tensor in branch.state_dict().items())
    for name in ("hidden", "image", "mask", "occlusion", "deformation"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), atol=1e-4, rtol=1e-4)
    branch.train()
    assert branch.plain is None
    branch.motion.mask.weight.grad = None
    branch(features, *keypoints, head).image.sum().backward()
    assert branch.motion.mask.weight.grad is not None


def test_folding_leaves_nothing_to_work_out():
    branch = TorsoBranch(HTBSRConfig.preset("debug")).eval()
    kinds = {type(part) for network in (branch.motion, branch.decoder) for part in folded(network, 3).modules()}
    assert nn.Conv3d not in kinds
    assert nn.BatchNorm3d not in kinds
    assert not any("Parametrized" in kind.__name__ for kind in kinds)
