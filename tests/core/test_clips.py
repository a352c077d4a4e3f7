"""The store of clips: what is written is what is read."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from core.camera import FIT_FOCAL, Camera
from core.data.clips import ClipStore, PairDataset, collate_pairs, write_store
from core.errors import PortraitError
from core.face.model import FaceModel
from core.people.__main__ import main
from core.people.procedural import SeedSource

SIZE = 96


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
    assert write_store(path, people, frames_per_person=6, size=SIZE, seed=3, progress=False) == 2
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


def test_pairs_share_the_expression_or_not(folder):
    store = ClipStore(folder)
    same = PairDataset(store, "train", same_expression=True, seed=1)
    for index in range(8):
        pair = same[index]
        assert torch.equal(pair.source.coeffs.exp, pair.target.coeffs.exp)
        assert not torch.equal(pair.source.camera.label, pair.target.camera.label)
    mixed = PairDataset(store, "train", seed=1)
    assert any(not torch.equal(p.source.coeffs.exp, p.target.coeffs.exp) for p in (mixed[i] for i in range(8)))
    assert mixed.draw(4) == PairDataset(store, "train", seed=1).draw(4)


def test_batches(folder):
    data = PairDataset(ClipStore(folder), "val", size=48)
    batch = collate_pairs([data[0], data[1], data[2]]).to("cpu")
    assert len(batch) == 3
    assert batch.background.shape == batch.torso.shape == (3, 3, 48, 48)
    assert batch.source.segmap.shape == (3, 6, 48, 48)
    assert batch.person.tolist() == [1, 1, 1]
    assert -1 <= batch.source.image.min() <= batch.source.image.max() <= 1


def test_same_seed_same_bytes_and_resuming(folder, tmp_path):
    people = [SeedSource(5, SIZE)]
    write_store(tmp_path, people, frames_per_person=6, size=SIZE, seed=3, progress=False)
    name = "clips/seed000005.safetensors"
    first = (folder / name).read_bytes()
    assert (tmp_path / name).read_bytes() == first
    stamp = (tmp_path / name).stat().st_mtime_ns
    write_store(tmp_path, people, frames_per_person=6, size=SIZE, seed=3, progress=False)
    assert (tmp_path / name).stat().st_mtime_ns == stamp
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(folder, tmp_path):
    write_store(tmp_path, [SeedSource(5, SIZE), SeedSource(6, SIZE)], 6, SIZE, 3, workers=2, progress=False)
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
