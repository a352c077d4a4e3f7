"""Eyes that turn between lids that stay, on a drawn face."""

import numpy as np
import pytest
import torch
from compose.gaze import looking, open_eyes
from core.face.regions import LEFT_EYE, RIGHT_EYE

SIZE = 256


def face(height: float = 0.4) -> np.ndarray:
    """468 points with two almond eyes, 60 pixels wide."""
    points = np.full((468, 2), 0.5)
    for ring, middle, way in ((RIGHT_EYE, 80, 1), (LEFT_EYE, 176, -1)):
        angle = np.linspace(0, 2 * np.pi, 17)[:16]
        points[list(ring)] = np.stack([middle - way * 30 * np.cos(angle), 100 - height * 30 * np.sin(angle)], 1) / SIZE
    return points


def picture(height: float = 0.4) -> torch.Tensor:
    """Skin 0, white of the eyes 1, irises -1 with a radius of 11, and a fourth channel."""
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    colours = np.zeros((SIZE, SIZE))
    for middle in (80, 176):
        opening = ((x - middle) / 30) ** 2 + ((y - 100) / (30 * height)) ** 2 < 1
        colours = np.where(opening, np.where((x - middle) ** 2 + (y - 100) ** 2 < 121, -1.0, 1.0), colours)
    layer = torch.from_numpy(np.stack([colours] * 3 + [np.ones_like(colours)]).astype(np.float32))[None]
    return layer.contiguous(memory_format=torch.channels_last)


def iris(layer: torch.Tensor, middle: int) -> float:
    """Column of the iris' middle."""
    part = (layer[0, 0, 95:105, middle - 30 : middle + 30] < -0.5).float()
    return middle - 30 + float((part * (torch.arange(60) + 0.5)).sum() / part.sum())


@pytest.mark.parametrize("degrees", [-10.0, 6.0, 10.0])
def test_irises_move_as_on_a_ball(degrees: float):
    layer, eyes = picture(), open_eyes(face(), SIZE)
    turned = looking(layer, eyes, (np.radians(degrees), 0.0))
    for eye, middle in zip(eyes, (80, 176), strict=True):
        assert iris(turned, middle) - iris(layer, middle) == pytest.approx(eye.radius * np.sin(np.radians(degrees)), abs=0.7)


def test_lids_skin_and_opacity_stay_and_the_given_layer_too():
    layer, eyes = picture(), open_eyes(face(), SIZE)
    before = layer.clone()
    turned = looking(layer, eyes, (0.15, 0.06))
    assert torch.equal(layer, before)
    assert torch.equal(turned[:, 3], layer[:, 3])
    changed = (turned != layer).any(1)[0]
    assert changed.any()
    skin = layer[0, 0] == 0
    assert (changed & skin).sum() < 0.03 * (~skin).sum()  # a pixel of the outline at most
    inside = turned[0, 0, 96:104, 60:100]
    assert (inside.abs() > 0.3).float().mean() > 0.9  # white or iris, no skin from beyond the lids


def test_eyes_down_go_on_under_the_upper_lid():
    layer = picture(0.3)  # lids cover what is above and below the irises
    turned = looking(layer, open_eyes(face(0.3), SIZE), (0.0, 0.2))
    assert turned[0, 0, 93:107, 78:82].max() < -0.5


def test_no_turn_changes_nothing():
    layer = picture()
    torch.testing.assert_close(looking(layer, open_eyes(face(), SIZE), (0.0, 0.0)), layer, atol=1e-5, rtol=0)


def test_shut_eyes_and_eyes_at_the_border_are_left_out():
    assert open_eyes(face(0.02), SIZE) == ()
    assert len(open_eyes(face() - np.array([0.2, 0.0]), SIZE)) == 1
