"""Key-point motion against closed forms."""

import math

import pytest
import torch
from compose.motion import DenseMotion, identity_grid, keypoint_heatmaps, scale_gradient, sparse_motions
from torch.nn import functional as F


def estimator(context: bool = False) -> DenseMotion:
    torch.manual_seed(0)
    return DenseMotion((4, 2), 3, (8, 8), 4, 3, 0.01, head_context=context).eval()


def points(*xy: tuple[float, float]) -> torch.Tensor:
    return torch.tensor([[[x, y, 0.0] for x, y in xy]])


def test_identity_grid_leaves_a_volume_unchanged():
    volume = torch.rand(1, 2, 3, 4, 5)
    grid = identity_grid(3, 4, 5, volume)
    assert grid[2, 0, 4].tolist() == [1, -1, 1]  # x, y, z
    torch.testing.assert_close(F.grid_sample(volume, grid[None], align_corners=True), volume)


def test_heatmaps_are_gaussians():
    keypoints = torch.tensor([[[0.2, -0.4, 0.0], [-1.0, 1.0, 0.5]]])
    grid = identity_grid(3, 8, 6, keypoints)
    heat = keypoint_heatmaps(keypoints, grid, 0.05)
    for k, d, h, w in ((0, 1, 3, 4), (1, 2, 7, 0), (0, 0, 0, 0)):
        distance = sum((grid[d, h, w, i] - keypoints[0, k, i]).item() ** 2 for i in range(3))
        assert heat[0, k, d, h, w].item() == pytest.approx(math.exp(-distance / 0.1), rel=1e-4, abs=1e-12)


def test_sparse_motions_look_back_at_the_source():
    grid = identity_grid(2, 4, 4, torch.zeros(1))
    motions = sparse_motions(points((0.1, 0.2)), points((0.4, 0.1)), grid)
    torch.testing.assert_close(motions[0, 0], grid)
    torch.testing.assert_close(motions[0, 1] - grid, torch.tensor([-0.3, 0.1, 0.0]).expand(2, 4, 4, 3))


def test_starts_as_the_mean_translation():
    motion = estimator()
    motion.start_from_translation()
    source = points((-0.3, 0.0), (0.0, 0.4), (0.3, 0.0))
    result = motion(torch.randn(1, 4, 2, 8, 8), source, source + torch.tensor([0.25, -0.125, 0.0]))
    shift = result.deformation - identity_grid(2, 8, 8, source)
    torch.testing.assert_close(shift, torch.tensor([-0.25, 0.125, 0.0]).expand_as(shift), atol=3e-3, rtol=0)


def test_deformation_is_a_convex_mix_of_motions():
    motion = estimator()
    source, driving = points((-0.3, 0.0), (0.0, 0.4), (0.3, 0.0)), points((-0.1, 0.1), (0.3, 0.4), (0.2, -0.3))
    shifts = F.pad(source - driving, (0, 0, 1, 0))[0]
    result = motion(torch.randn(1, 4, 2, 8, 8), source, driving)
    shift = (result.deformation - identity_grid(2, 8, 8, source)).flatten(0, -2)
    assert (shift <= shifts.amax(0) + 1e-6).all()
    assert (shift >= shifts.amin(0) - 1e-6).all()
    assert (result.occlusion > 0).all()
    assert result.torso_occlusion.shape == (1, 1, 8, 8)


def test_version_2_looks_at_the_head():
    motion = estimator(context=True)
    compressed, source = torch.randn(1, 4, 2, 8, 8), points((-0.3, 0.0), (0.0, 0.4), (0.3, 0.0))
    a, b = (motion(compressed, source, source, torch.randn(1, 4, 16, 16)) for _ in range(2))
    assert not torch.allclose(a.occlusion, b.occlusion)


def test_gradient_is_scaled_and_value_is_not():
    x = torch.ones(3, requires_grad=True)
    y = scale_gradient(x, 0.1)
    y.sum().backward()
    torch.testing.assert_close(y.detach(), torch.ones(3))
    torch.testing.assert_close(x.grad, torch.full((3,), 0.1))


def test_places_are_not_rounded_in_mixed_precision():
    """Equal key points move nothing: what half precision would round is the grid itself."""
    network, still = estimator(), points((0.1, 0.2), (-0.3, 0.4), (0.0, -0.5))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        motion = network(torch.rand(1, 4, 2, 16, 16).bfloat16(), still, still)
    grid = identity_grid(2, 16, 16, still)
    torch.testing.assert_close(motion.deformation[0], grid, atol=1e-5, rtol=0)
