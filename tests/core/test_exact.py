"""Geometry does not lose its precision in the middle of mixed-precision networks."""

import pytest
import torch
from core.camera import FIT_FOCAL, Camera, rotation_from_euler
from core.exact import exact
from core.face.model import FaceModel, pose_points

EULER, TRANS = torch.tensor([[0.1, -0.3, 0.05]]), torch.tensor([[0.2, -0.1, 0.6]])


def camera() -> Camera:
    return Camera.from_pose(EULER, TRANS, FIT_FOCAL)


def points() -> torch.Tensor:
    return torch.rand(1, 50, 3, generator=torch.Generator().manual_seed(0)) - 0.5


@pytest.mark.parametrize(
    "function",
    [
        lambda: rotation_from_euler(EULER),
        lambda: camera().label,
        lambda: torch.cat(camera().to_pose()),
        lambda: camera().project(points())[0],
        lambda: camera().rays(16).directions,
        lambda: FaceModel.embedded().vertices(torch.ones(1, 80), torch.ones(1, 64)),
        lambda: FaceModel.embedded().keypoints(torch.ones(1, 80), torch.ones(1, 64), 68),
        lambda: pose_points(points(), EULER, TRANS),
    ],
)
def test_equal_under_autocast(function) -> None:
    expected = function()
    with torch.autocast("cpu", torch.bfloat16):
        found = function()
        assert (points() @ points().mT).dtype == torch.bfloat16
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_autocast_goes_on_afterwards() -> None:
    @exact
    def product(x: torch.Tensor) -> torch.Tensor:
        return x @ x.mT

    with torch.autocast("cpu", torch.bfloat16):
        assert product(points()).dtype == torch.float32
        assert (points() @ points().mT).dtype == torch.bfloat16
