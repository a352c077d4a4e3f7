"""Compiled layers of full size against the readable ones."""

import pytest
import torch
from compose.box import Box
from compose.head_skip import LASHES, moved_head_torch
from compose.layers import Head, Layers, laid_over_torch
from compose.layers_numba import laid_over_compiled, moved_head, moved_torso
from compose.lookback import LookBack
from compose.motion import identity_grid
from compose.torso import MASK_FLOOR, TorsoFeatures, moved_torso_torch
from compose.warping import planar_offset
from torch.nn import functional as F

SIZE, RAW = 64, 16


def smooth(*shape: int, seed: int, spread: float = 1.0) -> torch.Tensor:
    """Something that varies slowly, as maps of motion do."""
    small = torch.randn(*shape[:2], 5, 5, generator=torch.Generator().manual_seed(seed))
    return spread * F.interpolate(small, shape[2:], mode="bicubic")


def head_view(seed: int, mouth: bool, lids: bool = True) -> LookBack:
    """A look back with shut lids in the middle rows, an open mouth below them, and places beyond the border."""
    ticks = (torch.arange(RAW) * 2 + 1) / RAW - 1
    place = torch.stack(torch.meshgrid(ticks, ticks, indexing="xy"), -1) + smooth(2, 2, RAW, RAW, seed=seed, spread=0.3).permute(0, 2, 3, 1)
    shut = torch.zeros(2, 2, 2 * RAW, 2 * RAW)
    if lids:
        shut[:, :, 9:14, 5:20] = torch.rand(2, 2, 5, 15, generator=torch.Generator().manual_seed(seed))
    inside = torch.zeros(2, 4, SIZE, SIZE)
    inside[0, :, 40:50, 20:40] = torch.rand(4, 10, 20, generator=torch.Generator().manual_seed(seed + 1))
    ones = torch.ones(2, 1, 2 * RAW, 2 * RAW)
    return LookBack(place, ones, ones, ones, shut, inside if mouth else None)


@pytest.mark.parametrize(("channels", "mouth", "lids"), [(7, True, True), (7, False, True), (7, False, False), (4, True, True)])
def test_moved_head_is_that_of_grid_sample(channels: int, mouth: bool, lids: bool):
    layer = torch.rand(2, channels, SIZE, SIZE, generator=torch.Generator().manual_seed(7)) * 2 - 1
    layer[:, 3] = layer[:, 3].abs()
    view = head_view(3, mouth, lids)
    if lids:  # each frame finds its own rows; the readable one looks for those of the whole batch
        view.lids[1] = view.lids[0]
    if mouth:
        view.mouth[1] = view.mouth[0].flip(0)
        view.mouth[1, 3] = view.mouth[0, 3]
    found = moved_head(layer, view.place, view.lids, view.mouth, LASHES)
    torch.testing.assert_close(found, moved_head_torch(layer, view), atol=2e-5, rtol=0)


def test_moved_torso_is_that_of_grid_sample():
    image, mask = smooth(2, 3, SIZE, SIZE, seed=1), (smooth(2, 1, SIZE, SIZE, seed=2) * 3).clamp(0, 1)
    deformation = torch.rand(2, 3, 8, 8, 3, generator=torch.Generator().manual_seed(3)) * 2.6 - 1.3  # well beyond the border
    rgb, logits = smooth(2, 3, RAW, RAW, seed=4, spread=0.1), smooth(2, 1, RAW, RAW, seed=5)
    volume, compressed = torch.zeros(2, 1, 3, 8, 8), torch.zeros(2, 4, 3, 8, 8)
    expected, cover = moved_torso_torch(TorsoFeatures(volume, compressed, image, mask), deformation, rgb, logits)
    colours, found = moved_torso(image, mask, planar_offset(deformation), rgb, logits, MASK_FLOOR)
    torch.testing.assert_close(found, cover, atol=2e-5, rtol=0)
    shown = (found > 1e-4).expand_as(colours)
    assert 0.2 < shown.float().mean() < 0.9
    torch.testing.assert_close(colours[shown], expected[shown], atol=2e-4, rtol=0)
    assert (colours[~shown & (found == 0)] == 0).all()


def test_rows_above_the_torso_are_left_out():
    image, mask = smooth(1, 3, SIZE, SIZE, seed=1), smooth(1, 1, SIZE, SIZE, seed=2).abs() + 0.1
    mask[..., : SIZE * 5 // 8, :] = 0
    rgb, logits = smooth(1, 3, RAW, RAW, seed=4), smooth(1, 1, RAW, RAW, seed=5) - 3
    volume, compressed = torch.zeros(1, 1, 3, 8, 8), torch.zeros(1, 4, 3, 8, 8)
    logits[..., RAW // 4, 3] = 2.0  # something of its own, further up
    deformation = identity_grid(3, 8, 8, image)[None] + 0.2 * smooth(1, 3, 8, 8, seed=7).movedim(1, -1)[:, None]
    expected, cover = moved_torso_torch(TorsoFeatures(volume, compressed, image, mask.clamp(0, 1)), deformation, rgb, logits)
    colours, found = moved_torso(image, mask.clamp(0, 1), planar_offset(deformation), rgb, logits, MASK_FLOOR)
    torch.testing.assert_close(found, cover, atol=2e-5, rtol=0)
    torch.testing.assert_close(colours * found, expected * cover, atol=2e-4, rtol=0)
    rows = cover[0, 0].amax(1) > 0
    assert rows[SIZE * 3 // 4 :].all()
    assert 0 < rows[: SIZE // 2].sum() < SIZE // 4


@pytest.mark.parametrize("box", [Box(0, RAW, 0, RAW), Box(4, 12, 0, 8), Box(8, RAW, 4, 12)])
def test_layers_lie_over_each_other_as_in_equation_5(box: Box):
    height, width = 4 * (box.bottom - box.top), 4 * (box.right - box.left)
    weights, photo = (smooth(2, 1, RAW, RAW, seed=1) + 0.4).clamp(0, 1), smooth(2, 4, SIZE, SIZE, seed=2)
    photo[:, 3] = photo[:, 3].clamp(0, 1)
    head = Head(smooth(2, 3, height, width, seed=3), weights, box, photo, torch.rand(2, 1, height // 2, width // 2))
    behind = Layers(smooth(2, 3, SIZE, SIZE, seed=4), smooth(2, 1, SIZE, SIZE, seed=5).clamp(0, 1), smooth(2, 3, SIZE, SIZE, seed=6))
    found = laid_over_compiled(head, behind, 0.9)
    torch.testing.assert_close(found, laid_over_torch(head, behind, 0.9), atol=2e-5, rtol=0)
    assert (found - behind.background).abs().max() > 0.5


def test_threads_change_nothing():
    view, layer = head_view(3, True), torch.rand(2, 7, SIZE, SIZE)
    alone = moved_head(layer, view.place, view.lids, view.mouth, LASHES)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert torch.equal(moved_head(layer, view.place, view.lids, view.mouth, LASHES), alone)
    finally:
        torch.set_num_threads(threads)
