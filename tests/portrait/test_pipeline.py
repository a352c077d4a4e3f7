import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from compose.gaze import Eye
from core.media.audio import read_audio, write_audio
from core.media.video import VideoWriter, read_video, video_info
from portrait.clip import write_clip
from portrait.plan import still_plan
from portrait.torso_memory import near_by


def test_animate_yields_frames_one_by_one(portrait, source, speech):
    frames = portrait.animate(source, audio=speech, maps=[2])
    first = next(frames)
    assert first.index == 0
    assert first.image.shape == (portrait.size, portrait.size, 3)
    assert not first.maps
    rest = list(frames)
    assert [frame.index for frame in rest] == list(range(1, 20))
    assert {name: picture.shape for name, picture in rest[1].maps.items()} == dict.fromkeys(("pncc", "raw", "depth"), first.image.shape)


def test_the_same_seed_gives_the_same_frames(portrait, source, speech):
    one, two = (list(portrait.animate(source, audio=speech, pose="idle", seed=5)) for _ in range(2))
    assert all(np.array_equal(a.image, b.image) for a, b in zip(one, two, strict=True))


def test_an_array_and_a_file_are_the_same_photograph(portrait, source, photograph):
    again = portrait.prepare(photograph)
    assert np.array_equal(again.image, source.image)
    assert torch.allclose(again.coeffs.exp, source.coeffs.exp, atol=1e-4)


def test_blinks_change_the_eyes_and_not_the_pose(portrait, source, tmp_path):
    write_audio(tmp_path / "silence.wav", np.zeros(16000 * 6, np.float32), 16000)
    still, blinking = (portrait.plan(source, audio=tmp_path / "silence.wav", blink=mode) for mode in ("none", "natural"))
    assert torch.equal(still.motion.euler, blinking.motion.euler)
    assert torch.equal(still.motion.trans, blinking.motion.trans)
    changed = (still.motion.exp != blinking.motion.exp).any(1)
    assert 0 < changed.sum() < 75


def test_silence_is_a_resting_face_and_a_warning(portrait, source, tmp_path, caplog):
    write_audio(tmp_path / "silence.wav", np.zeros(16000, np.float32), 16000)
    plan = portrait.plan(source, audio=tmp_path / "silence.wav", blink="none")
    assert len(plan) == 25
    assert not plan.motion.exp.any()
    assert [record.message.split(":")[0] for record in caplog.records] == ["W_SILENT"]


def test_background_replaces_only_what_is_behind(portrait, source, speech):
    red = portrait.plan(source, audio=speech, background="#ff0000").background
    assert torch.allclose(red[0, :, 0, 0], torch.tensor([1.0, -1.0, -1.0]))
    assert torch.equal(portrait.plan(source, audio=speech, background="source").background, source.background)


def test_contradicting_arguments(portrait, source):
    with pytest.raises(ValueError, match="audio or video"):
        portrait.animate(source)
    with pytest.raises(ValueError, match="audio or video"):
        portrait.animate(source, audio="a.wav", video="b.mp4")


def test_finished_frames_are_not_kept(portrait, source):
    """Memory does not depend on the length: of 60 frames, only the few in the queues exist at any time."""
    images = []
    for frame in portrait.render(still_plan(source, 60)):
        images.append(weakref.ref(frame.image))
        assert sum(image() is not None for image in images) <= 2
    del frame
    gc.collect()
    assert not any(image() is not None for image in images)


def test_leaving_early_stops_all_threads(portrait, source):
    import threading

    stream = portrait.render(still_plan(source, 1000))
    next(stream)
    stream.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "prefetch"]


def test_sound_is_in_sync_within_a_frame(portrait, source, speech, tmp_path):
    plan = portrait.plan(source, audio=speech)
    write_clip(portrait, plan, tmp_path / "a.mp4")
    assert sum(1 for _ in read_video(tmp_path / "a.mp4")) == len(plan) == 20
    sound = read_audio(tmp_path / "a.mp4", 16000)
    onset = np.flatnonzero(np.abs(sound) > 0.1)[0] / 16000
    assert abs(onset - 0.4) < 0.04
    assert abs(len(sound) / 16000 - 0.8) < 0.04


