"""The benchmark harness: what it counts, prints and writes. No figure is tested for being fast."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from portrait.memory import PeakMemory

from benchmarks import __main__ as command
from benchmarks.measure import Measurement, Timing, measure
from benchmarks.report import HEADER, line, verdict
from benchmarks.row import Case, Row, SkippedError
from benchmarks.rows import ROWS

CPU = torch.device("cpu")


def test_runs_are_interleaved_and_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that only runs advance: 4 ms (1 of them CPU time) against 20 (5)."""
    calls: list[str] = []
    clock = {"wall": 100.0, "cpu": 7.0}
    fake = SimpleNamespace(perf_counter=lambda: clock["wall"], process_time=lambda: clock["cpu"])
    monkeypatch.setattr("benchmarks.measure.time", fake)

    def run(name: str, seconds: float) -> str:
        calls.append(name)
        clock["wall"] += seconds
        clock["cpu"] += seconds / 4
        return name

    case = Case(lambda: run("a", 0.004), baseline=lambda: run("b", 0.02), note=lambda ours, theirs: ours + theirs)
    found = measure(case, CPU, 0.1)
    assert found.note == "ab"
    assert "".join(calls) == "ab" + "ab" + "aaaaab" * 2 + "ab"  # warm-up, rounds, memory
    assert (found.timing.runs, found.baseline.runs) == (11, 3)
    assert found.timing.median == found.timing.p95 == pytest.approx(4)
    assert found.baseline.cpu == pytest.approx(5)
    assert found.ratio == pytest.approx(5)


def test_peak_memory() -> None:
    with PeakMemory(CPU) as nothing:
        pass
    if nothing.mib is None:
        pytest.skip("no /proc")
    with PeakMemory(CPU) as much:
        np.ones(2**25, np.uint8).sum()
    assert 30 < much.mib < 60
    assert nothing.mib < 10


@pytest.mark.parametrize(("wall", "cpu", "expected"), [(700, 700, "yes"), (100, 700, "in CPU time"), (100, 500, "no")])
def test_verdict(wall: float, cpu: float, expected: str) -> None:
    assert verdict(Row("x", lambda device: None, bar=600), wall, cpu, on_gpu=False) == expected


def test_line_has_all_columns() -> None:
    found = Measurement(Timing(7, 2.0, 3.0, 1.0, 12.4), Timing(7, 4.0, 5.0, 3.0, None), 3.0, "fine")
    row, case = Row("raster.x", lambda device: None, bar=100), Case(lambda: None, items=4, baseline_name="twin")
    text = line(row, case, found)
    assert text.count("|") == HEADER[0].count("|") == HEADER[1].count("|")
    assert text == "| raster.x | 7 | 2 | 3 | 1 | 2000 frames | 4000 | 100: yes | 3 (twin) | 12 | fine |"


def test_command_prints_and_writes(tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def unable(device: torch.device) -> Case:
        raise SkippedError("no such thing here")

    rows = (Row("a.one", lambda device: Case(lambda: 1, items=2, unit="thing")), Row("a.two", unable), Row("b.three", unable))
    monkeypatch.setattr(command, "ROWS", rows)
    monkeypatch.setattr(command, "QUICK_SECONDS", 0.01)
    threads = torch.get_num_threads()
    file = tmp_path / "folder" / "bench.json"
    command.main(["--only", "a.", "--quick", "--json", str(file), "--threads", str(threads)])
    printed = capsys.readouterr().out
    assert "a.one" in printed
    assert "skipped: no such thing here" in printed
    assert "b.three" not in printed
    written = json.loads(file.read_text())
    assert [row["name"] for row in written["rows"]] == ["a.one", "a.two"]
    one = written["rows"][0]
    assert one["per_second"] == pytest.approx(2000 / one["timing"]["median"])
    assert written["machine"]["threads"] == threads
    assert written["machine"]["commit"]
    with pytest.raises(SystemExit):
        command.main(["--only", "nothing"])


def test_names_are_unique_and_grouped() -> None:
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)
    assert all("." in name for name in names)


@pytest.mark.parametrize("name", ["raster.twin", "raster.7k.256", "fit.video"])
def test_rows_run_and_agree_with_their_baselines(name: str) -> None:
    row = next(row for row in ROWS if row.name == name)
    case = row.build(CPU)
    note = case.note(case.run(), None if case.baseline is None else case.baseline())
    expected = {"raster.twin": "0 pixels differ", "raster.7k.256": "48 %", "fit.video": "reprojection error 0."}
    assert note.startswith(expected[name])
