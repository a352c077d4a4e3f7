"""Packs of people: what is rebuilt from a small file is who was packed."""

import sys
from functools import lru_cache
from pathlib import Path
from subprocess import run

import numpy as np
import pytest
import torch
from core.errors import PortraitError
from core.face.model import FaceModel
from core.people.__main__ import main
from core.people.geometry import project
from core.people.motion import turn_about_neck
from core.people.packing import Observed, PackedSource, pack_photos, write_pack
from core.people.person import Person, render, render_source
from core.people.photos import find_photos, split_of
from core.people.procedural import make_person
from core.perception.parts import Parsing
from safetensors.numpy import save_file

SIZE = 128


@lru_cache(maxsize=1)
def seen() -> Observed:
    """What perfect detectors would see in the picture of a procedural person."""
    who = make_person(4, SIZE)
    frame = render_source(who, SIZE)
    landmarks = project(who.source_pose.apply(who.motion.measured))
    return Observed("someone", frame.image, landmarks, who.coeffs, Parsing(frame.labels, frame.head_alpha, frame.person_alpha))


@pytest.fixture(scope="module")
def pack(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pack") / "people.pack"
    other = Observed("another", seen().image[:, ::-1].copy(), seen().landmarks, seen().coeffs, seen().parsing)
    write_pack([other, seen()], path)
    return path


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


def turned(who: Person) -> np.ndarray:
    euler = np.float32([0.05, 0.3, 0.0])
    return render(who, who.coeffs.exp[0].numpy() * 0.5, euler, turn_about_neck(who.coeffs, euler), SIZE).image


def test_everything_that_was_seen_comes_back(pack):
    first, second = find_photos(pack)
    assert (first.name, second.name, second.split) == ("another", "someone", split_of("someone"))
    back = second.observed()
    assert all(torch.equal(getattr(back.coeffs, name), getattr(seen().coeffs, name)) for name in ("id", "exp", "euler", "trans"))
    assert np.abs(back.landmarks - seen().landmarks).max() < 1 / 65535
    assert np.array_equal(back.parsing.labels, seen().parsing.labels)
    for name in ("head_alpha", "person_alpha"):
        assert np.abs(getattr(back.parsing, name) - getattr(seen().parsing, name)).max() < 0.51 / 255
    assert psnr(back.image, seen().image) > 34
    assert psnr(first.observed().image[:, ::-1], back.image) > 34


def test_rebuilt_person_looks_like_the_one_that_was_packed(pack):
    source = PackedSource(pack, 1, "someone", vary=False)
    once, again = (source.make(np.random.default_rng(0)) for _ in range(2))
    assert np.array_equal(once.textures, again.textures)
    assert np.array_equal(turned(once), turned(again))
    assert psnr(turned(once), turned(seen().lifted())) > 30


def test_same_people_same_bytes(pack, tmp_path):
    other = Observed("another", seen().image[:, ::-1].copy(), seen().landmarks, seen().coeffs, seen().parsing)
    write_pack([other, seen()], tmp_path / "again.pack")
    assert (tmp_path / "again.pack").read_bytes() == pack.read_bytes()


def test_half_the_side(tmp_path):
    write_pack([seen().resized(SIZE // 2)], tmp_path / "small.pack")
    back = find_photos(tmp_path / "small.pack")[0].observed()
    mean = seen().parsing.head_alpha.reshape(SIZE // 2, 2, SIZE // 2, 2).mean((1, 3))
    assert np.abs(back.parsing.head_alpha - mean).max() < 0.51 / 255
    assert back.image.shape == (SIZE // 2, SIZE // 2, 3)


def test_files_that_are_no_pack(tmp_path, pack):
    (tmp_path / "text").write_text("hello")
    save_file({"x": np.zeros(3)}, tmp_path / "tensors")
    content, model = pack.read_bytes(), FaceModel.embedded().fingerprint.encode()
    (tmp_path / "stranger").write_bytes(content.replace(model, b"0" * len(model)))
    (tmp_path / "cut").write_bytes(content[:-100])
    for name in ("text", "tensors", "stranger", "cut"):
        with pytest.raises(PortraitError, match="E_PACK"):
            find_photos(tmp_path / name)


def test_broken_photographs_leave_no_pack(tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"not a picture")
    assert main(["pack", "--photos", str(tmp_path / "photos"), "--out", str(tmp_path / "p"), "--workers", "1"]) == 1
    told = capsys.readouterr().err
    assert "E_IMAGE_READ" in told
    assert "E_NO_PHOTOS" in told
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_a_pack_is_not_packed_again(pack, tmp_path, capsys):
    assert main(["pack", "--photos", str(pack), "--out", str(tmp_path / "p")]) == 1
    assert "E_NO_PHOTOS" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_reject_the_same(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.png").write_bytes(name.encode() * 50)
    told = []
    for workers in (1, 2):
        with pytest.raises(PortraitError, match="E_NO_PHOTOS") as error:
            pack_photos(find_photos(tmp_path), tmp_path / "p", 64, workers, progress=False)
        told.append(str(error.value))
    assert told[0] == told[1]


ELSEWHERE = """
import sys
for name in ("mediapipe", "kornia", "librosa", "omegaconf", "jsonargparse", "av", "soundfile"):
    sys.modules[name] = None
import numpy as np
from core.people.person import render_source
from core.people.photos import find_photos
print(render_source(find_photos(sys.argv[1])[1].make(np.random.default_rng(0)), 64).image.shape)
"""


@pytest.mark.slow
def test_no_detector_is_needed(pack):
    done = run([sys.executable, "-c", ELSEWHERE, str(pack)], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "(64, 64, 3)", done.stderr
