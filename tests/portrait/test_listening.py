from itertools import pairwise

import numpy as np
import pytest
import torch
from audio2motion import encoder_for, motion_from_audio
from core.media.audio import write_audio
from core.media.sound import open_sound
from portrait import listening
from portrait.listening import faded, motion_from_sound, pieces


@pytest.mark.parametrize("total", [0, 5, 13, 14, 23, 24, 100])
def test_pieces_overlap_and_cover_everything(total):
    whole = np.arange(total, dtype=np.float32)
    cut = list(pieces(np.array_split(whole, 7), 10, 3))
    assert all(len(piece) == 13 for piece in cut[:-1])
    assert all(np.array_equal(before[-3:], after[:3]) for before, after in pairwise(cut))
    assert np.array_equal(np.concatenate([cut[0], *(piece[3:] for piece in cut[1:])]), whole)
    assert all(len(piece) > 3 for piece in cut[1:])


def test_seams_fade_in_the_middle():
    joined = faded(torch.zeros(300, 1), torch.ones(200, 1), 100)[:, 0]
    assert len(joined) == 400
    assert (joined[:245] == 0).all()
    assert (joined[255:] == 1).all()
    assert torch.allclose(joined[245:255], torch.linspace(0.05, 0.95, 10))


def test_long_speech_moves_like_short_speech(portrait, tmp_path, monkeypatch):
    """Pieces of two seconds against the whole at once: the same frames, and close to the same lips."""
    rng = np.random.default_rng(0)
    time = np.arange(16000 * 9) / 16000
    speech = (0.3 * rng.standard_normal(len(time)) * (np.sin(7 * time) > 0)).astype(np.float32)
    write_audio(tmp_path / "a.wav", speech, 16000)
    encoder = encoder_for(portrait.audio2motion.config)
    sound = open_sound(tmp_path / "a.wav")
    whole = motion_from_sound(sound, portrait.audio2motion, encoder=encoder)
    assert torch.equal(whole, motion_from_audio(portrait.audio2motion, sound.read(16000), encoder=encoder))
    monkeypatch.setattr(listening, "PIECE", 50)
    monkeypatch.setattr(listening, "SHARED", 25)
    parts = motion_from_sound(sound, portrait.audio2motion, encoder=encoder)
    assert parts.shape == whole.shape == (225, 64)
    steps = (parts[1:] - parts[:-1]).abs().amax(1)
    assert steps.max() < 2 * (whole[1:] - whole[:-1]).abs().amax(), "seams are no jumps"


def test_silence_in_one_piece_is_no_warning(portrait, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(listening, "PIECE", 25)
    monkeypatch.setattr(listening, "SHARED", 10)
    quiet = np.zeros(48000, np.float32)
    write_audio(tmp_path / "silent.wav", quiet, 16000)
    quiet[:8000] = 0.1 * np.sin(np.arange(8000) / 9)
    write_audio(tmp_path / "once.wav", quiet, 16000)
    assert motion_from_sound(open_sound(tmp_path / "once.wav"), portrait.audio2motion).shape == (75, 64)
    assert "W_SILENT" not in caplog.text
    assert not motion_from_sound(open_sound(tmp_path / "silent.wav"), portrait.audio2motion).any()
    assert caplog.text.count("W_SILENT") == 1
