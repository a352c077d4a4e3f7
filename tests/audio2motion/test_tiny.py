"""The weights that ship with `portrait`, on voices, rates and texts that training never used."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from audio2motion import Audio2Motion, motion_from_audio
from audio2motion.augment import change_tract
from audio2motion.speech import say
from audio2motion.visemes import mouth_track
from core.face.expression import mouth_opening
from core.face.model import FaceModel

FOLDER = Path(str(files("portrait"))) / "weights" / "tiny" / "audio2motion"
TEXT = "My baby brother bought a lamp, and papa put it above the map. Who knew? We moved it five times."


@pytest.fixture(scope="module")
def net():
    return Audio2Motion.from_pretrained(FOLDER)


@pytest.fixture(scope="module")
def speech():
    return change_tract(say(TEXT, "en-us+Reed", rate=150), 1.0)


def gaps(exp):
    return mouth_opening(FaceModel.embedded(), torch.zeros(len(exp), 80), exp).numpy()


def test_fits_the_embedded_face_model(net):
    assert net.config.face_model == FaceModel.embedded().fingerprint
    assert (FOLDER / "model.safetensors").stat().st_size <= 3_000_000


def test_lips_follow_speech(net, speech):
    made = gaps(motion_from_audio(net, speech.wave))
    wanted = mouth_track(speech.phonemes, len(made))[:, 0]
    assert np.corrcoef(made, wanted)[0, 1] > 0.6


def test_m_b_p_shut_the_lips(net, speech):
    made = gaps(motion_from_audio(net, speech.wave))
    shut = [int(25 * (p.start + p.end) / 2) for p in speech.phonemes if p.symbol in ("m", "b") and p.end - p.start > 0.04]
    lowest = np.array([made[max(frame - 2, 0) : frame + 3].min() for frame in shut])
    assert len(shut) >= 8
    assert (lowest < 0.3 * np.quantile(made, 0.9)).mean() > 0.7


def test_rest_is_still(net, speech):
    wave = np.concatenate([speech.wave, np.zeros(48_000, np.float32)])
    exp = motion_from_audio(net, wave)
    assert float(exp[-40:].abs().max()) == 0.0
    assert float(np.abs(np.diff(gaps(exp))).max()) < 0.25


def test_amplitude_opens_the_mouth(net, speech):
    small, large = (np.quantile(gaps(motion_from_audio(net, speech.wave, amplitude)), 0.9) for amplitude in (0.28, 0.42))
    assert large > 1.2 * small


def test_blink(net, speech):
    blink = np.zeros(100, np.int64)
    blink[50] = 1
    plain, blinking = (motion_from_audio(net, speech.wave, blink=units, temperature=0.0) for units in (None, blink))
    face = FaceModel.embedded()
    lids = [face.keypoints(torch.zeros(len(exp), 80), exp)[:, [159, 145], 1].diff(dim=1).abs()[:, 0] for exp in (plain, blinking)]
    assert float(lids[1][50]) < 0.6 * float(lids[0][50])
