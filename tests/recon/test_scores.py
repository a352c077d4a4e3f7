"""Figures of validation against closed forms."""

from dataclasses import replace

import pytest
import torch
from core.camera import FIT_DISTANCE, FIT_FOCAL, Camera
from recon.renderer import HeadRendering
from recon.scores import depth_error, view_scores
from recon.views import HeadView
from torch import nn

SIDE = 24


def camera():
    return Camera.from_pose(torch.tensor([[0.1, 0.4, 0.0], [0.0, -0.2, 0.3]]), torch.zeros(2, 3), FIT_FOCAL)


def rendering_of(surface, opacity):
    """A rendering whose rays end on the plane that the camera sees at the distance ``surface`` (3DMM units) along its axis."""
    pixels = (torch.arange(SIDE) + 0.5) / SIDE - 0.5
    rows, columns = torch.meshgrid(pixels, pixels, indexing="ij")
    stretch = (1 + (rows / FIT_FOCAL) ** 2 + (columns / FIT_FOCAL) ** 2).sqrt()
    depth = (0.27 * surface * stretch).expand(2, 1, SIDE, SIDE)
    image = torch.zeros(2, 3, 4 * SIDE, 4 * SIDE)
    return HeadRendering(image, torch.zeros(2, 3, SIDE, SIDE), torch.zeros(2, 3, SIDE, SIDE), depth, opacity)


def test_depth_of_a_plane():
    label = torch.full((2, 1, SIDE, SIDE), FIT_DISTANCE)
    assert depth_error(rendering_of(FIT_DISTANCE, torch.ones(2, 1, SIDE, SIDE)), label, camera()).max() < 1e-5
    near = depth_error(rendering_of(FIT_DISTANCE - 0.25, torch.ones(2, 1, SIDE, SIDE)), label, camera())
    assert near.tolist() == pytest.approx([0.25, 0.25], abs=1e-5)


def test_depth_counts_only_where_both_see_a_head():
    label = torch.full((2, 1, SIDE, SIDE), FIT_DISTANCE)
    label[0, :, :5] = 0
    label[1, :, 5:] = FIT_DISTANCE + 1
    opacity = torch.ones(2, 1, SIDE, SIDE)
    opacity[1, :, 5:] = 0.2
    assert depth_error(rendering_of(FIT_DISTANCE, opacity), label, camera()).max() < 1e-5
    assert depth_error(rendering_of(FIT_DISTANCE, torch.zeros(2, 1, SIDE, SIDE)), label, camera()).tolist() == [0, 0]


class Distance(nn.Module):
    """Stands for LPIPS."""

    def forward(self, image, target, normalize):
        assert normalize
        return (image - target).abs().mean((1, 2, 3))


def test_what_is_scored():
    view = HeadView(torch.full((2, 3, 4 * SIDE, 4 * SIDE), 0.5), torch.ones(2, 1, 4 * SIDE, 4 * SIDE), camera())
    rendering = rendering_of(FIT_DISTANCE, torch.ones(2, 1, SIDE, SIDE))
    plain = view_scores(rendering, view, view, None)
    assert set(plain) == {f"{name}{suffix}" for name in ("psnr", "psnr_raw", "psnr_raw_half", "ssim") for suffix in ("", "_copied")}
    assert plain["psnr"].tolist() == plain["psnr_raw"].tolist() == pytest.approx([12.0412] * 2, abs=1e-3)  # mse (0.5 / 2) squared
    assert plain["ssim_copied"].tolist() == pytest.approx([1.0, 1.0])
    deep = HeadView(view.head, view.head_mask, view.camera, torch.full((2, 1, SIDE, SIDE), FIT_DISTANCE))
    full = view_scores(rendering, view, deep, Distance())
    assert full["lpips"].tolist() == pytest.approx([0.25, 0.25])
    assert full["depth_error"].max() < 1e-5


def test_half_the_size_averages_two_by_two():
    """A chequerboard of errors is 12 dB in full and nothing in half."""
    board = ((torch.arange(SIDE)[:, None] + torch.arange(SIDE)) % 2 - 0.5).expand(2, 3, SIDE, SIDE)
    drawn = rendering_of(FIT_DISTANCE, torch.ones(2, 1, SIDE, SIDE))
    view = HeadView(torch.zeros(2, 3, 4 * SIDE, 4 * SIDE), torch.ones(2, 1, 4 * SIDE, 4 * SIDE), camera())
    scores = view_scores(replace(drawn, raw=board), view, view, None)
    assert scores["psnr_raw"].tolist() == pytest.approx([12.0412] * 2, abs=1e-3)
    assert scores["psnr_raw_half"].min() > 80