def test_video_drives_face_pose_and_sound(portrait, source, astronaut, tmp_path, caplog):
    """The astronaut, shifted from frame to frame, with sound and two frames without a face."""
    wave = 0.3 * np.sin(np.arange(48000 // 25 * 12) / 20).astype(np.float32)
    with VideoWriter(tmp_path / "driver.mp4", 256, 25, (wave, 48000)) as video:
        for index in range(12):
            frame = astronaut[:256, 100 + 2 * index : 356 + 2 * index]
            video.write(np.zeros_like(frame) if index in (6, 7) else np.ascontiguousarray(frame))
    plan = portrait.plan(source, video=tmp_path / "driver.mp4")
    assert len(plan) == 12
    assert plan.sound is not None
    assert torch.allclose(plan.motion.id, source.coeffs.id.expand(12, -1))
    assert plan.motion.trans[-1, 0] < plan.motion.trans[0, 0] - 0.03, "the driver moves to the left"
    assert any("W_FACE_LOST" in record.message for record in caplog.records)
    write_clip(portrait, plan, tmp_path / "a.mp4")
    assert video_info(tmp_path / "a.mp4").has_audio
    posed = portrait.plan(source, audio=tmp_path / "driver.mp4", pose=tmp_path / "driver.mp4")
    assert torch.allclose(posed.motion.euler[:9], plan.motion.euler[:9], atol=1e-5)  # AAC may add a frame of sound


def test_relative_expression_starts_from_the_photograph(portrait, source, astronaut, tmp_path):
    with VideoWriter(tmp_path / "driver.mp4", 256, 25) as video:
        for _ in range(5):
            video.write(np.ascontiguousarray(astronaut[:256, 100:356]))
    plan = portrait.plan(source, video=tmp_path / "driver.mp4", expression="relative")
    assert plan.sound is None
    assert torch.allclose(plan.motion.exp.median(0).values, source.coeffs.exp[0], atol=1e-4)


def test_eyes_are_turned_once_for_every_gaze(portrait, source, monkeypatch):
    calls = []

    def brighter(layer, eyes, gaze):
        calls.append(gaze)
        return layer + gaze[0]

    eye = Eye(slice(0, 2), slice(0, 2), np.ones((2, 2), np.float32), np.zeros((2, 2, 2), np.int64), np.ones(2), 1.0)
    monkeypatch.setattr("portrait.rendering.open_eyes", lambda *_: (eye,))
    monkeypatch.setattr("portrait.rendering.looking", brighter)
    gaze = torch.tensor([[0.1, 0.0]] * 4 + [[0.5, 0.0]] * 4)
    images = [frame.image for frame in portrait.render(replace(still_plan(source, 8), gaze=gaze))]
    assert all(np.array_equal(image, images[7 * (i > 3)]) for i, image in enumerate(images))
    assert images[7].mean() > images[0].mean()
    assert 2 <= len(calls) <= 2 * portrait.workers


def test_a_still_torso_is_looked_at_once(portrait, source, monkeypatch):
    looks, draws = counted(portrait, monkeypatch)
    images = [frame.image for frame in portrait.render(still_plan(source, 6))]
    assert 1 <= len(looks) <= portrait.workers
    assert len(draws) == len(looks)
    monkeypatch.setattr(portrait.compositor, "draft_torso", lambda *_: None)
    portrait._renderer._torsos.last = None
    assert all(np.array_equal(image, frame.image) for image, frame in zip(images, portrait.render(still_plan(source, 6)), strict=True))


def test_a_torso_that_hardly_moves_is_drawn_anew_but_not_looked_at(portrait, source, monkeypatch):
    plans = [still_plan(source, 3) for _ in range(2)]
    plans[0].motion.trans[:, 0] += torch.tensor([0.0, 0.5, 1.0]) * 2e-3  # half a pixel of 512 or less
    plans[1].motion.trans[:, 0] += torch.tensor([0.0, 0.5, 1.0])
    looks, draws = counted(portrait, monkeypatch)
    near = [frame.image for frame in portrait.render(plans[0])]
    assert 1 <= len(looks) <= portrait.workers
    assert len(draws) == 3
    looks.clear()
    list(portrait.render(plans[1]))
    assert len(looks) == 3
    monkeypatch.setattr(portrait.compositor, "draft_torso", lambda *_: None)
    portrait._renderer._torsos.last = None
    for image, frame in zip(near, portrait.render(plans[0]), strict=True):
        assert np.abs(image.astype(float) - frame.image).mean() < 0.05


def counted(portrait, monkeypatch) -> tuple[list, list]:
    """Calls of the torso's networks and of what draws it."""
    looks, draws = [], []
    for name, calls in (("draft_torso", looks), ("draw_torso", draws)):
        method = getattr(portrait.compositor, name)
        monkeypatch.setattr(portrait.compositor, name, lambda *a, calls=calls, method=method: calls.append(1) or method(*a))
    return looks, draws


def test_torsos_near_by():
    keypoints = torch.zeros(6, 2, 3)
    keypoints[:, 1, 0] = torch.tensor([0.0, 0.5, 0.9, 1.1, 2.0, 2.2])
    assert near_by(keypoints, 1.0).tolist() == [0, 0, 0, 3, 3, 5]
    assert not near_by(keypoints[:, :1], 1.0).any()
    assert near_by(keypoints[:0]).shape == (0,)
