from core.media.video import video_info
from portrait.demo import demo
from portrait.doctor import CHECKS, Finding, doctor


def test_demo_writes_video_and_sheet_and_says_where(debug_weights, tmp_path, capsys):
    demo(tmp_path / "out", str(debug_weights), "cpu", text="Hello.")
    text = capsys.readouterr().out
    for name in ("demo.mp4", "demo.png"):
        assert str(tmp_path / "out" / name) in text
        assert (tmp_path / "out" / name).stat().st_size > 1000
    assert video_info(tmp_path / "out/demo.mp4").has_audio
    assert "MiB" in text


def test_doctor_goes_on_after_a_failure_and_says_so(monkeypatch, capsys):
    def broken():
        raise OSError("library is damaged")

    for name in list(CHECKS):
        monkeypatch.setitem(CHECKS, name, broken if name == "codecs" else lambda name=name: Finding("ok", name, "fine"))
    assert doctor() == 2
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(CHECKS) + 1
    assert next(line for line in lines if "FAIL" in line).endswith("OSError: library is damaged")
    monkeypatch.setitem(CHECKS, "codecs", lambda: Finding("info", "codecs", "optional"))
    assert doctor() == 0
    assert capsys.readouterr().out.splitlines()[-1] == "ready"


def test_checks_that_need_no_weights_pass_here():
    states = {name: check().state for name, check in CHECKS.items() if name not in ("weights", "cuda", "rasteriser")}
    assert set(states.values()) == {"ok"}, states
