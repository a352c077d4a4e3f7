"""Samples of stage 1 from a small hand-written store."""

import json

import numpy as np
import pytest
import torch
from core.camera import FIT_FOCAL, Camera
from core.data.clip_codec import encode_picture, save_clip
from core.data.clips import ClipStore
from recon.views import HeadView, MultiViewTeacher, collate_views

SIZE, FRAMES = 16, 6


@pytest.fixture
def store(tmp_path):
    """Three people; frame k of person p is filled with the grey 40 p + 5 k; two expressions of three frames each."""
    clips = []
    for person in range(3):
        tensors = {"group": torch.tensor([0, 0, 0, 1, 1, 1]), "id": torch.zeros(80), "keypoints": torch.zeros(FRAMES, 68, 3)}
        tensors |= {name: torch.zeros(FRAMES, 64) for name in ("exp", "exp_before", "exp_after")}
        tensors |= {name: torch.zeros(FRAMES, 3) for name in ("euler", "trans")}
        euler = torch.stack([torch.tensor([0.1, 0.2 * k, 0.05]) for k in range(FRAMES)])
        tensors["camera"] = Camera.from_pose(euler, torch.zeros(FRAMES, 3), FIT_FOCAL).label
        for k in range(FRAMES):
            tensors[f"head.{k}"] = encode_picture(np.full((SIZE, SIZE, 3), 40 * person + 5 * k, np.uint8))
            tensors[f"mask.{k}"] = encode_picture(np.full((SIZE, SIZE), 255, np.uint8), lossless=True)
        (tmp_path / "clips").mkdir(exist_ok=True)
        save_clip(tmp_path / "clips" / f"p{person}.safetensors", tensors)
        clips.append({"name": f"p{person}", "person": f"p{person}", "frames": FRAMES, "split": "val" if person == 2 else "train"})
    (tmp_path / "store.json").write_text(json.dumps({"face_model": "", "image_size": SIZE, "focal": FIT_FOCAL, "fps": 25, "clips": clips}))
    return ClipStore(tmp_path)


def frame_of(view):
    grey = round((float(view.head.mean()) + 1) * 127.5)
    return grey // 40, grey % 40 // 5


def test_views_are_of_one_person_and_one_expression(store):
    data = MultiViewTeacher(store, "train", SIZE, 2, 8, seed=0, photo_share=0.0, mirror=False)
    seen = set()
    for k in range(len(data)):
        sample = data[k]
        people, frames = zip(*(frame_of(view) for view in (sample.source, *sample.targets)), strict=True)
        assert set(people) == {int(sample.person)} <= {0, 1}
        assert len(set(frames)) == 3
        assert len({frame // 3 for frame in frames}) == 1
        seen.add((people[0], frames[0]))
    assert len(seen) > 6


def test_draws_repeat_with_the_seed_and_validation_has_other_people(store):
    data = MultiViewTeacher(store, "train", SIZE, 1, 4, seed=1, photo_share=0.5, mirror=True)
    again = MultiViewTeacher(store, "train", SIZE, 1, 4, seed=1, photo_share=0.5, mirror=True)
    for k in range(len(data)):
        assert torch.equal(data[k].source.head, again[k].source.head)
        assert torch.equal(data[k].targets[0].camera.label, again[k].targets[0].camera.label)
    held = MultiViewTeacher(store, "val", SIZE, 1, 4, seed=1, photo_share=1.0, mirror=False)
    assert {frame_of(held[k].source) for k in range(4)} == {(2, 0)}


def test_collate_keeps_views_apart(store):
    data = MultiViewTeacher(store, "train", SIZE, 2, 4, seed=0, photo_share=0.5, mirror=False)
    batch = collate_views([data[0], data[1]])
    assert len(batch) == 2
    assert [view.head.shape for view in batch.targets] == [(2, 3, SIZE, SIZE)] * 2
    assert torch.equal(batch.targets[1].head[1:], data[1].targets[1].head)
    assert batch.to("cpu").source.camera.label.shape == (2, 25)


def test_mirrored_camera_sees_the_mirrored_world():
    camera = Camera.from_pose(torch.tensor([[0.2, 0.4, -0.1]]), torch.tensor([[0.1, 0.05, 0.2]]), FIT_FOCAL)
    camera.label[:, 18] = 0.47  # an off-centre principal point
    view = HeadView(torch.rand(1, 3, 4, 4), torch.rand(1, 1, 4, 4), camera).mirrored()
    points = torch.rand(1, 9, 3) - 0.5
    x, y = pixels(camera, points)
    mirrored_x, mirrored_y = pixels(view.camera, points * torch.tensor([-1.0, 1.0, 1.0]))
    torch.testing.assert_close(mirrored_x, 1 - x, atol=1e-5, rtol=0)
    torch.testing.assert_close(mirrored_y, y, atol=1e-5, rtol=0)
    assert torch.linalg.det(view.camera.cam2world[:, :3, :3]).item() == pytest.approx(1, abs=1e-5)


def pixels(camera, points):
    """Pinhole projection, written out."""
    homogeneous = torch.cat([points, torch.ones(1, points.shape[1], 1)], 2)
    local = (torch.linalg.inv(camera.cam2world) @ homogeneous.transpose(1, 2))[:, :3]
    image = camera.intrinsics @ local
    return image[:, 0] / image[:, 2], image[:, 1] / image[:, 2]
