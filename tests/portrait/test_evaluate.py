"""An evaluation from end to end on generated clips of one photograph, with systems whose scores are known beforehand."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from core.errors import PortraitError
from core.face.model import FaceModel
from core.media.audio import write_audio
from core.media.video import VideoWriter, video_info
from core.metrics.backbones import Backbones
from core.metrics.syncnet import SyncNet
from portrait.cli import main
from portrait.evaluate.footage import SIDE, square_frames, window_of
from portrait.evaluate.run import Evaluation, evaluate
from portrait.evaluate.systems import CopyMotion, Lifted, Predictions, Still, write_frames
from portrait.evaluate.trace import Tools

FRAMES = 6


class Replay:
    """Hands back the driver, made darker: what L1 that gives is known."""

    name, fingerprint, whole_frame = "replay", "1", False

    def __init__(self, darker=0, broken=()):
        self.darker, self.broken, self.made = darker, broken, []

    def video(self, pair, path, limit):
        if pair.name in self.broken:
            raise PortraitError("E_TEST", "this one fails", "Try again.")
        self.made.append(pair.name)
        video = pair.video or pair.pose
        frames = square_frames(video, window_of(video), limit)
        return write_frames(path, (np.maximum(frame, self.darker) - np.uint8(self.darker) for frame in frames))


@pytest.fixture(scope="session")
def data(tmp_path_factory, astronaut):
    """Two clips of a head that drifts to the right by a pixel a frame, a photograph and two sounds."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("videos", "portraits", "audio"):
        (folder / name).mkdir()
    rng = np.random.default_rng(0)
    sound = rng.normal(0, 0.1, 32000).astype(np.float32)
    for name, picture in (("amy", astronaut), ("eve", astronaut[:, ::-1])):
        with VideoWriter(folder / "videos" / f"{name}.mp4", (400, 440), 25, (sound, 16000)) as video:
            for k in range(FRAMES):
                video.write(np.ascontiguousarray(picture[:400, 36 - k : 476 - k]))
    from core.media.image import write_image

    write_image(folder / "portraits" / "me.png", astronaut)
    for name in ("hello", "world"):
        write_audio(folder / "audio" / f"{name}.wav", sound[:6400], 16000)
    return folder


@pytest.fixture(scope="session")
def tools():
    return Tools(FaceModel.embedded(), Backbones(absent=("FID left out: no file",)), torch.device("cpu"))


def test_same_identity_scores_and_resumes(data, tools, tmp_path):
    asked = Evaluation("same-identity", data, tmp_path / "report", frames=3)
    replay = Replay(broken=("eve",))
    table = evaluate(asked, replay, tools)
    assert replay.made == ["amy"]
    row = table["replay"]
    assert row["l1"].mean < 0.02  # what encoding twice costs
    assert row["psnr"].mean > 35
    assert row["ssim"].mean > 0.95
    assert row["akd"].mean < 1
    assert (row["psnr"].clips, row["psnr"].low) == (1, None)
    assert "E_TEST" in (asked.out / "index.html").read_text()

    again = Replay()
    table = evaluate(asked, again, tools)
    assert again.made == ["eve"]
    row = table["replay"]
    assert row["l1"].clips == 2
    assert row["l1"].low <= row["l1"].mean <= row["l1"].high
    assert "csim" not in row
    assert "fid" not in row

    finished = Replay()
    results = sorted((asked.out / "systems/replay/clips").iterdir())
    before = [file.stat().st_mtime_ns for file in results]
    assert evaluate(asked, finished, tools) == table
    assert finished.made == []
    assert [file.stat().st_mtime_ns for file in results] == before


