import numpy as np
import pytest
import torch
from core.face.expression import eye_opening
from core.face.model import FaceModel
from portrait.blink import BLINK_MODES, apply_blinks, blink_amounts, natural_blinks, periodic_blinks


def runs(amount):
    """(start, end) of the stretches where the lids are not fully open."""
    closing = np.concatenate([[0], (amount.numpy() > 0).astype(int), [0]])
    return list(zip(np.flatnonzero(np.diff(closing) == 1), np.flatnonzero(np.diff(closing) == -1), strict=True))


def test_natural_blinks_are_seeded_complete_and_about_as_frequent_as_peoples():
    amount = natural_blinks(25 * 120, seed=1)
    assert torch.equal(amount, natural_blinks(25 * 120, seed=1))
    assert not torch.equal(amount, natural_blinks(25 * 120, seed=2))
    assert amount[0] == 0
    assert amount[-1] == 0
    assert 0 <= amount.min() <= amount.max() <= 1
    blinks = runs(amount)
    assert 18 <= len(blinks) <= 60, "9 to 30 a minute"
    for start, end in blinks:
        assert amount[start:end].max() > 0.99, "every blink closes the eyes"
        assert 0.1 <= (end - start) / 25 <= 1.0


def test_periodic_blinks_follow_the_parabola():
    amount = periodic_blinks(400, seed=0)
    blinks = runs(amount)
    assert [start for start, _ in blinks] == [126, 251, 376]
    for start, end in blinks:
        length = end - start + 1
        assert 8 <= length <= 12
        time = np.arange(1, length)
        assert np.allclose(amount[start:end], -4 / length**2 * time**2 + 4 / length * time, atol=1e-6)


def test_modes():
    assert set(BLINK_MODES) == {"natural", "none", "period"}
    assert not blink_amounts("none", 100, 0).any()
    with pytest.raises(ValueError, match="natural, none, period"):
        blink_amounts("often", 100, 0)


def test_blinks_close_the_eyes_and_leave_other_frames_alone():
    face = FaceModel.embedded()
    torch.manual_seed(0)
    identity, exp = torch.randn(1, 80) * 0.3, torch.randn(1, 64).expand(5, 64) * 0.3
    amount = torch.tensor([0.0, 0.5, 1.0, 0.5, 0.0])
    edited = apply_blinks(face, identity, exp, amount)
    assert torch.equal(edited[amount == 0], exp[amount == 0])
    opening = eye_opening(face, identity.expand(5, -1), edited)
    assert opening[2] < 0.35 * opening[0]
    assert opening[2] < opening[1] < opening[0]
