"""The scripts that measure and draw what lips make of speech."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(ROOT / "tools")
    yield import_module
    for name in ("measure_speech", "draw_mouth_shapes", "draw_face_axes"):
        sys.modules.pop(name, None)


def test_a_shifted_curve_is_found(tool) -> None:
    measure = tool("measure_speech")
    true = np.sin(np.arange(100) / 3) + 0.1 * np.random.default_rng(0).normal(size=100)
    for shift in range(-2, 3):
        early = np.roll(true, -shift)
        r, found = measure.best_shift(early, true)
        assert found == shift
        assert r == pytest.approx(1.0)
    late = np.roll(true, 1)
    true[40:45] = np.nan
    assert measure.best_shift(late, true)[1] == -1


def test_closures_are_counted(tool) -> None:
    measure = tool("measure_speech")
    true = np.array([0.1, 0.0, 0.1, 0.1, 0.0, 0.1, 0.1, 0.1])
    assert measure.closures(true, true) == (1.0, 1.0)
    near, wrong = np.roll(true, 1), np.full(8, 0.1)
    assert measure.closures(near, true)[0] == 1.0, "one frame beside still counts"
    assert measure.closures(wrong, true) == (0.0, 1.0)
    assert measure.closures(np.zeros(8), true) == (1.0, 0.0)


def test_a_mouth_is_measured_over_the_distance_of_the_eyes(tool) -> None:
    measure = tool("measure_speech")
    points = np.zeros((2, 468, 3))
    points[:, 263, 0], points[:, 291, 0] = 2.0, 1.2
    points[1, 14, 1] = 0.5
    mouth = measure.mouth_of(points)
    np.testing.assert_allclose(mouth.opening, [0.0, 0.25])
    np.testing.assert_allclose(mouth.width, [0.6, 0.6])


def test_recall_is_at_equally_many_false_closures(tool) -> None:
    """Neither scale nor offset of a curve matter, only whether its low values lie where the mouth is shut."""
    measure = tool("measure_speech")
    rng = np.random.default_rng(0)
    true = np.where(np.arange(400) % 20 < 3, 0.0, 0.1)
    assert measure.recall(true, true) == 1.0
    assert measure.recall(np.full(400, 0.07), true) == 0.0, "a mouth that never moves finds no closure"
    good = true + 0.01 * rng.random(400)
    assert measure.recall(good, true) == 1.0
    assert measure.recall(5 * good - 3, true) == 1.0
    chance = measure.recall(rng.random(400), true)
    assert 0.1 < chance < 0.5
    assert np.isnan(measure.recall(good[:20], true[:20]))


def test_the_picture_in_the_docs_shows_five_sounds_twice(tool) -> None:
    from PIL import Image

    draw = tool("draw_mouth_shapes")
    with Image.open(ROOT / "docs" / "mouth_shapes.png") as picture:
        assert picture.width >= len(draw.SOUNDS) * draw.TILE
        assert picture.height >= 2 * draw.TILE
