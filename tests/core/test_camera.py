"""Camera labels, poses, the look-at sampler and rays."""

import math

import numpy as np
import torch
from core.camera import EG3D_FOCAL, FIT_FOCAL, WORLD_SCALE, WORLD_SHIFT, Camera, Window, euler_from_rotation, length, rotation_from_euler
from core.face import pose_points, project
from scipy.spatial.transform import Rotation


def some_pose(count: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    euler = (torch.rand(count, 3, generator=generator) - 0.5) * torch.tensor([1.0, 2.4, 1.0])
    return euler, (torch.rand(count, 3, generator=generator) - 0.5) * torch.tensor([1.0, 1.0, 8.0])


def through(camera: Camera, points: torch.Tensor) -> torch.Tensor:
    """Project world points with nothing but the label's matrices."""
    world2cam = torch.linalg.inv(camera.cam2world)
    local = points @ world2cam[:, :3, :3].transpose(1, 2) + world2cam[:, None, :3, 3]
    image = local @ camera.intrinsics.transpose(1, 2)
    return image[..., :2] / image[..., 2:]


def test_rotation_is_scipys() -> None:
    euler, _ = some_pose()
    expected = Rotation.from_euler("xyz", euler.numpy()).as_matrix()
    np.testing.assert_allclose(rotation_from_euler(euler).numpy(), expected, atol=1e-6)
    torch.testing.assert_close(euler_from_rotation(rotation_from_euler(euler)), euler)


def test_pose_roundtrip() -> None:
    euler, trans = some_pose()
    back = Camera.from_pose(euler, trans, FIT_FOCAL).to_pose()
    torch.testing.assert_close(back[0], euler, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(back[1], trans, rtol=1e-4, atol=1e-4)


def test_pose_camera_shows_what_the_posed_face_shows() -> None:
    """Turning the face in front of the 3DMM camera and moving the camera around the canonical head give the same picture."""
    euler, trans = some_pose()
    points = torch.rand(len(euler), 20, 3, generator=torch.Generator().manual_seed(1)) * 1.6 - 0.8
    world = WORLD_SCALE * points + torch.tensor(WORLD_SHIFT)
    expected = project(pose_points(points, euler, trans))
    torch.testing.assert_close(through(Camera.from_pose(euler, trans, FIT_FOCAL), world), expected, rtol=1e-4, atol=1e-5)


def test_zero_pose_is_the_frontal_camera() -> None:
    camera = Camera.from_pose(torch.zeros(1, 3), torch.zeros(1, 3))
    torch.testing.assert_close(camera.cam2world[0, :3, :3], torch.diag(torch.tensor([1.0, -1, -1])))
    torch.testing.assert_close(camera.cam2world[0, :3, 3], torch.tensor([0, 0.006, 2.861]), rtol=1e-5, atol=1e-6)
    assert math.isclose(float(camera.intrinsics[0, 0, 0]), EG3D_FOCAL, rel_tol=1e-6)


def test_look_at_frontal_and_pivot() -> None:
    zero = torch.zeros(1)
    frontal = Camera.look_at(zero, zero, torch.full((1,), 2.7), pivot=(0.0, 0.0, 0.0))
    torch.testing.assert_close(frontal.cam2world[0, :3, :3], torch.diag(torch.tensor([1.0, -1, -1])), rtol=0, atol=1e-6)
    torch.testing.assert_close(frontal.cam2world[0, :3, 3], torch.tensor([0, 0, 2.7]))
    turned = Camera.look_at(torch.tensor([0.4, -0.7]), torch.tensor([0.2, -0.3]), torch.tensor([2.7, 2.4]))
    torch.testing.assert_close(through(turned, torch.tensor([[[0.0, 0.0, 0.2]]]).expand(2, 1, 3)), torch.full((2, 1, 2), 0.5))
    assert turned.cam2world[0, 1, 3] < 0 < turned.cam2world[1, 1, 3]  # positive pitch looks from below
    assert turned.cam2world[0, 0, 3] > 0 > turned.cam2world[1, 0, 3]
    rotation = turned.cam2world[:, :3, :3]
    torch.testing.assert_close(rotation @ rotation.transpose(1, 2), torch.eye(3).expand(2, 3, 3), rtol=0, atol=1e-6)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(2))


def test_rays_go_through_their_pixels() -> None:
    euler, trans = some_pose(3)
    camera = Camera.from_pose(euler, trans)
    rays = camera.rays(8)
    torch.testing.assert_close(rays.directions.norm(dim=2), torch.ones(3, 64))
    pixels = through(camera, rays.origins + 2.5 * rays.directions).unflatten(1, (8, 8))
    centres = (torch.arange(8) + 0.5) / 8
    torch.testing.assert_close(pixels[..., 0], centres.expand(3, 8, 8), rtol=0, atol=1e-5)
    torch.testing.assert_close(pixels[..., 1], centres[:, None].expand(3, 8, 8), rtol=0, atol=1e-5)


def test_rays_of_a_window_are_those_of_the_image() -> None:
    euler, trans = some_pose(2)
    camera = Camera.from_pose(euler, trans)
    window = Window(torch.tensor([1, 3]), torch.tensor([4, 0]), 4)
    whole = camera.rays(8).directions.unflatten(1, (8, 8)).permute(0, 3, 1, 2)
    part = camera.rays(8, window).directions.unflatten(1, (4, 4)).permute(0, 3, 1, 2)
    torch.testing.assert_close(part, window.crop(whole))


def test_window_scales_with_the_image() -> None:
    image = torch.arange(2 * 8 * 8.0).reshape(2, 1, 8, 8)
    window = Window(torch.tensor([0, 1]), torch.tensor([2, 1]), 2)
    assert torch.equal(window.crop(image, 2)[1, 0], image[1, 0, 2:6, 2:6])


def test_projection_inverts_rays():
    torch.manual_seed(0)
    camera = Camera.from_pose(0.4 * torch.randn(2, 3), torch.randn(2, 3) * 0.3, FIT_FOCAL)
    rays, distance = camera.rays(5), 1 + torch.rand(2, 25)
    place, found = camera.project(rays.origins + rays.directions * distance[..., None])
    ticks = (torch.arange(5) + 0.5) / 5
    y, x = torch.meshgrid(ticks, ticks, indexing="ij")
    torch.testing.assert_close(place, torch.stack([x, y], -1).flatten(0, 1).expand(2, -1, -1), atol=1e-5, rtol=0)
    torch.testing.assert_close(found, distance, atol=1e-5, rtol=0)


def test_lengths_are_euclidean():
    vectors = torch.tensor([[[3.0, 4.0, 12.0], [0.0, 0.0, 0.0]], [[-1.0, 2.0, 2.0], [1e-6, 0.0, 0.0]]])
    torch.testing.assert_close(length(vectors), torch.tensor([[13.0, 0.0], [3.0, 1e-6]]))
