"""Brows and nods: from a melody that is known, and from a face that is known."""

import numpy as np
import pytest
import torch
from audio2motion.prosody import NOD, Accents, brow_raise, find_accents, nod_angle
from core.camera import rotation_from_euler
from core.face.coeffs import FaceCoeffs
from core.face.expression import eye_opening, mouth_opening
from core.face.model import FaceModel
from core.media.audio import write_audio
from core.media.sound import open_sound
from portrait import gestures
from portrait.gestures import apply_brows, apply_nods, fit_length, hear_accents, seen_brows
from portrait.pose import NECK

RATE = 16_000


def voice(seconds, accents):
    """A buzz of 120 Hz in syllables of 0.2 s that is higher and louder in the syllable at each accent."""
    time = np.arange(round(seconds * RATE)) / RATE
    near = sum(np.exp(-0.5 * ((time - accent) / 0.08) ** 2) for accent in accents)
    phase = 2 * np.pi * np.cumsum(120 * 2 ** (0.5 * near)) / RATE
    buzz = sum(np.sin(k * phase) / k for k in range(1, 20))
    return (0.05 * (1 + 1.5 * near) * (0.6 + 0.4 * np.cos(2 * np.pi * 5 * time)) * buzz).astype(np.float32)


def test_accents_are_where_the_melody_peaks():
    found = find_accents(voice(6, (1.0, 3.0, 4.6)))
    assert found.length == 150
    strong = found.frames[found.strength > 0.5]
    assert np.abs(strong - np.array([25, 75, 115])).max() <= 3


def test_silence_and_nothing_have_no_accents():
    assert not len(find_accents(np.zeros(RATE, np.float32)).frames)
    assert find_accents(np.zeros(0, np.float32)).length == 0


def test_long_sound_has_the_accents_of_short_sound(tmp_path, monkeypatch):
    wave = voice(12, (1.0, 3.0, 5.2, 7.0, 9.5, 11.0))
    write_audio(tmp_path / "a.wav", wave, RATE)
    whole = find_accents(wave)
    monkeypatch.setattr(gestures, "PIECE", 100)
    monkeypatch.setattr(gestures, "SHARED", 50)
    parts = hear_accents(open_sound(tmp_path / "a.wav"))
    assert parts.length == whole.length == 300
    strong = [found.frames[found.strength > 0.5] for found in (whole, parts)]
    assert len(strong[0]) == len(strong[1]) == 6
    assert np.abs(strong[0] - strong[1]).max() <= 1


def test_bumps_follow_the_closed_form():
    accents = Accents(np.array([20]), np.array([0.5], np.float32), 60)
    brows, nods = brow_raise(accents), nod_angle(accents)
    assert brows[20] == pytest.approx(0.5)
    assert nods[20] == pytest.approx(0.5 * NOD)
    assert nods[25] == pytest.approx(0.5 * NOD * (0.5 + 0.5 * np.cos(np.pi * 0.2 / 0.40)), abs=1e-6)
    assert not brows[[0, 14, 32, 59]].any()


def test_no_sound_is_a_warning(caplog):
    assert hear_accents(None).length == 0
    assert "W_NO_SOUND" in caplog.text


def test_brows_are_read_as_they_were_raised():
    face = FaceModel.embedded()
    torch.manual_seed(0)
    amount = torch.tensor([0.0, 0.0, 0.5, 1.0, 0.0])
    still = (0.3 * torch.randn(1, 64)).expand(5, 64)
    raised = apply_brows(face, still, amount)
    identity = torch.zeros(5, 80)
    seen = seen_brows(face, FaceCoeffs(identity, raised, torch.zeros(5, 3), torch.zeros(5, 3)))
    assert torch.allclose(seen, amount, atol=0.02)
    assert torch.allclose(eye_opening(face, identity, raised), eye_opening(face, identity, still), atol=2e-3)
    assert torch.allclose(mouth_opening(face, identity, raised), mouth_opening(face, identity, still), atol=2e-3)


def test_a_nod_bows_the_face_and_leaves_the_neck():
    accents = Accents(np.array([10]), np.array([1.0], np.float32), 30)
    euler, trans = torch.tensor([[0.1, 0.2, 0.0]]).expand(31, 3), torch.zeros(31, 3)
    bowed, moved = apply_nods(accents, euler, trans)
    assert torch.equal(bowed[[0, 30]], euler[[0, 30]])
    ahead = torch.tensor([0.0, 0.0, 1.0])
    assert (rotation_from_euler(bowed[10]) @ ahead)[1] < (rotation_from_euler(euler[10]) @ ahead)[1], "the face looks lower"
    neck = rotation_from_euler(bowed) @ torch.tensor(NECK) + moved
    assert torch.allclose(neck, neck[:1].expand_as(neck), atol=1e-5)


def test_fit_length():
    assert fit_length(torch.ones(3), 5).tolist() == [1, 1, 1, 0, 0]
    assert fit_length(torch.ones(3), 2).tolist() == [1, 1]
