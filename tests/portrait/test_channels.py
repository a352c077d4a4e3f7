"""Lips, lids, brows and head each from a source of its own."""

import numpy as np
import pytest
import torch
from core.face.expression import eye_opening, mouth_opening
from core.media.audio import write_audio
from core.media.sound import open_sound
from core.media.video import VideoWriter
from portrait import driving, listening
from portrait.blink import natural_blinks
from portrait.listening import motion_from_sound


@pytest.fixture(scope="module")
def driver(astronaut, tmp_path_factory):
    """A face that moves, and a buzz."""
    path = tmp_path_factory.mktemp("driver") / "driver.mp4"
    wave = 0.3 * np.sin(np.arange(48000 // 25 * 10) / 20).astype(np.float32)
    with VideoWriter(path, 256, 25, (wave, 48000)) as video:
        for index in range(10):
            video.write(np.ascontiguousarray(astronaut[:256, 100 + 2 * index : 356 + 2 * index]))
    return path


def test_one_video_drives_many_channels_and_is_read_once(portrait, source, driver, speech, monkeypatch):
    reads = []
    fit = driving.fit_driver
    monkeypatch.setattr(driving, "fit_driver", lambda path, *rest: reads.append(path) or fit(path, *rest))
    mixed = portrait.plan(source, audio=speech, pose=driver, blink=driver, brows=driver)
    plain = portrait.plan(source, audio=speech, blink="none")
    assert len(reads) == 1
    assert len(mixed) == len(plain) == 20, "a shorter video goes to and fro"
    assert mixed.motion.trans[9, 0] < mixed.motion.trans[0, 0] - 0.03
    assert torch.equal(plain.motion.euler, source.coeffs.euler.expand(20, 3))
    lips = [mouth_opening(portrait.face, plan.motion.id, plan.motion.exp) for plan in (mixed, plain)]
    assert torch.allclose(*lips, atol=2e-3), "lips are the audio's"


def test_times_in_a_file_close_the_eyes(portrait, source, speech, tmp_path):
    (tmp_path / "blinks.txt").write_text("0.4")
    plan = portrait.plan(source, audio=speech, blink=tmp_path / "blinks.txt")
    plain = portrait.plan(source, audio=speech, blink="none")
    opening, before = (eye_opening(portrait.face, p.motion.id, p.motion.exp) for p in (plan, plain))
    assert opening[10] < 0.4 * before[10]
    assert torch.equal(plan.motion.exp[:7], plain.motion.exp[:7])


def test_nods_come_on_top_of_the_pose(portrait, source, tmp_path):
    time = np.arange(16000 * 3) / 16000
    near = np.exp(-0.5 * ((time - 1.5) / 0.08) ** 2)
    phase = 2 * np.pi * np.cumsum(120 * 2 ** (0.5 * near)) / 16000
    write_audio(tmp_path / "a.wav", (0.03 * (1 + 2 * near) * sum(np.sin(k * phase) for k in range(1, 9))).astype(np.float32), 16000)
    still, nodding = (portrait.plan(source, audio=tmp_path / "a.wav", pose="idle", nods=nods, seed=2) for nods in (False, True))
    bowed = (nodding.motion.euler - still.motion.euler)[:, 0]
    assert abs(int(bowed.argmax()) - 37) <= 3
    assert torch.allclose(nodding.motion.euler[:, 1:], still.motion.euler[:, 1:])


def test_blinks_by_the_model_need_speech(portrait, source, driver):
    with pytest.raises(ValueError, match="needs audio"):
        portrait.plan(source, video=driver, blink="model")


def test_the_model_blinks_when_a_natural_face_would(portrait, tmp_path, monkeypatch):
    """Every piece of a long sound is told its own blinks, those of silence too."""
    told = []

    def record(model, wave, amplitude, blink, **_):
        told.append(blink)
        return torch.zeros(-(-len(wave) // 640), 64)

    monkeypatch.setattr(listening, "motion_from_audio", record)
    monkeypatch.setattr(listening, "PIECE", 100)
    monkeypatch.setattr(listening, "SHARED", 20)
    write_audio(tmp_path / "a.wav", np.zeros(16000 * 16, np.float32), 16000)
    blink = driving.blink_units(400, 1)
    motion = motion_from_sound(open_sound(tmp_path / "a.wav"), portrait.audio2motion, blink=blink)
    assert len(motion) == 400
    assert len(told) == 4
    assert all(np.array_equal(units, blink[100 * number :]) for number, units in enumerate(told))
    assert (natural_blinks(400, 1).numpy()[blink == 1] == 1).all()
