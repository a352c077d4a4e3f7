"""Sampling of tri-planes: compiled gather against grid_sample, axes, flips."""

import pytest
import torch
from core.render.triplane import PlaneSampler, flip_planes, sample_planes, sample_planes_torch


@pytest.mark.parametrize("plane_axes", ["eg3d", "xyz"])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (5, 7)])
def test_compiled_gather_equals_grid_sample(plane_axes, height, width):
    torch.manual_seed(0)
    planes = torch.randn(2, 3, 5, height, width, requires_grad=True)
    points = (torch.rand(2, 400, 3) - 0.5) * 1.3  # some outside the box, some in the border texels
    results, gradients = [], []
    cotangent = torch.randn(2, 400, 5)
    for sample in (sample_planes, sample_planes_torch):
        out = sample(planes, points, plane_axes)
        results.append(out.detach())
        gradients.append(torch.autograd.grad(out, planes, cotangent)[0])
    torch.testing.assert_close(*results, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-4)


def test_threads_do_not_change_the_result():
    torch.manual_seed(0)
    planes, points = torch.randn(2, 3, 4, 8, 8, requires_grad=True), torch.rand(2, 40000, 3) - 0.5
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            out = sample_planes(planes, points)
            results.append((out.detach(), torch.autograd.grad(out.square().sum(), planes)[0]))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


def test_points_get_gradients_and_double_precision_stays():
    planes = torch.randn(1, 3, 2, 4, 4, dtype=torch.float64)
    points = ((torch.rand(1, 6, 3, dtype=torch.float64) - 0.5) * 0.7).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: PlaneSampler(planes)(p), (points,))


@pytest.mark.parametrize(("plane_axes", "axes"), [("eg3d", "xy xz zx"), ("xyz", "xy xz zy")])
def test_planes_span_the_named_axes(plane_axes, axes):
    """A plane that equals its column coordinate (then its row) gives back that coordinate of the point."""
    ramp = (torch.arange(64) + 0.5) / 64 - 0.5
    point = torch.tensor([[[0.1, -0.2, 0.3]]])
    for k, names in enumerate(axes.split()):
        for direction, name in zip((ramp[None, :].expand(64, 64), ramp[:, None].expand(64, 64)), names, strict=True):
            planes = torch.zeros(1, 3, 1, 64, 64)
            planes[0, k, 0] = direction
            value = 3 * sample_planes(planes, point, plane_axes).item()
            assert value == pytest.approx(point[0, 0, "xyz".index(name)].item(), abs=1e-5)


def test_flips_are_the_published_ones_and_their_own_inverse():
    planes = torch.randn(1, 3, 2, 3, 4)
    flipped = flip_planes(planes)
    assert torch.equal(flipped[:, :2], planes[:, :2].flip(-2))
    assert torch.equal(flipped[:, 2], planes[:, 2].flip(-2, -1))
    assert torch.equal(flip_planes(flipped), planes)
