"""Colour changes that all views of a person share."""

import math

import torch
from core.camera import FIT_FOCAL, Camera
from recon.tint import tinted
from recon.views import HeadView, ViewBatch


def batch_of(value: torch.Tensor) -> ViewBatch:
    camera = Camera.from_pose(torch.zeros(len(value), 3), torch.zeros(len(value), 3), FIT_FOCAL)
    head = value[:, :, None, None].expand(-1, -1, 4, 4).clone()
    head[..., :2] = -1
    view = HeadView(head, (head[:, :1] > -1).float(), camera)
    return ViewBatch(view, [view, view], torch.arange(len(value)))


def test_views_of_a_person_change_alike_and_people_differ():
    batch = batch_of(torch.full((3, 3), 0.2))
    changed = tinted(batch, 0.3, torch.Generator().manual_seed(0))
    assert all(torch.equal(changed.source.head, view.head) for view in changed.targets)
    assert len({round(float(x), 4) for x in changed.source.head[:, 0, 0, 3]}) == 3
    assert torch.equal(batch.source.head, batch_of(torch.full((3, 3), 0.2)).source.head)


def test_what_is_empty_stays_empty_and_nothing_leaves_the_range():
    changed = tinted(batch_of(torch.tensor([[1.0, 0.9, -0.9]] * 50)), 1.0, torch.Generator().manual_seed(1)).source.head
    assert (changed[..., :2] == -1).all()
    assert changed.abs().max() <= 1


def test_gain_and_gamma_stay_within_their_limits():
    strength = 0.25
    drawn = tinted(batch_of(torch.full((400, 3), -0.5)), strength, torch.Generator().manual_seed(2)).source.head[:, :, 0, 3]
    linear, (weak, strong) = (drawn + 1) / 2, (math.exp(-strength), math.exp(strength))
    darkest, brightest = weak * 0.25**strong, strong * 0.25**weak
    assert darkest <= linear.min() < 1.15 * darkest
    assert 0.87 * brightest < linear.max() <= brightest + 1e-6


def test_strength_zero_gives_the_batch_itself():
    batch = batch_of(torch.zeros(1, 3))
    assert tinted(batch, 0.0, torch.Generator()) is batch
