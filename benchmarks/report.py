"""Measurements as lines of a Markdown table and as JSON."""

from dataclasses import asdict
from typing import Any

from benchmarks.measure import Measurement
from benchmarks.row import Case, Row

HEADER = (
    "| row | runs | median ms | p95 ms | CPU ms | per second | per CPU second | bar | x baseline | peak MiB | remarks |",
    "|---|---|---|---|---|---|---|---|---|---|---|",
)


def rates(case: Case, found: Measurement) -> tuple[float, float]:
    """Items a second on the wall clock, and for a second of CPU time."""
    return 1e3 * case.items / found.timing.median, 1e3 * case.items / max(found.timing.cpu, 1e-6)


def verdict(row: Row, wall: float, cpu: float, on_gpu: bool) -> str:
    """Whether the bar is reached: ``yes``, ``in CPU time`` when only the load of the machine is in the way, ``no``; empty without a bar."""
    if row.bar is None:
        return ""
    if wall >= row.bar:
        return "yes"
    return "in CPU time" if cpu >= row.bar and not on_gpu else "no"


def line(row: Row, case: Case, found: Measurement, on_gpu: bool = False) -> str:
    """One line of the table."""
    timing, (wall, cpu) = found.timing, rates(case, found)
    bar = "" if row.bar is None else f"{number(row.bar)}: {verdict(row, wall, cpu, on_gpu)}"
    ratio = "" if found.ratio is None else f"{number(found.ratio)} ({case.baseline_name})"
    peak = "" if timing.peak is None else f"{timing.peak:.0f}"
    if found.baseline is not None and found.baseline.peak is not None:
        peak += f" (baseline {found.baseline.peak:.0f})"
    times = " | ".join(number(x) for x in (timing.median, timing.p95, timing.cpu))
    rate = f"{number(wall)} {case.unit}s | {number(cpu)}"
    return f"| {row.name} | {timing.runs} | {times} | {rate} | {bar} | {ratio} | {peak} | {found.note} |"


def record(row: Row, case: Case, found: Measurement, on_gpu: bool = False) -> dict[str, Any]:
    """The same for JSON."""
    wall, cpu = rates(case, found)
    return {
        "name": row.name,
        "unit": case.unit,
        "items": case.items,
        "per_second": wall,
        "per_cpu_second": cpu,
        "bar": row.bar,
        "reached": verdict(row, wall, cpu, on_gpu),
        "baseline_name": case.baseline_name,
        **asdict(found),
    }


def number(value: float) -> str:
    """Three digits that count, without exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
