"""The torso as a layer: its mask and the colours around it."""

import torch
from compose.torso import layer


def matted() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A torso of colour 0.5 that fades to black over two pixels, its classes and its mask."""
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 30:, 10:50] = 0.3
    mask[..., 31:, 11:49] = 0.7
    mask[..., 32:, 12:48] = 1
    segmap = torch.zeros(1, 6, 64, 64)
    segmap[:, 4] = (mask[:, 0] > 0.5).float()
    return (1.5 * mask - 1).expand(-1, 3, -1, -1), segmap, mask


def test_colours_do_not_fade_at_the_edge():
    image, segmap, mask = matted()
    for given in (mask, None):
        colours, alpha = layer(image, segmap, given)
        seen = (alpha > 0.02).expand_as(colours)
        assert (colours[seen] - 0.5).abs().max() < 0.06
        assert alpha[0, 0, 63, 30] == 1


def test_given_mask_is_kept_and_unknown_mask_lies_inside():
    image, segmap, mask = matted()
    assert torch.equal(layer(image, segmap, mask)[1], mask)
    unknown = layer(image, segmap, None)[1]
    assert (unknown <= (mask > 0).float()).all()
    assert (unknown[..., 34:, 14:46] == 1).all()


def test_a_sliver_of_torso_keeps_its_colour():
    image = torch.full((1, 3, 64, 64), -1.0)
    image[..., 62:, 20:22] = 0.25
    colours, _ = layer(image, torch.zeros(1, 6, 64, 64), None)
    torch.testing.assert_close(colours[..., 62:, 20:22], torch.full((1, 3, 2, 2), 0.25), atol=0.01, rtol=0)


def test_no_torso_at_all():
    colours, alpha = layer(torch.full((1, 3, 64, 64), -1.0), torch.zeros(1, 6, 64, 64), None)
    assert torch.isfinite(colours).all()
    assert not alpha.any()