def test_photograph_in_place_of_the_first_frame_and_a_mask(data, tools, tmp_path):
    from core.media.image import read_image, write_image
    from core.media.video import read_video

    for name in ("videos", "photos", "masks"):
        (tmp_path / "data" / name).mkdir(parents=True)
    (tmp_path / "data/videos/amy.mp4").symlink_to(data / "videos/amy.mp4")
    *_, last = read_video(data / "videos/amy.mp4")
    write_image(tmp_path / "data/photos/amy.png", last)
    mask = np.full((400, 440, 3), 255, np.uint8)
    mask[:, 200:] = 0
    write_image(tmp_path / "data/masks/amy.png", mask)

    class Overlay(Replay):
        name = "overlay"

        def video(self, pair, path, limit):
            assert pair.source == tmp_path / "data/photos/amy.png"
            frames = square_frames(pair.video, window_of(pair.video), limit)
            left, _, side = window_of(pair.video)
            edge = round((200 - left) * SIDE / side) + 8  # blocks of the codec reach across
            return write_frames(path, (np.concatenate([frame[:, :edge], 255 - frame[:, edge:]], 1) for frame in frames))

    asked = Evaluation("same-identity", tmp_path / "data", tmp_path / "report", frames=2)
    row = evaluate(asked, Overlay(), tools)["overlay"]
    assert row["psnr"].mean > 30  # about 5 without the mask
    shown = read_image(tmp_path / "report/sources/amy.png")
    assert np.abs(shown.astype(int) - next(square_frames(data / "videos/amy.mp4", window_of(data / "videos/amy.mp4")))).mean() > 1
    write_image(tmp_path / "data/masks/amy.png", mask[:100])
    with pytest.raises(PortraitError, match=r"amy.png .* differ in size"):
        evaluate(replace(asked, out=tmp_path / "other"), Replay(), tools)


