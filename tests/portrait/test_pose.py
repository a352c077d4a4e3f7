import math

import numpy as np
import pytest
import torch
from core.camera import rotation_from_euler
from core.face.coeffs import FaceCoeffs
from portrait.pose import IDLE_EULER, NECK, idle_pose, map_to_init_pose, ping_pong, smooth_pose, static_pose

SOURCE = FaceCoeffs(torch.zeros(1, 80), torch.zeros(1, 64), torch.tensor([[0.1, -0.2, 0.05]]), torch.tensor([[0.1, 0.2, -0.3]]))


def test_static_pose_is_the_photographs():
    euler, trans = static_pose(SOURCE, 5)
    assert torch.equal(euler, SOURCE.euler.expand(5, 3))
    assert torch.equal(trans, SOURCE.trans.expand(5, 3))


def test_idle_motion_is_seeded_smooth_bounded_and_starts_at_the_photograph():
    euler, trans = idle_pose(SOURCE, 500, seed=3)
    assert torch.equal(euler[0], SOURCE.euler[0])
    assert torch.equal(trans[0], SOURCE.trans[0])
    offset = (euler - SOURCE.euler).abs().amax(0)
    assert (offset <= torch.tensor(IDLE_EULER) + 1e-6).all()
    assert (offset > torch.tensor(IDLE_EULER) * 0.3).all()
    # the fastest sine has 0.5 Hz: acceleration below amplitude * (2 pi 0.5 / 25)^2, the start adds a little
    limit = max(IDLE_EULER) * (math.pi / 25) ** 2 * 2
    assert euler.diff(n=2, dim=0).abs().max() < limit
    assert torch.equal(euler[:100], idle_pose(SOURCE, 100, seed=3)[0])
    assert not torch.allclose(euler, idle_pose(SOURCE, 500, seed=4)[0])


def test_idle_motion_leaves_the_neck_in_place():
    euler, trans = idle_pose(SOURCE, 200, seed=0)
    neck = rotation_from_euler(euler) @ torch.tensor(NECK) + trans
    assert torch.allclose(neck, neck[:1].expand_as(neck), atol=1e-5)


def test_map_to_init_pose_moves_the_clip_to_the_photograph_and_freezes_depth():
    torch.manual_seed(0)
    euler, trans = torch.randn(7, 3) * 0.1, torch.randn(7, 3)
    moved, shifted = map_to_init_pose(SOURCE, euler, trans)
    assert torch.allclose(moved[0], SOURCE.euler[0])
    assert torch.allclose(moved.diff(dim=0), euler.diff(dim=0), atol=1e-6)
    assert torch.allclose(shifted.diff(dim=0)[:, :2], trans.diff(dim=0)[:, :2], atol=1e-6)
    assert torch.equal(shifted[:, 2], SOURCE.trans[:, 2].expand(7))


@pytest.mark.parametrize(
    ("length", "frames", "expected"),
    [(1, 4, [0, 0, 0, 0]), (2, 5, [0, 1, 0, 1, 0]), (4, 10, [0, 1, 2, 3, 2, 1, 0, 1, 2, 3]), (5, 3, [0, 1, 2])],
)
def test_ping_pong(length, frames, expected):
    assert ping_pong(length, frames).tolist() == expected


def test_smoothing_keeps_a_still_pose_and_the_middle_of_a_line():
    still = SOURCE.euler.expand(9, 3)
    euler, trans = smooth_pose(still, SOURCE.trans.expand(9, 3))
    assert torch.allclose(euler, still, atol=1e-5)
    assert torch.allclose(trans, SOURCE.trans.expand(9, 3), atol=1e-6)
    line = torch.linspace(0, 0.3, 21)[:, None] * torch.tensor([[0.0, 1.0, 0.0]])
    turned, moved = smooth_pose(line, line)
    assert torch.allclose(turned[5:-5], line[5:-5], atol=1e-4)
    assert torch.allclose(moved[0], line[:4].mean(0), atol=1e-6)  # the window is cut at the ends


def test_smoothing_is_the_chordal_mean():
    from scipy.spatial.transform import Rotation

    torch.manual_seed(1)
    euler = torch.randn(7, 3) * 0.3
    smoothed, _ = smooth_pose(euler, torch.zeros(7, 3))
    mean = Rotation.from_matrix(rotation_from_euler(euler).numpy()).mean().as_matrix()
    assert np.allclose(rotation_from_euler(smoothed[3]).numpy(), mean, atol=1e-4)
