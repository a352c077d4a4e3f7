"""The store of clips: what is written is what is read."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from core.camera import FIT_FOCAL, Camera
from core.data.clips import ClipStore, write_store
from core.data.plan import PlanOptions
from core.data.talking import TalkingClips, collate_pairs
from core.errors import PortraitError
from core.face.model import FaceModel
from core.people.__main__ import main
from core.people.procedural import SeedSource

SIZE, OPTIONS = 96, PlanOptions(frames=6)


@dataclass(frozen=True)
class Refused:
    name: str = "refused"
    split: str = "train"

    def make(self, rng: np.random.Generator) -> None:
        raise PortraitError("E_BAD_PHOTO", "blurred", "Use another.")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("store")
    people = [SeedSource(5, SIZE), Refused(), SeedSource(6, SIZE)]
    assert write_store(path, people, OPTIONS, SIZE, seed=3, progress=False) == 2
    return path


def test_store_describes_itself(folder):
    store = ClipStore(folder)
    assert len(store) == 2
    assert store.image_size == SIZE
    assert store.face_model == FaceModel.embedded().fingerprint
    assert [clip["split"] for clip in store.clips] == ["train", "val"]
    assert "blurred" in json.loads((folder / "rejected.json").read_text())["refused"]


def test_frames_are_consistent(folder):
    frame = ClipStore(folder).frame(0, 3)
    assert frame.image.shape == frame.head.shape == (1, 3, SIZE, SIZE)
    assert torch.equal(frame.segmap.sum(1), torch.ones(1, SIZE, SIZE))
    assert torch.allclose(frame.camera.label, Camera.from_pose(frame.coeffs.euler, frame.coeffs.trans, FIT_FOCAL).label)
    full, empty = frame.head_mask > 0.999, frame.head_mask < 0.001
    assert (frame.image - frame.head).abs()[full.expand_as(frame.head)].mean() < 0.03
    assert (frame.head[empty.expand_as(frame.head)] + 1).mean() < 0.03
    assert frame.keypoints.shape == (1, 68, 3)


def test_pairs_are_of_one_person_and_repeat(folder):
    store = ClipStore(folder)
    data = TalkingClips(store, "train", seed=1)
    drawn = [data.draw(index) for index in range(12)]
    assert {clip for clip, _, _ in drawn} == {0}
    assert all(source != target for _, source, target in drawn)
    assert any(source == 0 for _, source, _ in drawn)
    assert any(source != 0 for _, source, _ in drawn)
    group = store.order(0).group
    assert any(group[source] != group[target] for _, source, target in drawn)
    assert data.draw(4) == TalkingClips(store, "train", seed=1).draw(4)


def test_gaze_and_depth_of_stills(folder):
    store = ClipStore(folder)
    order = store.order(0)
    frames = [store.frame(0, index) for index in range(len(order))]
    for group in range(3):
        looks = torch.cat([frame.gaze for frame, own in zip(frames, order.group, strict=True) if own == group])
        assert torch.equal(looks, looks[:1].expand_as(looks))  # the same head for all cameras
    assert not torch.equal(frames[0].gaze, frames[-1].gaze)
    depth, mask = frames[3].depth, frames[3].head_mask
    assert depth.shape == (1, 1, SIZE // 4, SIZE // 4)
    covered = torch.nn.functional.avg_pool2d(mask, 4)
    assert (depth[covered > 0.99] > 5).all()
    assert (depth[covered < 0.1] == 0).all()
    small = store.frame(0, 3, 48)
    assert small.depth.shape == (1, 1, 12, 12)
    assert set(small.depth.unique().tolist()) <= set(depth.unique().tolist())
    assert frames[0].torso_keypoints is None
    landmarks = frames[3].landmarks(FaceModel.embedded())
    assert (landmarks[:, FaceModel.embedded().keypoints68] - frames[3].keypoints).abs().max() < 1e-4


def test_depth_survives_the_file(folder):
    from core.data.clip_codec import DEPTH_UNIT, decode_depth, encode_depth, quarter_depth

    rng = np.random.default_rng(0)
    depth = (13 + np.cumsum(rng.normal(size=(64, 64)) * 0.01, 1)).astype(np.float32)
    depth[:20] = 0
    quarter = quarter_depth(depth)
    plain = depth[20:].reshape(11, 4, 16, 4).mean((1, 3))
    assert np.abs(quarter[5:] - plain).max() < DEPTH_UNIT
    assert not quarter[:5].any()
    assert np.array_equal(decode_depth(encode_depth(quarter), 16), quarter)


def test_stores_without_the_newer_labels_are_read(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    name = "clips/seed000005.safetensors"
    (tmp_path / "clips").mkdir()
    tensors = load_file(folder / name)
    newer = {"take", "time", "gaze", *(f"depth.{k}" for k in range(6))}
    assert newer <= tensors.keys()
    save_file({key: value for key, value in tensors.items() if key not in newer}, tmp_path / name)
    info = json.loads((folder / "store.json").read_text())
    (tmp_path / "store.json").write_text(json.dumps(info | {"clips": info["clips"][:1]}))
    old = ClipStore(tmp_path)
    frame = old.frame(0, 1)
    assert (frame.gaze, frame.depth, frame.torso_keypoints) == (None, None, None)
    assert torch.equal(frame.image, ClipStore(folder).frame(0, 1).image)
    assert collate_pairs([TalkingClips(old)[0], TalkingClips(old)[1]]).to("cpu").target.gaze is None


def test_batches(folder):
    data = TalkingClips(ClipStore(folder), "val", size=48)
    batch = collate_pairs([data[0], data[1], data[2]]).to("cpu")
    assert len(batch) == 3
    assert batch.background.shape == batch.torso.shape == (3, 3, 48, 48)
    assert batch.source.segmap.shape == (3, 6, 48, 48)
    assert batch.person.tolist() == [1, 1, 1]
    assert -1 <= batch.source.image.min() <= batch.source.image.max() <= 1


def test_same_seed_same_bytes_and_resuming(folder, tmp_path):
    people = [SeedSource(5, SIZE)]
    write_store(tmp_path, people, OPTIONS, SIZE, seed=3, progress=False)
    name = "clips/seed000005.safetensors"
    first = (folder / name).read_bytes()
    assert (tmp_path / name).read_bytes() == first
    stamp = (tmp_path / name).stat().st_mtime_ns
    write_store(tmp_path, people, OPTIONS, SIZE, seed=3, progress=False)
    assert (tmp_path / name).stat().st_mtime_ns == stamp
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(folder, tmp_path):
    write_store(tmp_path, [SeedSource(5, SIZE), SeedSource(6, SIZE)], OPTIONS, SIZE, 3, workers=2, progress=False)
    name = "clips/seed000006.safetensors"
    assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_not_a_store(tmp_path):
    with pytest.raises(PortraitError, match="E_STORE"):
        ClipStore(tmp_path)


def test_command_line(tmp_path, capsys):
    assert main(["sheet", "--seeds", "1", "--size", "64", "--out", str(tmp_path / "sheet.png")]) == 0
    assert (tmp_path / "sheet.png").exists()
    assert (
        main(
            [
                "write",
                "--people",
                "1",
                "--val-people",
                "0",
                "--frames",
                "2",
                "--groups",
                "1",
                "--size",
                "64",
                "--workers",
                "1",
                "--out",
                str(tmp_path / "s"),
            ]
        )
        == 0
    )
    assert len(ClipStore(tmp_path / "s")) == 1
    assert main(["write", "--photos", str(tmp_path / "none"), "--out", str(tmp_path / "t")]) == 1
    assert "E_NO_PHOTOS" in capsys.readouterr().err
