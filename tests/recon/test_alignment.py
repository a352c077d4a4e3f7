"""Alignment against points projected by hand."""

import pytest
import torch
from core.camera import FIT_FOCAL, WORLD_SCALE, WORLD_SHIFT, Camera, rotation_from_euler
from recon import I2P, I2PConfig
from recon.alignment import AVERAGE_HEAD, head_frame, unturned_frame, with_outline

EXTENT, SIZE = 0.8, 64


def spot(x, y, size=512, radius=0.012):
    """White disc around normalised (x, y) on black."""
    ticks = (torch.arange(size) + 0.5) / size
    return (((ticks[None] - x) ** 2 + (ticks[:, None] - y) ** 2) < radius**2).float().expand(1, 3, size, size) * 2 - 1


def centre_of(image):
    weight = (image[0, 0] + 1) / 2
    ticks = (torch.arange(image.shape[-1]) + 0.5) / image.shape[-1]
    return (weight * ticks[None]).sum() / weight.sum(), (weight * ticks[:, None]).sum() / weight.sum()


@pytest.mark.parametrize("point", [(0.0, 0.0), (0.5, 0.4), (-0.6, 0.3)])
@pytest.mark.parametrize(("roll", "depth", "shift"), [(0.0, 0.0, 0.0), (0.3, -2.0, 0.2), (-0.4, 1.0, -0.3)])
def test_points_at_the_depth_of_the_face_land_on_their_plane_cells(point, roll, depth, shift):
    """3DMM points of depth 0 under roll, translation and distance come back to world x, y."""
    euler, trans = torch.tensor([[0.0, 0.0, roll]]), torch.tensor([[shift, 0.5 * shift, depth]])
    posed = rotation_from_euler(euler)[0] @ torch.tensor([*point, 0.0]) + trans[0]
    image = FIT_FOCAL * posed[:2] / (10 - posed[2])
    aligned = head_frame(spot(0.5 + image[0], 0.5 - image[1]), Camera.from_pose(euler, trans, FIT_FOCAL), SIZE, EXTENT)
    x, y = centre_of(aligned)
    world = WORLD_SCALE * torch.tensor(point) + torch.tensor(WORLD_SHIFT[:2])
    assert x == pytest.approx(0.5 + world[0].item() / EXTENT, abs=0.3 / SIZE)
    assert y == pytest.approx(0.5 - world[1].item() / EXTENT, abs=0.3 / SIZE)


def test_outside_the_source_is_empty():
    aligned = head_frame(
        torch.ones(1, 3, 64, 64), Camera.from_pose(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 4.0]]), FIT_FOCAL), SIZE, EXTENT
    )
    assert aligned[0, :, 0, 0].tolist() == [-1.0] * 3
    assert aligned[0, :, 32, 32].tolist() == pytest.approx([1.0] * 3)


def test_tiny_asks_for_the_camera():
    with pytest.raises(ValueError, match="camera"):
        I2P(I2PConfig.preset("tiny"))(torch.zeros(1, 3, 64, 64))


@pytest.mark.parametrize("euler", [(0.0, 0.0, 0.0), (0.0, 0.5, 0.0), (-0.3, -0.4, 0.2)])
def test_points_of_an_average_head_return_to_the_front(euler):
    """A spot painted where the camera sees a point of the ellipsoid comes to lie where the front view has that point."""
    camera = Camera.from_pose(torch.tensor([euler]), torch.tensor([[0.1, -0.05, 0.5]]), FIT_FOCAL)
    (cx, cy, cz), (rx, ry, rz) = AVERAGE_HEAD
    for x, y in ((0.0, 0.1), (0.08, -0.1), (-0.07, 0.05)):
        z = cz + rz * (1 - ((x - cx) / rx) ** 2 - ((y - cy) / ry) ** 2) ** 0.5
        u, v = camera.project(torch.tensor([[[x, y, z]]]))[0][0, 0]
        found = centre_of(unturned_frame(spot(u, v), camera, SIZE, EXTENT))
        assert torch.stack(found).tolist() == pytest.approx([0.5 + x / EXTENT, 0.5 - y / EXTENT], abs=0.5 / SIZE)


def test_dark_hair_is_not_empty():
    """The outline is that of a disc whose pixels are nearly black, whatever noise a codec leaves beside it."""
    noise = 3 / 255 * torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    inside = (spot(0.5, 0.5, 64, 0.3)[:, :1] > 0).float()
    hair = torch.tensor([12.0, 16.0, 20.0]).view(1, 3, 1, 1) / 255
    found = with_outline(2 * (inside * hair + (1 - inside) * noise) - 1)
    assert torch.equal(found[:, 3:], 2 * inside - 1)
    assert torch.equal(found[:, :3], 2 * (inside * hair + (1 - inside) * noise) - 1)


def test_the_outline_is_written_to_the_planes():
    """Straight to the planes: what its weights add is opposite within a disc and beside it, whatever the colours do."""
    torch.manual_seed(0)
    i2p = I2P(I2PConfig.preset("tiny")).eval()
    camera, photo = Camera.from_pose(torch.zeros(1, 3), torch.zeros(1, 3), FIT_FOCAL), spot(0.5, 0.5, 256, 0.2)
    with torch.no_grad():
        without = i2p(photo, camera)
        i2p.direct.weight[:, 3] = 0.1
        added = i2p(photo, camera) - without
    middle, corner = added[0, 0, :, 48, 48], added[0, 0, :, 4, 4]
    torch.testing.assert_close(middle, torch.full_like(middle, 9 * 0.1))
    torch.testing.assert_close(corner, torch.full_like(corner, -9 * 0.1))