def test_driving_videos_are_walked_through_once(data, tools, tmp_path, monkeypatch):
    from portrait.evaluate import drivers

    amy = data / "videos/amy.mp4"
    first = drivers.trace_driver(amy, tools, 3, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(drivers, "trace", _interrupted)
        again = drivers.trace_driver(amy, tools, 3, tmp_path)
        with pytest.raises(KeyboardInterrupt):  # another length is another walk
            drivers.trace_driver(amy, tools, 1, tmp_path)
    np.testing.assert_array_equal(first.points, again.points)
    assert first.values == again.values
    assert (again.embeddings, again.features) == (None, None)


@pytest.mark.slow
def test_baselines_become_rows(data, tools, tmp_path):
    asked = Evaluation("same-identity", data, tmp_path, frames=4, limit=1)
    evaluate(asked, Still(), tools)
    evaluate(asked, Lifted(), tools)
    table = evaluate(asked, CopyMotion(), tools)
    assert list(table) == ["copy-motion", "lifted", "still", "driving videos"]
    still, moved, lifted = table["still"], table["copy-motion"], table["lifted"]
    assert lifted["akd"].mean < 0.75 * still["akd"].mean
    assert still["flicker"].mean < 0.2 < table["driving videos"]["flicker"].mean
    step = SIDE / window_of(data / "videos/amy.mp4")[2]
    assert still["akd"].mean == pytest.approx(1.5 * step, abs=0.8)  # the head drifts by a pixel a frame
    assert moved["akd"].mean < still["akd"].mean / 2
    assert moved["psnr"].mean > still["psnr"].mean + 1


def test_report_files(data, tools, tmp_path):
    asked = Evaluation("same-identity", data, tmp_path, frames=3, limit=1)
    evaluate(asked, Replay(), tools)
    names = ("results.csv", "results.json", "table.tex", "index.html", "pairs.json", "sources/amy.png", "systems/replay/side/amy.jpg")
    assert all((tmp_path / name).stat().st_size > 0 for name in names)
    info = video_info(tmp_path / "systems/replay/side/amy.mp4")
    assert (info.height, info.width, info.has_audio) == (256, 768, True)
    assert len(json.loads((tmp_path / "pairs.json").read_text())["pairs"]) == 2
    assert not list(tmp_path.rglob("*.part*"))
    with pytest.raises(PortraitError, match="E_REPORT"):
        evaluate(replace(asked, frames=5), Replay(), tools)
    with pytest.raises(PortraitError, match=r"E_EVALUATE.*this one fails"):
        evaluate(replace(asked, out=tmp_path / "other"), Replay(broken=("amy",)), tools)


@pytest.mark.slow
def test_cross_identity_and_audio_driven_have_their_own_columns(data, tools, tmp_path):
    cross = evaluate(Evaluation("cross-identity", data, tmp_path / "cross", frames=3, limit=1), Replay(), tools)["replay"]
    assert {"aed", "apd", "flicker"} <= set(cross)
    assert not {"l1", "psnr", "akd"} & set(cross)
    assert cross["apd"].mean < 0.01
    asked = Evaluation("audio-driven", data, tmp_path / "audio", frames=3)
    table = evaluate(asked, Replay(), tools)
    assert list(table) == ["replay"]
    assert {"flicker", "mouth_sharpness", "neck_seam"} <= set(table["replay"])
    assert not {"l1", "aed", "apd"} & set(table["replay"])
    pairs = json.loads((asked.out / "pairs.json").read_text())["pairs"]
    assert [pair["name"] for pair in pairs] == ["me--hello", "me--world"]
    assert {pair["pose"] for pair in pairs} == {str(data / "videos" / "amy.mp4")}  # the photograph is not mirrored


def test_networks_at_hand_are_used_and_clips_scored_again(data, tools, tmp_path):
    """With stand-ins for the foreign networks: features of a picture are its mean colours."""

    class Colours(torch.nn.Module):
        def forward(self, image):
            return torch.nn.functional.interpolate(image.mean((2, 3))[:, None], 512)[:, 0]

    class Hearing(SyncNet):
        def __init__(self):
            torch.nn.Module.__init__(self)

        def see(self, faces):
            return faces.mean((2, 3, 4)).repeat(1, 342)[:, :1024]

        def hear(self, sound):
            return sound.mean((1, 2, 3))[:, None].expand(-1, 1024)

    asked = Evaluation("cross-identity", data, tmp_path, limit=1)
    evaluate(asked, Replay(), tools)
    replay = Replay()
    seeing = replace(tools, backbones=Backbones(inception=Colours(), arcface=Colours(), syncnet=Hearing()))
    row = evaluate(asked, replay, seeing)["replay"]
    assert replay.made == []  # the video is kept, the scores are not
    assert row["csim"].mean == pytest.approx(1, abs=5e-3)
    assert abs(row["identity_drift"].mean) < 1e-2
    assert row["fid"].mean == pytest.approx(0, abs=0.05)
    assert {"sync_c", "sync_d"} <= set(row)


def _interrupted(*_):
    raise KeyboardInterrupt


def test_videos_of_others_and_the_command_line(data, tools, tmp_path, capsys, monkeypatch):
    predictions = tmp_path / "others"
    predictions.mkdir()
    for name in ("amy", "eve"):
        (predictions / f"{name}.mp4").write_bytes((data / "videos" / f"{name}.mp4").read_bytes())
    call = [
        "evaluate",
        "--protocol",
        "same-identity",
        "--data",
        str(data),
        "-o",
        str(tmp_path / "report"),
        "--frames",
        "3",
        "--device",
        "cpu",
    ]
    assert main([*call, "--predictions", str(predictions), "--limit", "1"]) == 2
    assert "E_PREDICTION" in capsys.readouterr().err  # not squares
    assert main([*call, "--predictions", str(predictions), "--whole-frame", "--name", "theirs"]) == 0
    assert str(tmp_path / "report" / "index.html") in capsys.readouterr().out
    found = json.loads((tmp_path / "report" / "results.json").read_text())["systems"]
    assert found["theirs"]["l1"]["mean"] == 0
    assert found["theirs"]["psnr"]["mean"] == 100
    assert found["theirs"]["psnr"]["clips"] == 2
    with pytest.raises(PortraitError, match="E_DATA"):
        Predictions(tmp_path / "nowhere")
    monkeypatch.setattr("portrait.evaluate.run.score", _interrupted)
    assert main([*call, "--baseline", "still", "--limit", "1"]) == 130
    assert "finished clips are kept" in capsys.readouterr().err
    assert main([*call, "--baseline", "still", "--data", str(tmp_path / "nowhere"), "-o", str(tmp_path / "new")]) == 2
    assert capsys.readouterr().err.strip().startswith("E_DATA")
    assert not (tmp_path / "new").exists()


def test_our_networks_make_the_pair(portrait, debug_weights, data, tmp_path):
    from portrait.evaluate.pairing import Pair
    from portrait.evaluate.systems import Networks

    system = Networks(portrait, debug_weights)
    amy, eve = (data / "videos" / f"{name}.mp4" for name in ("amy", "eve"))
    plan = system.plan(Pair("amy", amy, amy))
    assert len(plan) == FRAMES
    torch.testing.assert_close(plan.motion.trans[:3].mean(0), plan.source.coeffs.trans[0], rtol=0, atol=0.1)
    other = system.plan(Pair("amy--eve", amy, eve))
    torch.testing.assert_close(other.source.image, plan.source.image)
    assert not torch.allclose(other.motion.euler, plan.motion.euler, atol=0.02)  # the driver's own pose: she looks the other way
    made = system.video(Pair("amy", amy, amy), tmp_path / "amy.mp4", 2)
    assert sum(1 for _ in square_frames(made)) == 2
    speech = Pair("x", data / "portraits/me.png", audio=data / "audio/hello.wav", pose=eve)
    assert len(system.plan(speech)) == 10
