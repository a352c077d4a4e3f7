"""Boxes around masks."""

import torch
from compose.box import STEP, Box


def test_box_holds_mask_and_margin_on_the_grid():
    mask = torch.zeros(2, 1, 64, 64, dtype=torch.bool)
    mask[0, 0, 20, 30] = mask[1, 0, 41, 33] = True
    box = Box.around(mask, 6)
    assert (box.top, box.bottom, box.left, box.right) == (12, 48, 24, 40)
    assert all(side % STEP == 0 for side in (box.top, box.bottom, box.left, box.right))


def test_box_never_leaves_the_image_and_is_never_empty():
    mask = torch.ones(1, 1, 16, 16, dtype=torch.bool)
    assert Box.around(mask, 6) == Box.whole(mask)
    assert Box.around(~mask, 6).cut(mask).numel() > 0


def test_paste_undoes_cut():
    image = torch.rand(1, 3, 64, 64)
    box = Box(8, 16, 0, 24)
    assert torch.equal(box.paste(box.cut(image, 2), image, 2), image)
    assert box.paste(torch.zeros(1, 3, 16, 48), image, 2)[0, :, 16:32, :48].abs().max() == 0
    assert image.min() > 0 or image[0, :, 16:32, :48].any()  # the original is untouched
