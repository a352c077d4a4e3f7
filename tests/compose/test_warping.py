"""Full-resolution warps: known shifts, borders, continued colours."""

import pytest
import torch
from compose.halving_numba import halved
from compose.motion import identity_grid
from compose.warping import bleed, bleed_torch, enlarge_grid, planar_motion, resize, soften, warp_image
from core.nn.morphology import erode


def test_zero_offset_is_exact():
    image = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(warp_image(image, torch.zeros(2, 16, 16, 2)), image, atol=1e-6, rtol=0)


def test_offset_moves_by_the_known_number_of_pixels():
    image = torch.rand(1, 3, 16, 16)
    offset = torch.tensor([-3, 2]).expand(1, 16, 16, 2) * (2 / 16)  # look 3 left and 2 down: content goes right and up
    moved = warp_image(image, offset)
    torch.testing.assert_close(moved[:, :, :14, 3:], image[:, :, 2:, :13], atol=1e-5, rtol=0)
    torch.testing.assert_close(moved[:, :, 15, 3:], image[:, :, 15, :13], atol=1e-5, rtol=0)  # the border goes on


def test_reflection_mirrors_the_image():
    image = torch.rand(1, 1, 16, 16)
    moved = warp_image(image, torch.tensor([0, 2]).expand(1, 16, 16, 2) * (2 / 16), "reflection")
    torch.testing.assert_close(moved[0, 0, 14:], image[0, 0, 14:].flip(0), atol=1e-5, rtol=0)


def test_planar_motion_forgets_depth_and_keeps_translations():
    grid = identity_grid(4, 8, 8, torch.zeros(1))
    shift = torch.tensor([0.1, -0.2, 0.7])
    motion = planar_motion((grid + shift)[None], 32)
    torch.testing.assert_close(motion, shift[:2].expand(1, 32, 32, 2))


def test_bleed_keeps_the_inside_and_continues_it_outside():
    image = torch.full((1, 3, 32, 32), -1.0)
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 20:, :16] = 1
    image[..., 20:, :16] = torch.tensor([0.5, 0.1, -0.3]).view(1, 3, 1, 1)
    filled = bleed(image, mask)
    torch.testing.assert_close(filled, torch.tensor([0.5, 0.1, -0.3]).view(1, 3, 1, 1).expand_as(filled))


def test_bleed_of_nothing_is_nothing():
    assert not bleed(torch.ones(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)).any()


def test_soft_mask_stays_inside_and_touches_the_border():
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 6:, 4:12] = 1
    soft = soften(mask, 1)
    assert (soft <= mask + 1e-6).all()
    assert soft[0, 0, 15, 8] == 1
    assert 0 < soft[0, 0, 10, 4] < 1
    assert erode(mask, 2).sum() == 8 * 4


def test_enlarged_grids_are_bilinear_and_keep_their_order():
    ramp = torch.linspace(-1, 1, 9)[1::2]  # middles of 4 cells, linear in place: bilinear keeps it
    grid = torch.stack(torch.meshgrid(ramp, 2 * ramp, indexing="xy"), -1)[None]
    found = enlarge_grid(grid, 16)
    fine = torch.linspace(-1, 1, 33)[1::2].clamp(-0.75, 0.75)  # beyond the outermost middles the border goes on
    torch.testing.assert_close(found, torch.stack(torch.meshgrid(fine, 2 * fine, indexing="xy"), -1)[None])


@pytest.mark.parametrize(("side", "channels", "batch"), [(64, 4, 1), (8, 2, 3), (2, 3, 1)])
def test_compiled_bleeding_equals_tensors(side: int, channels: int, batch: int):
    torch.manual_seed(side)
    image, mask = torch.randn(batch, channels, side, side), (torch.rand(batch, 1, side, side) - 0.9).clamp_min(0) * 10
    with torch.no_grad():
        torch.testing.assert_close(bleed(image, mask), bleed_torch(image, mask), atol=2e-6, rtol=0)


@pytest.mark.parametrize("side", [4, 6, 32, 130])
def test_halving_equals_the_library_s_antialiased_resizing(side: int):
    torch.manual_seed(side)
    image = torch.randn(2, 3, side, side)
    with torch.no_grad():
        found = resize(image, side // 2)
    torch.testing.assert_close(found, resize(image.requires_grad_(), side // 2), atol=2e-6, rtol=0)
    torch.testing.assert_close(halved(image.detach().transpose(2, 3)).transpose(2, 3), found, atol=2e-6, rtol=0)
