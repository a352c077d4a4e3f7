import numpy as np
import pytest
import torch
from core.errors import PortraitError
from core.face.coeffs import FaceCoeffs
from core.face.expression import eye_opening
from core.face.model import FaceModel
from portrait.blink import apply_blinks, blink_amounts, blink_units, natural_blinks, periodic_blinks, seen_blinks, timed_blinks
from portrait.channels import BLINK_MODES


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
    assert 24 <= len(blinks) <= 40, "12 to 20 a minute"
    for start, end in blinks:
        assert amount[start:end].max() > 0.99, "every blink closes the eyes"
        assert 0.1 <= (end - start) / 25 <= 1.0


def test_any_seed_blinks_12_to_20_times_a_minute():
    counts = [int(blink_units(25 * 300, seed).sum()) / 5 for seed in range(40)]
    assert 12 <= min(counts) <= max(counts) <= 20


def test_blinks_do_not_depend_on_the_length():
    long, short = natural_blinks(1000, 3), natural_blinks(600, 3)
    assert torch.equal(long[:550], short[:550])


def test_blink_units_mark_the_shut_frames():
    amount, units = natural_blinks(500, 7).numpy(), blink_units(500, 7)
    assert set(units) == {0, 1}
    assert (amount[units == 1] == 1).all()
    assert len(runs(torch.from_numpy(amount))) <= units.sum(), "double blinks may touch"


def test_times_in_a_file(tmp_path):
    file = tmp_path / "blinks.txt"
    file.write_text("# shut at\n1.0, 2.4\n\n3.2 # here too\n99\n")
    amount = timed_blinks(file, 100)
    assert amount.argmax() == 25
    assert (amount[[25, 60, 80]] == 1).all()
    assert len(runs(amount)) == 3
    assert not amount[[0, 40, 99]].any()


@pytest.mark.parametrize("content", ["1.0\nsoon\n", "-1", "nan", "inf", b"\xff\xfe\x00"])
def test_other_content_is_refused(tmp_path, content):
    file = tmp_path / "blinks.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(PortraitError, match="E_BLINK_READ"):
        timed_blinks(file, 100)


def test_blinks_of_a_face_are_read_as_they_were_made():
    face = FaceModel.embedded()
    amount = natural_blinks(300, 1)
    identity = torch.zeros(300, 80)
    blinking = apply_blinks(face, identity[:1], torch.zeros(300, 64), amount)
    seen = seen_blinks(face, FaceCoeffs(identity, blinking, torch.zeros(300, 3), torch.zeros(300, 3)))
    assert np.corrcoef(seen, amount)[0, 1] > 0.97
    assert not seen[amount == 0].any()


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
    assert set(BLINK_MODES) == {"natural", "model", "none", "period"}
    assert not blink_amounts("none", 100, 0).any()
    assert not blink_amounts("model", 100, 0).any(), "stage 4 closes them"
    with pytest.raises(ValueError, match="natural, model, none, period"):
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
