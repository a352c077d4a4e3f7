"""``portrait bench``: what it counts, prints and writes. No figure is tested for being fast."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from portrait.bench import HEADER, Cost, cost, frame_costs, module_costs
from portrait.bench_parts import parts
from portrait.cli import main
from portrait.roofline import Peaks, tensors_in, traffic
from torch import nn

CPU = torch.device("cpu")


def test_times_memory_and_operations_on_a_clock_of_its_own(monkeypatch: pytest.MonkeyPatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("portrait.bench.time", SimpleNamespace(perf_counter=lambda: clock.now))
    conv, image = nn.Conv2d(3, 5, 3, padding=1), torch.zeros(1, 3, 8, 8)
    steps = iter([1.0, 1.0, 0.002, 0.004, 0.003])  # the first two are not timed

    def run() -> None:
        conv(image)
        clock.now += next(steps)

    found = cost("a convolution", run, CPU, rounds=3)
    assert found.median == pytest.approx(3.0)
    assert found.p95 == pytest.approx(3.9)
    assert found.gflop == pytest.approx(2 * 8 * 8 * 5 * 3 * 9 / 1e9)


def test_attention_is_counted_too():
    """Two products of (2 heads, 64 queries, 32 keys, 16 channels), which a CPU does in one piece that counters do not see into."""
    query, key = torch.rand(1, 2, 64, 16), torch.rand(1, 2, 32, 16)
    found = cost("attention", lambda: nn.functional.scaled_dot_product_attention(query, key, key), CPU, rounds=1)
    assert found.gflop == pytest.approx(2 * 2 * 2 * 64 * 32 * 16 / 1e9)


def test_the_line_has_a_cell_for_every_title():
    full, bare = Cost("x", 20.0, 25.0, 1.5, 30.0).line(), Cost("x", 20.0, 25.0, None, None).line()
    assert full == "| x | 20.0 | 25.0 | 50.00 | 1.50 |  |  | 30 |  |"
    whole = Cost("x", 20.0, 25.0, 1.5, 30.0, 12.0, 0.256, 3.0).line()
    assert whole == "| x | 20.0 | 25.0 | 50.00 | 1.50 | 12.0 | 26% | 30 | 3.00 |"
    assert full.count("|") == bare.count("|") == HEADER[0].count("|")


def test_every_network_is_measured():
    found = list(module_costs("debug", CPU, "float32", 1, twins=True))
    assert [cost.name.split(": ")[1].split(",")[0].split(" (")[0] for cost in found] == [
        "image to planes", "motion adapter", "volume rendering", "layers", "head",
    ]  # fmt: skip
    assert all(cost.median > 0 and 0 < cost.share < 1 for cost in found)
    assert [cost.twin is not None for cost in found] == [True, True, True, False, True]
    assert all(cost.gflop > 0 for cost in (found[0], found[1], found[4]))


def test_the_command_writes_what_it_prints(tmp_path: Path, capsys: pytest.CaptureFixture):
    file = tmp_path / "bench.json"
    assert main(["bench", "--preset", "debug", "--device", "cpu", "--rounds", "1", "--json", str(file)]) == 0
    written, printed = json.loads(file.read_text()), capsys.readouterr().out
    assert all(row["name"] in printed for row in written["rows"])
    assert written["machine"]["torch"] == torch.__version__


def test_first_frame_and_those_that_follow_are_measured(portrait, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("portrait.bench.Portrait.from_pretrained", lambda *_, **__: portrait)
    monkeypatch.setattr("portrait.bench.FRAMES", 3)
    first, each = frame_costs("debug", CPU, "float32", 2)
    assert "first frame" in first.name
    assert first.median > each.median > 0  # the first waits for what is done once per photograph
    assert first.gflop is each.gflop is None


def test_nothing_to_measure_is_said(capsys: pytest.CaptureFixture):
    assert main(["bench", "--rounds", "0"]) == 2
    assert "E_USAGE" in capsys.readouterr().err


def test_twins_do_the_same():
    """What is timed beside a network draws its picture, but for rounding."""
    for part in parts("debug", CPU, "float32"):
        if part.twin is None:
            continue
        with torch.inference_mode():
            found, expected = ([x for x in tensors_in(run()) if x.is_floating_point()] for run in (part.run, part.twin))
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b, atol=2e-4, rtol=1e-3)


def test_a_roofline():
    peaks = Peaks(flops=1e12, bytes=2.0**30)
    assert peaks.share(gflop=500.0, mib=1.0, milliseconds=1000.0) == pytest.approx(0.5)
    assert peaks.share(gflop=1.0, mib=256.0, milliseconds=1000.0) == pytest.approx(0.25)
    found = Peaks.of(CPU, torch.float32)
    assert 1e8 < found.flops < 1e14
    assert 1e7 < found.bytes < 1e13


def test_least_traffic():
    """Half a MiB of weights in half precision, one of input, nested, and a quarter of output."""
    network = nn.Linear(512, 512, bias=False)
    given = ([torch.zeros(2**17)], Cost("no tensor", 1.0, 1.0, None, None), torch.zeros(2**17))
    assert traffic([network], (*given, torch.zeros(2**16)), torch.bfloat16) == pytest.approx(0.5 + 1 + 0.25)
