"""The made speech: its languages, and that sound, phonemes and face belong together."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from audio2motion import rules
from audio2motion.augment import warp_envelope
from audio2motion.features import frame_levels
from audio2motion.logmel import LogMelEncoder
from audio2motion.mouth import MouthRig, blink_curve
from audio2motion.sentences import LANGUAGES, VOICES, WORDS, make_text, pick_language
from audio2motion.speech import say
from audio2motion.synthesis import SPEAKERS, Speech, SpeechOptions, vary_pitch
from audio2motion.visemes import CONSONANTS, VOWELS, mouth_track
from core.face.expression import mouth_opening
from core.face.model import FaceModel

QUIET = SpeechOptions(words=(3, 4), warp=0.0, reverb=0.0, snr_db=(60.0, 61.0), emphasis_db=0.0, blinks=0.5, brows=1.0, nods=1.0)


@pytest.fixture(scope="module")
def speech():
    return Speech(2, LogMelEncoder(40), MouthRig(FaceModel.embedded()), 3, QUIET)


def test_at_least_twenty_languages_each_in_many_voices():
    assert len(LANGUAGES) >= 20
    assert len(SPEAKERS) >= 30
    assert all(len(set(words.split())) >= 18 for words in WORDS.values())


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_voice_speaks_and_every_sound_has_a_mouth(language):
    text = " ".join(WORDS[language].split()[:4])
    for voice in VOICES.get(language, (language,)):
        spoken = say(text, voice)
        sounds = [p.symbol for p in spoken.phonemes if p.symbol]
        assert len(sounds) >= 5
        assert all(any(letter in VOWELS or letter in CONSONANTS for letter in sound) or sound == "ʲ" for sound in sounds)


def test_all_languages_are_drawn_and_texts_differ():
    rng = np.random.default_rng(0)
    drawn = [pick_language(rng)[0] for _ in range(800)]
    assert set(drawn) == set(LANGUAGES)
    assert 0.3 < drawn.count("en") / 800 < 0.55
    assert make_text("de", rng, 6) != make_text("de", rng, 6)


def test_sound_phonemes_and_face_belong_together(speech):
    made = speech.perform(0)
    frames = len(made.exp)
    assert len(made.wave) == 640 * frames
    assert made.track.shape == (frames, 5)
    assert len(made.blink) == len(made.brows) == len(made.nods) == frames
    # Loud where a sound is, quiet where none is, to the frame: the phonemes' times are those of the recording.
    levels = frame_levels(torch.from_numpy(made.wave)).numpy().reshape(frames, 2).mean(1)
    time = (np.arange(frames) + 0.5) / 25
    voiced = [p for p in made.phonemes if any(letter in VOWELS for letter in p.symbol)]
    silent = [p for p in made.phonemes if not p.symbol]
    inside = np.any([(time > p.start) & (time < p.end) for p in voiced], axis=0)
    outside = np.any([(time > p.start + 0.06) & (time < p.end - 0.1) for p in silent], axis=0)
    assert np.median(levels[inside]) > 5 * np.median(levels[outside])
    gap = mouth_opening(FaceModel.embedded(), torch.zeros(frames, 80), made.exp).numpy()
    assert np.corrcoef(gap, made.track[:, 0])[0, 1] > 0.95
    again = mouth_track(made.phonemes, frames)[:, 0]
    lags = [np.corrcoef(np.roll(gap, shift)[3:-3], again[3:-3])[0, 1] for shift in (-2, -1, 0, 1, 2)]
    assert int(np.argmax(lags)) == 2


def test_brows_nods_and_lids_have_controls(speech):
    made = speech.perform(1)
    assert made.brows.max() > 0.1
    assert 0 < made.nods.max() <= 0.061
    plain = Speech(2, speech.encoder, speech.rig, 3, SpeechOptions(**{**QUIET.__dict__, "brows": 0.0, "nods": 0.0})).perform(1)
    np.testing.assert_array_equal(plain.wave, made.wave)
    assert not plain.brows.any()
    assert not plain.nods.any()
    moved = (made.exp - plain.exp).norm(dim=1).numpy()
    assert np.corrcoef(moved, made.brows)[0, 1] > 0.99
    assert blink_curve(torch.from_numpy(made.blink)).max() == 1


def test_pitch_says_who_speaks_no_more():
    pitch = np.array([1, 1, 80, 90, 100, 1])
    moved = [vary_pitch(pitch, np.random.default_rng(seed)) for seed in range(60)]
    assert all((row[[0, 1, 5]] == 1).all() for row in moved)
    voiced = [row for row in moved if row[2] > 1]
    assert 40 <= len(voiced) < 60
    assert all(row[4] - row[2] == 20 for row in voiced)
    assert np.std([row[3] for row in voiced]) > 10


def test_formants_move_and_the_pitch_stays():
    """A buzz of 125 Hz through one resonance: after warping its harmonics are where they were, its strongest one may not be."""
    time = np.arange(16_000) / 16_000
    wave = sum(np.exp(-(((125 * k - 1200) / 300) ** 2)) * np.sin(2 * np.pi * 125 * k * time) for k in range(1, 40)).astype(np.float32)
    tops = []
    for seed in range(6):
        spectrum = np.abs(np.fft.rfft(warp_envelope(wave, np.random.default_rng(seed))[:16_000]))
        top = int(spectrum.argmax())
        assert min(top % 125, 125 - top % 125) <= 1
        tops.append(top)
    assert min(tops) < 1200 < max(tops) or len(set(tops)) > 2


def test_other_rules_are_another_recipe(tmp_path, monkeypatch):
    """A corpus that was made before a rule changed is not taken for one of now."""
    package = tmp_path / "audio2motion"
    package.mkdir()
    for name in rules.FILES:
        (package / f"{name}.py").write_text(f"# {name}")
    monkeypatch.setattr(rules, "__file__", str(package / "rules.py"))
    before = rules.rules_fingerprint()
    assert before == rules.rules_fingerprint()
    (package / "visemes.py").write_text("# other")
    assert rules.rules_fingerprint() != before


def test_every_file_that_makes_clips_is_among_the_rules():
    """What `synthesis` imports of this package, and what that imports, decides what is made."""
    names, found = ["synthesis"], set()
    while names:
        name = names.pop()
        found.add(name)
        source = Path(rules.__file__).with_name(f"{name}.py").read_text()
        imported = re.findall(r"^from audio2motion(?:\.(\w+) import| import (\w+)$)", source, re.MULTILINE)
        names += {module or name for module, name in imported} - found
    assert found - {"corpus"} <= set(rules.FILES)
