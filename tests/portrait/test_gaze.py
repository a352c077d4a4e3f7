import numpy as np
import pytest
import torch
from core.errors import PortraitError
from core.face.coeffs import FaceCoeffs
from core.face.model import FaceModel
from core.face.regions import LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS
from portrait.driving import Driver, VideoReader
from portrait.gaze import FARTHEST, HOLD, LIMIT, STEP, natural_gaze, plan_gaze
from portrait.watched_gaze import iris_offset, watched_gaze

READ = VideoReader(FaceModel.embedded())


def test_mostly_at_the_viewer_in_quick_jumps():
    gaze = natural_gaze(25 * 600, 3).numpy()
    away = np.abs(gaze[:, 0]) > np.radians(2.0)
    assert 0.1 < away.mean() < 0.45
    assert np.abs(gaze).max(0)[0] < FARTHEST[0] + np.radians(2.5)
    jumps = np.linalg.norm(np.diff(gaze, axis=0), axis=1) > np.radians(1.0)
    assert 20 < jumps.sum() / 2 / 10 < 80  # a minute
    still = np.diff(np.flatnonzero(np.linalg.norm(np.diff(gaze, axis=0), axis=1) > 0))
    assert (still > 7).mean() > 0.4  # a jump takes two frames, a fixation 0.3 s at least


def test_same_seed_same_gaze_whatever_the_length():
    assert torch.equal(natural_gaze(500, 1)[:100], natural_gaze(100, 1))
    assert not torch.equal(natural_gaze(100, 1), natural_gaze(100, 2))
    assert natural_gaze(0, 1).shape == (0, 2)


def test_by_name():
    still = torch.zeros(10, 3)
    assert plan_gaze("still", still, 0, READ) is None
    torch.testing.assert_close(plan_gaze("natural", still, 4, READ), natural_gaze(10, 4), atol=STEP / 2 + 1e-6, rtol=0)
    with pytest.raises(PortraitError, match="sideways"):
        plan_gaze("sideways", still, 0, READ)


def test_eyes_stay_with_the_viewer_while_the_head_turns():
    turned = torch.zeros(200, 3)
    turned[:, 0], turned[:, 1] = 0.05, torch.linspace(-0.2, 0.2, 200)
    gaze = plan_gaze("natural", turned, 1, READ) - plan_gaze("natural", torch.zeros(200, 3), 1, READ)
    torch.testing.assert_close(gaze[:, 0], -HOLD * turned[:, 1], atol=1.1 * STEP, rtol=0)
    torch.testing.assert_close(gaze[:, 1], -HOLD * turned[:, 0], atol=1.1 * STEP, rtol=0)
    assert plan_gaze("natural", 10 * turned, 1, READ).abs().max() <= LIMIT + 1e-6


def seen_from(within: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """``iris_offset`` of a ball behind the line between its corners, that looks ``within`` the head and turns with it."""
    ball, deep = 0.42, 0.42 - 0.15
    across = np.cos(turn) * ball * np.sin(within) + np.sin(turn) * (ball * np.cos(within) - deep)
    return across / np.cos(turn)


def test_a_driver_who_looks_at_the_camera_does_not_look_aside():
    rng = np.random.default_rng(0)
    turn = np.radians(12) * np.sin(np.arange(200) / 15)
    offsets = seen_from(-turn, turn) + rng.normal(0, 0.008, 200)
    assert not watched_gaze(offsets, torch.from_numpy(turn)).any()


def test_looks_aside_are_steps_that_blinks_and_single_frames_do_not_break():
    rng = np.random.default_rng(1)
    turn, looks = np.radians(4) * np.sin(np.arange(200) / 20), np.zeros(200)
    looks[50:80], looks[120:150] = np.radians(14), np.radians(-9)
    offsets = seen_from(looks - turn, turn) + rng.normal(0, 0.008, 200)
    offsets[60:66], offsets[100] = np.nan, 0.2
    found = np.degrees(watched_gaze(offsets, torch.from_numpy(turn)).numpy())
    np.testing.assert_allclose(found[54:78], 14, atol=2.5)
    np.testing.assert_allclose(found[124:148], -9, atol=2.5)
    assert not found[[*range(46), *range(84, 116), *range(154, 200)]].any()
    assert len(np.unique(found)) <= 6


def test_nothing_known_of_the_eyes_is_a_look_at_the_viewer():
    assert not watched_gaze(np.full(9, np.nan), torch.zeros(9)).any()


def test_irises_lie_beside_the_middle_of_their_eyes():
    """Also in a picture that lies on its side; with an eye shut nothing is known."""
    points = np.zeros((478, 3))
    for ring, iris, left in ((RIGHT_EYE, RIGHT_IRIS, 2.0), (LEFT_EYE, LEFT_IRIS, 6.0)):
        angles = np.linspace(np.pi, 3 * np.pi, len(ring), endpoint=False)
        points[list(ring), :2] = np.stack([left + np.cos(angles), 3 + 0.4 * np.sin(angles)], 1)
        points[list(iris), :2] = left + 0.5, 3.1
    assert iris_offset(points) == pytest.approx(0.25)
    turned = points.copy()
    turned[:, :2] = points[:, :2] @ np.array([[np.cos(0.5), np.sin(0.5)], [-np.sin(0.5), np.cos(0.5)]])
    assert iris_offset(turned) == pytest.approx(0.25)
    points[list(LEFT_EYE), 1] = 3
    assert np.isnan(iris_offset(points))


def test_a_video_lends_its_looks(monkeypatch):
    seen = Driver(FaceCoeffs(torch.zeros(40, 80), torch.zeros(40, 64), torch.zeros(40, 3), torch.zeros(40, 3)), np.zeros(40))
    seen.irises[25:] = 0.42 * np.sin(np.radians(10))
    monkeypatch.setattr("portrait.driving.fit_driver", lambda *_: seen)
    turned = torch.zeros(60, 3)
    turned[:, 1] = 0.1
    gaze = plan_gaze("driver.mp4", turned, 0, VideoReader(FaceModel.embedded()))
    assert gaze.shape == (60, 2)
    torch.testing.assert_close(gaze[0, 0], torch.tensor(-HOLD * 0.1), atol=STEP, rtol=0)
    torch.testing.assert_close(gaze[35, 0] - gaze[0, 0], torch.tensor(np.radians(10), dtype=torch.float32), atol=2 * STEP, rtol=0)
    assert gaze[59, 0] == gaze[0, 0]  # to and fro
