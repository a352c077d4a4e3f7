"""A store in LitData shards holds what the store holds."""

import json
import sys

import pytest
import torch
from core.data.clip_codec import save_clip
from core.data.clips import LABELS, ClipStore
from core.data.shards import ShardStore, is_sharded, open_store, write_shards
from core.errors import PortraitError
from core.people.__main__ import main

CLIPS = 5


def clip(seed: int) -> dict[str, torch.Tensor]:
    """Labels and pictures' bytes of two frames; what is in them does not matter here."""
    generator = torch.Generator().manual_seed(seed)
    label = {name: torch.randn(2, 3, generator=generator) for name in LABELS}
    return label | {"image.0": torch.randint(0, 255, (1000 + seed,), generator=generator, dtype=torch.uint8)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("store")
    (path / "clips").mkdir()
    clips = [{"name": f"c{n}", "person": f"c{n}", "frames": 2, "split": "val" if n == 3 else "train"} for n in range(CLIPS)]
    for n, entry in enumerate(clips):
        save_clip(path / "clips" / f"{entry['name']}.safetensors", clip(n))
    (path / "store.json").write_text(json.dumps({"face_model": "abc", "image_size": 64, "focal": 4.5, "fps": 25, "clips": clips}))
    return path


def test_every_clip_comes_back(folder, tmp_path):
    pytest.importorskip("litdata")
    assert write_shards(folder, tmp_path / "shards", chunk="4KB", progress=False) > 1
    plain, sharded = ClipStore(folder), open_store(tmp_path / "shards")
    assert isinstance(sharded, ShardStore)
    assert sharded.info == plain.info
    assert sharded.indices("val") == [3]
    for n in (4, 0, 3, 1, 2, 0):
        assert torch.equal(sharded.file(n).read("image.0")[0], clip(n)["image.0"])
        ours, theirs = sharded.labels(n), plain.labels(n)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_same_store_same_shards(folder, tmp_path):
    pytest.importorskip("litdata")
    for name in ("a", "b"):
        write_shards(folder, tmp_path / name, chunk="4KB", progress=False)
    files = [sorted(path.name for path in (tmp_path / name).glob("*.bin")) for name in ("a", "b")]
    assert files[0] == files[1]
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files[0])


def test_where_shards_are(folder, tmp_path):
    assert not is_sharded(folder)
    assert not is_sharded(tmp_path)
    assert is_sharded("s3://bucket/people")
    assert isinstance(open_store(folder), ClipStore)


def test_pickles_are_not_read(tmp_path):
    litdata = pytest.importorskip("litdata")
    from litdata.streaming.writer import BinaryWriter

    del litdata
    writer = BinaryWriter(str(tmp_path), chunk_bytes="1MB")
    writer[0] = {1, 2, 3}  # a set: LitData pickles it
    writer.done()
    writer.merge(1)
    with pytest.raises(PortraitError, match=r"E_STORE.*pickled"):
        open_store(tmp_path)


def test_without_litdata(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "litdata", None)
    assert main(["shards", "--store", str(folder), "--out", str(tmp_path / "s")]) == 1
    assert "E_NO_LITDATA" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


def test_folders_in_use_are_left_alone(folder, tmp_path):
    pytest.importorskip("litdata")
    (tmp_path / "mine").write_text("")
    with pytest.raises(PortraitError, match="E_WRITE"):
        write_shards(folder, tmp_path, progress=False)
    with pytest.raises(PortraitError, match="E_STORE"):
        write_shards(tmp_path, tmp_path / "x", progress=False)
