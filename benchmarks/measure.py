"""Timing a case: repeated runs in turns with its baseline, on the wall clock and in CPU time, or with CUDA events."""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from portrait.memory import PeakMemory

from benchmarks.row import Case

LEAST_ROUNDS = 3
MOST_ROUNDS = 1000
MOST_TURNS = 10
"""Runs for each run of a slow baseline, at most."""


@dataclass(frozen=True)
class Timing:
    """Cost of one run.

    Attributes:
        runs: how often it was timed.
        median: milliseconds on the wall clock (on the GPU's for CUDA).
        p95: the same, 95th percentile.
        cpu: median milliseconds of CPU time of the process, over all its threads.
        peak: MiB in use at most beyond those before the run; None where it cannot be told.
    """

    runs: int
    median: float
    p95: float
    cpu: float
    peak: float | None


@dataclass(frozen=True)
class Measurement:
    """Timings of a case and of its baseline.

    Attributes:
        timing: of the case.
        baseline: of its baseline, if it has one.
        ratio: how many times as fast as the baseline; in CPU time on the host, which other work on the machine disturbs least.
        note: what the case says of its results.
    """

    timing: Timing
    baseline: Timing | None
    ratio: float | None
    note: str


class _Stopwatch:
    """Collects the time of every run of one function."""

    def __init__(self, run: Callable[[], Any], device: torch.device) -> None:
        self.run, self.device = run, device
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def time(self) -> float:
        """Run once; milliseconds."""
        cpu = time.process_time()
        wall = self._on_gpu() if self.device.type == "cuda" else self._on_host()
        self.cpu.append(1e3 * (time.process_time() - cpu))
        self.wall.append(wall)
        return wall

    def _on_host(self) -> float:
        start = time.perf_counter()
        self.run()
        return 1e3 * (time.perf_counter() - start)

    def _on_gpu(self) -> float:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        self.run()
        end.record()
        torch.cuda.synchronize(self.device)
        return start.elapsed_time(end)

    def timing(self) -> Timing:
        """What was collected, and the memory of one run more."""
        gc.collect()
        with PeakMemory(self.device) as memory:
            self.run()
        wall = np.array(self.wall)
        return Timing(len(wall), float(np.median(wall)), float(np.percentile(wall, 95)), float(np.median(self.cpu)), memory.mib)


def measure(case: Case, device: torch.device, seconds: float) -> Measurement:
    """Run the case for some seconds, at least ``LEAST_ROUNDS`` times, with its baseline in between.

    The first run of each, which may compile, is not timed; its results go to the case's ``note``.
    """
    result = case.run()
    reference = None if case.baseline is None else case.baseline()
    note = "" if case.note is None else case.note(result, reference)
    del result, reference
    own = _Stopwatch(case.run, device)
    other = None if case.baseline is None else _Stopwatch(case.baseline, device)
    end, turns = time.perf_counter() + seconds, 1
    for done in range(MOST_ROUNDS):
        if done >= LEAST_ROUNDS and time.perf_counter() > end:
            break
        fast = min(own.time() for _ in range(turns))
        if other is not None:
            turns = round(np.clip(other.time() / max(fast, 1e-3), 1, MOST_TURNS))
    timing, baseline = own.timing(), None if other is None else other.timing()
    if baseline is None:
        return Measurement(timing, None, None, note)
    ratio = baseline.median / timing.median if device.type == "cuda" else baseline.cpu / max(timing.cpu, 1e-6)
    return Measurement(timing, baseline, ratio, note)
