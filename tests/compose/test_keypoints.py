"""Key points that a network finds by itself, against closed forms."""

from dataclasses import replace

import pytest
import torch
from compose import HTBSR, HTBSRConfig
from compose.keypoints import KeypointDetector, equivariance, expected_place
from core.hub import parameter_count
from torch import nn
from torch.nn import functional as F

LEARNED = replace(HTBSRConfig.preset("debug"), head_skip=False, keypoint_source="learned")


def test_a_sharp_peak_is_its_own_place():
    logits = torch.full((1, 2, 5, 9), -20.0)
    logits[0, 0, 0, 8] = logits[0, 1, 3, 2] = 20.0
    torch.testing.assert_close(expected_place(logits)[0], torch.tensor([[1.0, -1.0, 0.0], [-0.5, 0.5, 0.0]]))
    torch.testing.assert_close(expected_place(torch.zeros(1, 1, 4, 4)), torch.zeros(1, 1, 3), atol=1e-6, rtol=0)


class Centroid(nn.Module):
    """Finds the centre of brightness: a detector that sticks to what it marks."""

    def forward(self, head):
        bright = (head[:, :1] + 1).clamp_min(1e-6)
        return expected_place(bright.log() * 0.1)  # undoes the temperature: the plain mean


class Middle(nn.Module):
    """Always says the same."""

    def forward(self, head):
        return head.new_full((len(head), 1, 3), 0.3)


def test_equivariance_tells_marks_from_constants():
    blob = torch.exp(-((torch.stack(torch.meshgrid(*[torch.linspace(-1, 1, 64)] * 2, indexing="xy")) - 0.1) ** 2).sum(0) / 0.02)
    heads = (2 * blob - 1).expand(6, 3, -1, -1)
    sticks = equivariance(Centroid(), heads, torch.Generator().manual_seed(0))
    stays = equivariance(Middle(), heads, torch.Generator().manual_seed(0))
    assert sticks < 0.01 < 0.05 < stays


def frame(seed):
    generator = torch.Generator().manual_seed(seed)
    head = torch.rand(1, 8, 16, 16, generator=generator) * 2 - 1
    points = torch.rand(1, 68, 3, generator=generator) - 0.5
    return head, torch.rand(1, 1, 16, 16, generator=generator), points


def source(seed=3):
    generator = torch.Generator().manual_seed(seed)
    torso, background, head = (torch.rand(1, 3, 64, 64, generator=generator) * 2 - 1 for _ in range(3))
    return torso, torch.eye(6)[torch.full((1, 64, 64), 4)].permute(0, 3, 1, 2), background, head


@torch.no_grad()
def test_learned_points_replace_those_of_the_face():
    torch.manual_seed(0)
    network = HTBSR(LEARNED).eval()
    nn.init.normal_(network.detector.heat.weight, std=1.0)
    torso, segmap, background, head = source()
    prepared = network.prepare(torso, segmap, background, head_image=head)
    small = F.interpolate(head, size=(16, 16), mode="bilinear", antialias=True)
    torch.testing.assert_close(prepared.keypoints, network.detector(small))
    (feature, weights, points), (_, _, others) = frame(0), frame(1)
    one = network(feature, weights, prepared, points, points)
    torch.testing.assert_close(one.image, network(feature, weights, prepared, points, others).image)
    expected = network.torso.motion(prepared.torso.compressed, prepared.keypoints, network.detector(feature[:, :3])).deformation
    torch.testing.assert_close(one.deformation, expected)
    assert prepared.expand(3).keypoints.shape == (3, 4, 3)


def test_learned_points_need_the_head():
    torso, segmap, background, _ = source()
    with pytest.raises(ValueError, match="head_image"):
        HTBSR(LEARNED).prepare(torso, segmap, background)


def test_gradients_reach_the_detector_through_the_picture():
    torch.manual_seed(0)
    network = HTBSR(LEARNED)
    torso, segmap, background, head = source()
    feature, weights, points = frame(0)
    network(feature, weights, network.prepare(torso, segmap, background, head_image=head), points, points).image.square().mean().backward()
    assert all(p.grad is not None for p in network.detector.parameters())


@pytest.mark.parametrize("preset", ["debug", "tiny", "paper", "release"])
def test_presets_have_no_detector_unless_asked(preset):
    config = HTBSRConfig.preset(preset)
    with torch.device("meta"):
        plain, learned = (HTBSR(replace(config, keypoint_source=kind)) for kind in ("face", "learned"))
    assert plain.detector is None
    assert config.keypoint_source == "face"
    assert parameter_count(learned) - parameter_count(plain) == parameter_count(learned.detector) > 0
    assert isinstance(learned.detector, KeypointDetector)
