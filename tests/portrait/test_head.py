"""The commands ``orbit`` and ``mesh``, with random weights."""

import math
from functools import partial

import numpy as np
import pytest
from core.media.image import write_image
from core.media.video import read_video, video_info
from portrait.cli import main
from portrait.head import Head
from portrait.orbit import PITCH, YAW, orbit
from recon.export import extract_mesh


@pytest.fixture
def inputs(tmp_path, photograph):
    """A folder with a face and with nobody."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "face.png").write_bytes(photograph.read_bytes())
    write_image(folder / "nobody.png", np.full((300, 300, 3), 100, np.uint8))
    return folder


def test_orbit_goes_round_once(monkeypatch):
    seen, picture = [], np.zeros((8, 8, 3), np.uint8)
    monkeypatch.setattr(Head, "seen_from", lambda self, pitch, yaw: seen.append((pitch / PITCH, yaw / YAW)) or picture)
    assert len(list(orbit(object.__new__(Head), 8))) == 8
    angles = np.unwrap([math.atan2(yaw, pitch) for pitch, yaw in seen])
    np.testing.assert_allclose(np.diff(angles), math.pi / 4)
    np.testing.assert_allclose(np.hypot(*np.array(seen).T), 1)


def test_orbit_writes_a_video(inputs, debug_weights, tmp_path, capfd):
    out = tmp_path / "o.mp4"
    call = ["orbit", str(inputs / "face.png"), "-o", str(out), "--seconds", "0.2"]
    assert main([*call, "--weights", str(debug_weights), "--device", "cpu"]) == 0
    info = video_info(out)
    assert len(list(read_video(out))) == 5
    assert (info.width, info.height, info.fps, info.has_audio) == (64, 64, 25.0, False)
    assert capfd.readouterr().out.strip() == str(out)


def test_mesh_writes_a_file(inputs, debug_weights, tmp_path, capfd, monkeypatch):
    out = tmp_path / "head.ply"
    monkeypatch.setattr("recon.export.extract_mesh", partial(extract_mesh, depth=5.0))  # random weights are thin fog
    call = ["mesh", str(inputs / "face.png"), "-o", str(out), "--cells", "32", "--weights", str(debug_weights), "--device", "cpu"]
    assert main(call) == 0
    assert out.read_bytes().startswith(b"ply\n")
    assert capfd.readouterr().out.strip() == str(out)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("E_OUT", ["orbit", "face.png", "-o", "a.gif"]),
        ("E_OUT", ["mesh", "face.png", "-o", "a.obj"]),
        ("E_NOT_FOUND", ["mesh", "absent.png", "-o", "a.ply"]),
        ("E_NO_FACE", ["orbit", "nobody.png", "-o", "a.mp4"]),
        ("E_WEIGHTS", ["mesh", "face.png", "-o", "a.ply", "--weights", "nowhere"]),
    ],
)
def test_bad_input_is_one_line(code, words, inputs, debug_weights, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(inputs)
    out = tmp_path / "out"
    out.mkdir()
    words = [str(out / word) if word.startswith("a.") else word for word in words]
    words += [] if "--weights" in words else ["--weights", str(debug_weights)]
    assert main([*words, "--device", "cpu"]) == 2
    assert capfd.readouterr().err.splitlines()[-1].startswith(f"{code}: ")
    assert not list(out.iterdir())
