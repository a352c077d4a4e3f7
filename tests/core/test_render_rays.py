"""Compiled rays and bounds against their tensors."""

import pytest
import torch
from core.camera import FIT_FOCAL, Camera, Rays
from core.compilable import compilable
from core.render.sampling import ray_bounds, ray_bounds_torch

VOLUMES = {
    "head": (0.76, (0.0, 0.0, 0.04), (0.36, 0.38, 0.33)),
    "box": (1.0, (0.0, 0.0, 0.0), None),
    "behind": (1.0, (0.0, 0.0, 9.0), (0.2, 0.2, 0.2)),
}


def cameras() -> Camera:
    torch.manual_seed(3)
    label = Camera.from_pose(0.4 * torch.randn(3, 3), torch.randn(3, 3) * torch.tensor([0.3, 0.3, 1.0]), FIT_FOCAL).label
    label[:, 17], label[:, 18], label[:, 21] = 0.05, 0.47, 0.52  # skew and centre
    return Camera(label)


@pytest.mark.parametrize("size", [1, 7, 64])
def test_rays_equal_tensors(size: int):
    camera = cameras()
    slow = camera.rays_torch(size, None)
    with torch.no_grad():
        fast = camera.rays(size)
    torch.testing.assert_close(fast.directions, slow.directions, atol=3e-7, rtol=0)
    assert torch.equal(fast.origins, slow.origins)


@pytest.mark.parametrize("name", VOLUMES)
def test_bounds_equal_tensors(name: str):
    rays = cameras().rays_torch(48, None)
    slow = ray_bounds_torch(rays, *VOLUMES[name])
    with torch.no_grad():
        fast = ray_bounds(rays, *VOLUMES[name])
    same = slow[2] == fast[2]
    assert same.float().mean() > 0.999  # rays that graze
    assert bool(slow[2].any()) == (name != "behind")
    for ours, theirs in zip(fast[:2], slow[:2], strict=True):
        torch.testing.assert_close(ours[same], theirs[same], atol=5e-5, rtol=0)


def test_rays_along_the_faces_of_a_box_and_from_inside():
    rays = Rays(
        torch.tensor([[[0.0, 0.0, 2.0], [0.5, 0.0, 2.0], [0.6, 0.0, 2.0], [0.0, 0.0, 0.0], [0.0, 0.0, -2.0]]]),
        torch.tensor([0.0, 0.0, -1.0]).expand(1, 5, 3),
    )
    with torch.no_grad():
        near, far, hit = ray_bounds(rays)
    for ours, theirs in zip((near, far, hit), ray_bounds_torch(rays, 1.0, (0.0, 0.0, 0.0), None), strict=True):
        assert torch.equal(ours, theirs)
    assert hit.tolist() == [[True, False, False, True, False]]
    assert near.tolist()[0][3] == 0.0


def test_gradients_and_halves_go_another_way():
    camera = cameras()
    assert not compilable(camera.label)
    with torch.no_grad():
        assert compilable(camera.label)
        assert not compilable(camera.label.double())
