"""``portrait bench --live``: what it counts on a clock of its own, and that sound becomes pictures."""

import json
import re
import threading
import time
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from audio2motion import StreamingAudio2Motion
from core.media.audio import read_audio
from portrait.cli import main
from portrait.live import HEADER, LiveCost, live_cost, rate_of, speak_at_once, speak_live

FRAME = 640


class Parrot(StreamingAudio2Motion):
    """Gives frames out by fours, once the sound of all four is there; a frame's code is its number."""

    def __init__(self) -> None:
        self.heard, self.made, self.chunk = 0, 0, 4

    def push(self, sound: np.ndarray) -> torch.Tensor:
        self.heard += len(sound)
        first, self.made = self.made, self.heard // FRAME // 4 * 4
        return torch.arange(first, self.made)[:, None].expand(-1, 64).float()

    def stream(self, blocks: list[np.ndarray]) -> list[torch.Tensor]:
        return [made for block in blocks if len(made := self.push(block))]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    now = SimpleNamespace(seconds=0.0)
    fake = SimpleNamespace(
        perf_counter=lambda: now.seconds, process_time=lambda: now.seconds / 2, sleep=lambda s: setattr(now, "seconds", now.seconds + s)
    )
    monkeypatch.setattr("portrait.live.time", fake)
    return now


def painter(clock: SimpleNamespace, cost: float) -> tuple:
    drawn: list[int] = []

    def draw(exp: torch.Tensor) -> None:
        drawn.append(int(exp[0, 0]))
        clock.seconds += cost

    return drawn, draw


def test_a_quick_machine_draws_every_frame_after_its_chunk(clock):
    drawn, draw = painter(clock, 0.01)
    late = speak_live(Parrot(), draw, np.zeros(80 * FRAME, np.float32))
    assert drawn == [number for number, _ in late] == list(range(80))
    expected = [(4 - i % 4) / 25 + 0.01 * (i % 4 + 1) for i in range(80)]
    np.testing.assert_allclose([seconds for _, seconds in late], expected, atol=0.04)  # sound comes every 20 ms
    assert rate_of(late) == pytest.approx(25, rel=0.03)


def test_a_slow_machine_leaves_out_frames_and_falls_no_further_behind(clock):
    drawn, draw = painter(clock, 0.1)
    late = speak_live(Parrot(), draw, np.zeros(250 * FRAME, np.float32))
    assert set(np.diff(drawn)) <= {3, 4, 5}
    assert max(seconds for _, seconds in late) < 4 / 25 + 0.1 + 3 / 25 + 0.04
    assert 6 < rate_of(late) < 25 / 3 + 0.1


def test_frames_are_drawn_side_by_side():
    together, most, lock = [], [], threading.Lock()

    def draw(exp: torch.Tensor) -> None:
        with lock:
            together.append(1)
            most.append(len(together))
        time.sleep(0.05)
        with lock:
            together.pop()

    late = speak_live(Parrot(), draw, np.zeros(12 * FRAME, np.float32), 2)
    assert max(most) == 2
    numbers = [number for number, _ in late]
    assert numbers == sorted(set(numbers))
    assert numbers[0] == 0
    with pytest.raises(ZeroDivisionError):
        speak_live(Parrot(), lambda exp: 1 / 0, np.zeros(12 * FRAME, np.float32), 2)


def test_without_waiting_every_frame_is_drawn(clock):
    drawn, draw = painter(clock, 0.05)
    assert speak_at_once(Parrot(), draw, np.zeros(8 * FRAME, np.float32), 1) == pytest.approx((20, 25))
    assert drawn == list(range(8))


@pytest.mark.parametrize("lookahead", [0, 4])
def test_sound_becomes_pictures(portrait, source, speech, lookahead: int):
    found = live_cost(portrait, source, read_audio(speech), "debug", lookahead)
    assert found.wait == 40 * (4 + lookahead)
    assert 40 * lookahead < found.median <= found.p95  # a frame's own sound and that of the frames ahead have to be heard
    assert found.shown > 0
    assert found.sustained > 0
    assert found.cpu > 0
    assert found.seconds == pytest.approx(0.8)
    assert found.line().count("|") == HEADER[0].count("|")


def test_live_pictures_are_those_of_a_plan(portrait, source, speech):
    plan = portrait.plan(source, audio=speech, blink="none")
    frames = list(portrait.render(plan))
    paint = portrait.live(plan)
    for frame in frames[::9]:
        np.testing.assert_array_equal(paint(plan.motion[frame.index : frame.index + 1])[0], frame.image)


def test_the_documented_example_draws_a_picture_for_every_frame(portrait, source, speech, monkeypatch):
    page = Path(__file__).parents[2] / "docs" / "live.md"
    code = re.search(r"```python\n(.*?)```", page.read_text(), re.S).group(1)
    monkeypatch.setattr(type(portrait), "from_pretrained", lambda *_: portrait)
    monkeypatch.setattr(portrait, "prepare", lambda *_: source)
    shown: list[np.ndarray] = []
    exec(compile(code, str(page), "exec"), {"microphone": np.array_split(read_audio(speech), 7), "show": shown.append})
    assert len(shown) == 20
    assert {picture.shape for picture in shown} == {(portrait.size, portrait.size, 3)}
    assert np.abs(shown[-1].astype(int) - shown[0]).max() > 0


def test_the_command_writes_what_it_prints(tmp_path: Path, capsys, monkeypatch):
    cost = LiveCost("tiny", 8.0, 700.0, 800.0, 640.0, 12.0, 13.0, 80.0)
    asked = []
    monkeypatch.setattr("portrait.live.live", lambda *given: asked.append(given) or cost)
    file = tmp_path / "live.json"
    assert main(["bench", "--live", "--device", "cpu", "--lookahead", "0", "--json", str(file)]) == 0
    assert asked == [("tiny", "cpu", "auto", 0)]
    assert json.loads(file.read_text())["rows"] == [asdict(cost)]
    assert cost.line() in capsys.readouterr().out


def test_only_shipped_weights_speak_live(capsys):
    assert main(["bench", "--live", "--preset", "debug"]) == 2
    assert "E_USAGE" in capsys.readouterr().err


def test_looking_ahead_is_for_live_only(capsys):
    assert main(["bench", "--lookahead", "0"]) == 2
    assert "E_USAGE" in capsys.readouterr().err
