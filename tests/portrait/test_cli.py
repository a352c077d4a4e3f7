import subprocess
import sys

import numpy as np
import pytest
from core.media.audio import write_audio
from core.media.image import write_image
from portrait.cli import build_parser, main


def parse(*arguments):
    return build_parser().parse_args(["animate", "me.jpg", *arguments])


def test_defaults():
    options = parse("--audio", "a.wav", "-o", "o.mp4")
    assert (options.source, options.audio, options.video, options.output) == ("me.jpg", "a.wav", None, "o.mp4")
    assert (options.pose, options.blink, options.background, options.mouth_amplitude) == (None, None, "source", None)
    assert (options.seed, options.device, options.face, options.weights, options.no_badge) == (0, "auto", None, "tiny", False)


def test_all_options():
    options = parse(
        *("--video", "v.mp4", "--pose", "idle", "--background", "#204060", "--blink", "period", "--mouth-amplitude", "0.6"),
        *("--seed", "7", "--device", "cpu", "--face", "2", "--preset", "folder", "--sheet", "s.png", "-o", "o.mp4", "--debug"),
    )
    assert (options.video, options.pose, options.background, options.blink) == ("v.mp4", "idle", "#204060", "period")
    assert (options.mouth_amplitude, options.seed, options.face, options.weights, options.debug) == (0.6, 7, 2, "folder", True)


