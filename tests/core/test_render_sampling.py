"""Ray bounds against geometry, strata and importance sampling against their definitions."""

import math

import numpy as np
import pytest
import torch
from core.camera import Camera, Rays
from core.render.sampling import importance, merged_ranks, ray_bounds, smooth_weights, stratified
from torch.nn import functional as F


def straight(x, y):
    return Rays(torch.tensor([[[x, y, 2.0]]]), torch.tensor([[[0.0, 0.0, -1.0]]]))


def test_bounds_of_box_and_ellipsoid_along_an_axis():
    near, far, hit = ray_bounds(straight(0.1, 0.2))
    assert (near.item(), far.item(), hit.item()) == pytest.approx((1.5, 2.5, True))
    near, far, hit = ray_bounds(straight(0.3, 0.0), centre=(0.0, 0.0, 0.1), radius=(0.5, 0.4, 0.25))
    half = 0.25 * math.sqrt(1 - 0.36)
    assert (near.item(), far.item(), hit.item()) == pytest.approx((1.9 - half, 1.9 + half, True))


@pytest.mark.parametrize(("x", "radius"), [(0.6, None), (0.3, (0.2, 0.4, 0.4))])
def test_rays_that_miss_have_no_extent(x, radius):
    near, far, hit = ray_bounds(straight(x, 0.0), radius=radius)
    assert not hit.item()
    assert near.item() == far.item() == pytest.approx(math.hypot(x, 2.0))


def test_bounds_lie_on_the_surface_of_the_box():
    rays = Camera.look_at(torch.tensor([0.5]), torch.tensor([0.2]), torch.tensor([2.7])).rays(16)
    near, far, hit = ray_bounds(rays)
    for depth in (near, far):
        points = rays.origins + depth[..., None] * rays.directions
        torch.testing.assert_close(points[hit].abs().amax(-1), torch.full((int(hit.sum()),), 0.5), atol=1e-5, rtol=0)


def test_strata():
    near, far = torch.tensor([[1.0]]), torch.tensor([[2.0]])
    torch.testing.assert_close(stratified(near, far, 4, "textbook", 0.5)[0, 0], torch.tensor([1.125, 1.375, 1.625, 1.875]))
    torch.testing.assert_close(stratified(near, far, 5, "eg3d", 0.5)[0, 0], torch.linspace(1, 2, 5) + 0.125)  # past the end, as published


def test_smoothing_is_max_then_mean_pooling():
    weights = torch.rand(1, 3, 9)
    expected = F.avg_pool1d(F.max_pool1d(weights[0][:, None], 2, 1, padding=1), 2, 1)[:, 0] + 0.01
    torch.testing.assert_close(smooth_weights(weights, 0.01)[0], expected)


def test_textbook_samples_follow_the_weights():
    depths = torch.linspace(0, 1, 5)[None, None]
    weights = torch.tensor([[[0.0, 0.0, 0.9, 0.0]]])
    fine = importance(depths, weights, 400, "textbook", 0.5, floor=0.0)[0, 0]
    share = torch.histc(fine, 4, 0, 1) / 400  # smoothing spreads the weight of interval 2 to its neighbours
    torch.testing.assert_close(share, torch.tensor([0.0, 0.25, 0.5, 0.25]), atol=0.01, rtol=0)
    assert (fine.diff() >= 0).all()


def test_eg3d_samples_are_shifted_and_skip_the_last_bin():
    depths = torch.linspace(0, 1, 11)[None, None]
    fine = importance(depths, torch.zeros(1, 1, 10), 1000, "eg3d", 0.5)[0, 0]
    assert fine.min().item() == pytest.approx(0.05, abs=1e-3)
    assert fine.max().item() == pytest.approx(0.85, abs=1e-3)  # of mid-depths up to 0.95


def test_ranks_merge_sorted_lists_with_ties():
    coarse = torch.tensor([[[0.0, 1.0, 1.0, 3.0]]])
    fine = torch.tensor([[[0.5, 1.0, 4.0]]])
    rank = merged_ranks(coarse, fine)
    union = torch.zeros(1, 1, 7).scatter(-1, rank, torch.cat([coarse, fine], -1))
    np.testing.assert_allclose(union[0, 0], np.sort(np.concatenate([coarse[0, 0], fine[0, 0]])))
    assert sorted(rank[0, 0].tolist()) == list(range(7))
