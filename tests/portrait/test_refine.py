"""Adaptation to one person, with random weights of the debug size."""

import math

import numpy as np
import pytest
import torch
from core.camera import WORLD_SCALE, Camera
from core.errors import PortraitError
from portrait import refine
from portrait.plan import still_plan

STEPS = 25


@pytest.fixture(scope="module", autouse=True)
def lifted_once(portrait, source):
    """Detectors and lifting take seconds: once is enough."""
    person = refine._lifted(portrait.avatar, portrait.face, source)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refine, "_lifted", lambda *_: person)
        yield person


@pytest.fixture(scope="module")
def refined(portrait, source):
    return portrait.refine(source, STEPS, seed=3)


def views(portrait, source, planes, turn):
    """The head as the renderer draws it, turned by some degrees."""
    coeffs = source.coeffs
    camera = Camera.from_pose(
        coeffs.euler + torch.tensor([[0.0, math.radians(turn), 0.0]]), coeffs.trans, portrait.avatar.renderer.config.focal
    )
    with torch.inference_mode():
        return portrait.avatar.renderer(planes, camera)


def stage_1(portrait, source):
    camera = Camera.from_pose(source.coeffs.euler, source.coeffs.trans, portrait.avatar.renderer.config.focal)
    with torch.inference_mode():
        return portrait.avatar.canonical(source.head, camera)


def test_the_photograph_is_shown_better(portrait, source, refined):
    before, after = (views(portrait, source, planes, 0).image for planes in (stage_1(portrait, source), refined.planes))
    errors = [(image - source.head).square().mean() for image in (before, after)]
    assert errors[1] < 0.8 * errors[0]


def test_the_shape_stays_from_other_sides(portrait, source, refined):
    for turn in (-20, 20):
        before, after = (views(portrait, source, planes, turn) for planes in (stage_1(portrait, source), refined.planes))
        solid = (before.weights > 0.5) & (after.weights > 0.5)
        assert ((before.depth - after.depth).abs() * solid).max() < 0.1
        assert (before.weights - after.weights).abs().mean() < 0.1


def test_depth_is_measured_along_the_ray():
    """A wall across the optical axis at 9 units is farther away in the corners, by Pythagoras; outside the skin nothing changes."""
    camera = Camera.from_pose(torch.tensor([[0.1, 0.4, 0.0]]), torch.zeros(1, 3), 4.5)
    mesh, skin = np.full((32, 32), 9.0), np.ones((32, 32), bool)
    skin[:16] = False
    found = refine._with_mesh(torch.full((1, 1, 8, 8), 7.0), mesh, skin, camera)[0, 0]
    ticks = ((torch.arange(8) + 0.5) / 8 - 0.5) / 4.5
    wall = 9 * WORLD_SCALE * (1 + ticks[:, None] ** 2 + ticks**2).sqrt()
    assert torch.allclose(found[4:], wall[4:], atol=1e-5)
    assert (found[:4] == 7).all()


def test_equal_seeds_give_equal_planes(portrait, source):
    one, two, other = (portrait.refine(source, 2, seed=seed).planes for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_no_steps_change_nothing(portrait, source, refined, speech):
    assert portrait.refine(source, 0) is source
    plain, none, some = (next(portrait.animate(photo, audio=speech, refine=steps)).image
                         for photo, steps in ((source, 0), (source, 0), (refined, 0)))  # fmt: skip
    assert np.array_equal(plain, none)
    assert not np.array_equal(plain, some)


def test_what_was_learnt_is_kept(portrait, refined, speech):
    assert portrait.refine(refined, 5) is refined
    assert portrait.plan(refined, audio=speech, refine=5).source is refined
    assert len(list(portrait.render(still_plan(refined)))) == 1


def test_the_photograph_is_lifted(lifted_once, source):
    assert torch.equal(lifted_once.coeffs.euler, source.coeffs.euler)


def test_what_cannot_be_lifted_learns_all_the_same(portrait, source, monkeypatch):
    monkeypatch.setattr(refine, "_lifted", lambda *_: None)
    planes = portrait.refine(source, 2).planes
    assert planes.isfinite().all()
    assert not torch.equal(planes, stage_1(portrait, source))


def test_progress_counts_the_steps(portrait, source):
    seen = []

    def progress(items, label, total):
        seen.append((label, total))
        yield from items

    portrait.refine(source, 1, progress=progress)
    assert seen == [("refine", 1)]


@pytest.mark.parametrize("steps", [-1, True, 10_001])
def test_senseless_steps(portrait, source, steps):
    with pytest.raises(PortraitError) as caught:
        portrait.refine(source, steps)
    assert caught.value.code == "E_REFINE"
