"""Made people in torch against the compiled renderer: the same views, pixel by pixel."""

from functools import lru_cache

import numpy as np
import pytest
import torch
from core.people.motion import named, turn_about_neck
from core.people.person import Person, PersonFrame, render
from core.people.procedural import make_person
from core.people.render_torch import DevicePerson, PersonFrames

SIZE = 96


@lru_cache(maxsize=1)
def person() -> Person:
    return make_person(3, SIZE)


def views(who: Person) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three expressions from three sides."""
    exp = np.stack([named(who, kind) for kind in ("neutral", "open", "blink")])
    euler = np.float32([[0.0, 0.0, 0.0], [0.1, 0.5, 0.05], [-0.15, -0.6, 0.0]])
    return exp, euler, np.stack([turn_about_neck(who.coeffs, turn) for turn in euler])


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.mean((a.astype(float) - b) ** 2), 1e-9)))


def assert_alike(frames: PersonFrames, frame: PersonFrame, at: int) -> None:
    for name in ("image", "head", "torso"):
        assert psnr(getattr(frames, name)[at].cpu().numpy(), getattr(frame, name)) > 42, name
    for name in ("head_alpha", "torso_alpha"):
        assert np.abs(getattr(frames, name)[at].cpu().numpy() - getattr(frame, name)).mean() < 1e-3, name
    assert (frames.labels[at].cpu().numpy() != frame.labels).mean() < 5e-3
    assert (np.abs(frames.depth[at].cpu().numpy() - frame.depth) > 1e-3).mean() < 5e-3
    assert torch.equal(frames.coeffs.euler[at].cpu(), frame.coeffs.euler[0])
    torch.testing.assert_close(frames.camera.label[at].cpu(), frame.camera.label[0])


def test_a_batch_shows_what_the_compiled_renderer_shows() -> None:
    who = person()
    exp, euler, trans = views(who)
    frames = DevicePerson(who).render(exp, euler, trans, SIZE)
    assert len(frames) == 3
    for at, (code, turn, shift) in enumerate(zip(exp, euler, trans, strict=True)):
        assert_alike(frames, render(who, code, turn, shift, SIZE), at)


def test_gaze_and_lagging_torso() -> None:
    who = person()
    exp, euler, trans = (x[:1] for x in views(who))
    gaze, lag = np.float32([[0.3, -0.1]]), np.float32([[0.1, 0.05, 0.0]])
    frames = DevicePerson(who).render(exp, euler, trans, SIZE, 2, gaze, lag)
    assert_alike(frames, render(who, exp[0], euler[0], trans[0], SIZE, 2, gaze[0], lag[0]), 0)


def test_without_a_rasteriser_of_the_device() -> None:
    who = person()
    exp, euler, trans = (x[1:2] for x in views(who))
    frames = DevicePerson(who, backend="scatter").render(exp, euler, trans, 64, 1)
    assert_alike(frames, render(who, exp[0], euler[0], trans[0], 64, 1), 0)


@pytest.mark.gpu
def test_same_on_the_gpu() -> None:
    who = person()
    exp, euler, trans = views(who)
    device = DevicePerson(who, "cuda")
    frames, again = device.render(exp, euler, trans, SIZE), device.render(exp, euler, trans, SIZE)
    assert torch.equal(frames.image, again.image)
    for at, (code, turn, shift) in enumerate(zip(exp, euler, trans, strict=True)):
        assert_alike(frames, render(who, code, turn, shift, SIZE), at)
