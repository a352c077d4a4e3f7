import numpy as np
import pytest
import torch
from portrait.gaze import FARTHEST, HOLD, LIMIT, STEP, natural_gaze, plan_gaze


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
    assert plan_gaze("still", still, 0) is None
    torch.testing.assert_close(plan_gaze("natural", still, 4), natural_gaze(10, 4), atol=STEP / 2 + 1e-6, rtol=0)
    with pytest.raises(ValueError, match="choose one of natural, still"):
        plan_gaze("sideways", still, 0)


def test_eyes_stay_with_the_viewer_while_the_head_turns():
    turned = torch.zeros(200, 3)
    turned[:, 0], turned[:, 1] = 0.05, torch.linspace(-0.2, 0.2, 200)
    gaze = plan_gaze("natural", turned, 1) - plan_gaze("natural", torch.zeros(200, 3), 1)
    torch.testing.assert_close(gaze[:, 0], -HOLD * turned[:, 1], atol=1.1 * STEP, rtol=0)
    torch.testing.assert_close(gaze[:, 1], -HOLD * turned[:, 0], atol=1.1 * STEP, rtol=0)
    assert plan_gaze("natural", 10 * turned, 1).abs().max() <= LIMIT + 1e-6
