"""The torso as a layer: its mask and the colours around it."""

from dataclasses import replace

import torch
from compose.config import HTBSRConfig
from compose.torso import TorsoBranch, TorsoFeatures, layer
from torch.nn import functional as F


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


def branch() -> tuple[TorsoBranch, TorsoFeatures, torch.Tensor]:
    """One that moves and adds something to the photograph, a smooth torso, and its key points."""
    torch.manual_seed(0)
    net = TorsoBranch(replace(HTBSRConfig.preset("debug"), warp_skip=True)).eval().requires_grad_(False)
    for part in (net.decoder.to_rgb, net.mask.body[-1]):
        torch.nn.init.normal_(part.weight, std=0.05)
    size, keypoints = net.config.image_size, len(net.config.keypoints)
    image = F.interpolate(torch.rand(1, 3, 6, 6) * 2 - 1, (size, size), mode="bicubic").clamp(-1, 1)
    segmap = torch.zeros(1, 6, size, size)
    segmap[:, 4, size // 2 :] = 1
    points = torch.rand(1, keypoints, 3) * torch.tensor([1.0, 1.0, 0.0]) - torch.tensor([0.5, 0.0, 0.0])
    return net, net.prepare(image, segmap, segmap[:, 4:5]), points


def test_a_draft_drawn_where_it_was_made_is_the_torso():
    net, features, points = branch()
    draft = net.draft(features, points, points + 0.1)
    whole = net(features, points, points + 0.1)
    for given in (None, points + 0.1):
        drawn = net.draw(features, draft, given)
        for name in ("hidden", "image", "mask", "deformation"):
            torch.testing.assert_close(getattr(drawn, name), getattr(whole, name), atol=1e-5, rtol=0)


def test_a_draft_drawn_near_by_moves_with_the_key_points():
    net, features, points = branch()
    shift = torch.tensor([3.0, 2.0, 0.0]) / net.config.image_size  # one and a half pixels, and one
    near = net.draw(features, net.draft(features, points, points), points + shift)
    whole, still = net(features, points, points + shift), net(features, points, points)
    torch.testing.assert_close(near.deformation, whole.deformation, atol=2e-3, rtol=0)
    for name in ("image", "mask"):
        off, before = ((getattr(each, name) - getattr(whole, name)).square().mean().sqrt() for each in (near, still))
        assert off < 0.2 * before