def test_help_names_every_default(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["animate", "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert text.count("default:") == 14


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["unknown"],
        ["animate"],
        ["animate", "me.jpg", "-o", "o.mp4"],
        ["animate", "me.jpg", "--audio", "a.wav", "--video", "v.mp4", "-o", "o.mp4"],
        ["animate", "me.jpg", "--audio", "a.wav"],
        ["animate", "me.jpg", "--audio", "a.wav", "-o", "o.mp4", "--mouth-amplitude", "3"],
        ["animate", "me.jpg", "--audio", "a.wav", "-o", "o.mp4", "--mouth-amplitude", "nan"],
        ["animate", "me.jpg", "--audio", "a.wav", "-o", "o.mp4", "--mouth-amplitude", "wide"],
        ["animate", "me.jpg", "--audio", "a.wav", "-o", "o.mp4", "--seed", "1.5"],
        ["animate", "me.jpg", "--audio", "a.wav", "-o", "o.mp4", "--seed", str(10**30)],
        ["animate", "me.jpg", "--audio", "a.wav", "-o", "o.mp4", "--seed", "-1"],
        ["animate", "me.jpg", "--audio", "a.wav", "-o", "o.mp4", "--face", "-1"],
        ["animate", "me.jpg", "--audio", "a.wav", "-o", "o.mp4", "--blink", "often"],
        ["animate", "me.jpg", "--audio", "a.wav", "-o", "o.mp4", "--brows", "up"],
        ["animate", "me.jpg", "--audio", "a.wav", "-o", "o.mp4", "--refine", "-1"],
        ["animate", "me.jpg", "--audio", "a.wav", "-o", "o.mp4", "--refine", "10001"],
    ],
)
def test_wrong_command_lines_are_one_line(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    text = capsys.readouterr().err
    assert text.startswith("E_USAGE: ")
    assert text.count("\n") == 1
    assert "_natural" not in text
    assert "_amplitude" not in text


@pytest.fixture
def inputs(tmp_path, photograph, speech):
    """A folder with good and bad files."""
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(0)
    write_image(folder / "nobody.png", rng.integers(90, 110, (300, 300, 3)).astype(np.uint8))
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("not a picture")
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("not a sound")
    (folder / "text.mp4").write_text("not a video")
    write_audio(folder / "short.wav", np.zeros(100, np.float32), 16000)
    (folder / "face.png").write_bytes(photograph.read_bytes())
    (folder / "good.wav").write_bytes(speech.read_bytes())
    return folder


BAD_INPUT = [
    ("E_NO_FACE", ["nobody.png", "--audio", "good.wav"]),
    ("E_NOT_FOUND", ["missing.png", "--audio", "good.wav"]),
    ("E_IMAGE_EMPTY", ["empty.png", "--audio", "good.wav"]),
    ("E_IMAGE_READ", ["text.jpg", "--audio", "good.wav"]),
    ("E_NOT_FOUND", ["face.png", "--audio", "missing.wav"]),
    ("E_AUDIO_EMPTY", ["face.png", "--audio", "empty.wav"]),
    ("E_AUDIO_READ", ["face.png", "--audio", "text.wav"]),
    ("E_AUDIO_SHORT", ["face.png", "--audio", "short.wav"]),
    ("E_VIDEO_READ", ["face.png", "--video", "text.mp4"]),
    ("E_NOT_FOUND", ["face.png", "--audio", "good.wav", "--pose", "missing.mp4"]),
    ("E_BACKGROUND", ["face.png", "--audio", "good.wav", "--background", "nothing-like-it"]),
    ("E_BACKGROUND", ["face.png", "--audio", "good.wav", "--background", "rgb(300, 0, 0)"]),
    ("E_BACKGROUND", ["face.png", "--audio", "good.wav", "--background", "x" * 5000]),
    ("E_NO_FACE", ["face.png", "--video", "nobody.png"]),
    ("E_NOT_FOUND", ["x" * 5000, "--audio", "good.wav"]),
    ("E_IMAGE_READ", ["face.png", "--audio", "good.wav", "--background", "text.jpg"]),
    ("E_FACE_INDEX", ["face.png", "--audio", "good.wav", "--face", "9"]),
]


@pytest.mark.parametrize(("code", "arguments"), BAD_INPUT)
def test_bad_input_is_one_line_and_leaves_nothing(code, arguments, inputs, debug_weights, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(inputs)
    out = tmp_path / "out"
    out.mkdir()
    status = main(["animate", *arguments, "--weights", str(debug_weights), "--device", "cpu", "-o", str(out / "a.mp4")])
    assert status == 2
    text = capfd.readouterr()
    lines = [line.split("\r")[-1] for line in text.err.strip().split("\n")]
    assert [line.split(": ")[0] for line in lines] == [code], "one line; progress bars have vanished"
    assert text.out == ""
    assert not list(out.iterdir())


def test_missing_weights_and_gpu(inputs, tmp_path, debug_weights, capsys, monkeypatch):
    import torch

    call = ["animate", str(inputs / "face.png"), "--audio", str(inputs / "good.wav"), "-o", str(tmp_path / "a.mp4")]
    for folder in (str(tmp_path), "no-such-preset", "x" * 5000, ""):
        assert main([*call, "--weights", folder]) == 2
        text = capsys.readouterr().err
        assert text.startswith("E_WEIGHTS: ")
        assert repr(folder[:300])[:-1] in text
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main([*call, "--weights", str(debug_weights), "--device", "cuda"]) == 2
    assert capsys.readouterr().err.startswith("E_DEVICE: ")


def test_output_is_checked_before_anything_is_loaded(capsys):
    assert main(["animate", "missing.png", "--audio", "missing.wav", "-o", "missing-folder/a.mp4"]) == 2
    assert capsys.readouterr().err.startswith("E_OUT: ")


FAILURES = [
    (KeyboardInterrupt, "", 130, "E_INTERRUPTED"),
    (RuntimeError, "bug", 1, "E_INTERNAL"),
    (RuntimeError, "[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory", 2, "E_MEMORY"),
    (MemoryError, "", 2, "E_MEMORY"),
]


@pytest.mark.parametrize(("failure", "words", "status", "code"), FAILURES)
def test_interruption_and_bugs_leave_nothing(failure, words, status, code, inputs, debug_weights, tmp_path, capsys, monkeypatch):
    from portrait import pipeline

    def breaks_after_three(self, plan, maps=()):
        frames = genuine(self, plan, maps)
        for _ in range(3):
            yield next(frames)
        raise failure(words)

    genuine = pipeline.Portrait.render
    monkeypatch.setattr(pipeline.Portrait, "render", breaks_after_three)
    out = tmp_path / "out"
    out.mkdir()
    call = ["animate", str(inputs / "face.png"), "--audio", str(inputs / "good.wav"), "-o", str(out / "a.mp4")]
    assert main([*call, "--weights", str(debug_weights), "--device", "cpu"]) == status
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith(code)
    assert not list(out.iterdir())


def test_animate_writes_video_and_sheet(inputs, debug_weights, tmp_path, capfd):
    from core.media.video import video_info

    out = tmp_path / "имя (1).mp4"
    out.write_bytes(b"an older file is replaced")
    call = ["animate", str(inputs / "face.png"), "--audio", str(inputs / "good.wav"), "-o", str(out), "--sheet", str(tmp_path / "s.png")]
    assert main([*call, "--weights", str(debug_weights), "--device", "cpu", "--background", "teal", "--pose", "idle", "--debug"]) == 0
    info = video_info(out)
    assert (info.width, info.height, info.fps, info.has_audio) == (64, 64, 25.0, True)
    assert (tmp_path / "s.png").stat().st_size > 1000
    text = capfd.readouterr()
    assert text.out.strip() == str(out)
    assert "render" in text.err
    assert "volume rendering" in text.err


@pytest.mark.slow
def test_module_runs_as_a_program():
    done = subprocess.run([sys.executable, "-m", "portrait", "--version"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith("portrait ")
