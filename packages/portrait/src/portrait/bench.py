"""``portrait bench``: what each network and a whole frame cost on this machine."""

import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from portrait.bench_parts import parts
from portrait.memory import PeakMemory
from portrait.networks import choose_device
from portrait.pipeline import Portrait
from portrait.plan import still_plan
from portrait.rendering import Frame
from portrait.roofline import Peaks, traffic
from portrait.stream import closed

HEADER = (
    "| what | median ms | p95 ms | per second | GFLOP | least MiB | of the roofline | peak MiB | twin's time |",
    "|---|---|---|---|---|---|---|---|---|",
)
FRAMES, SETTLED = 48, 8
"""Of the clip behind the row of whole frames: those that are timed, and those before them, with what is done once per photograph."""
WARM = 1
"""Runs before the clock starts."""


@dataclass(frozen=True)
class Cost:
    """What one run of something takes.

    Attributes:
        name: preset and part.
        median: milliseconds on the wall clock; between events on a GPU.
        p95: the same, 95th percentile.
        gflop: of matrix products and convolutions, two per multiplication (``torch.utils.flop_counter``); sampling and rasterising do
            not count. None where it was not counted.
        peak: MiB beyond those in use before; None where the system does not tell.
        least: MiB of weights, input and output, which have to be moved at least; None where it was not counted.
        share: of the median that those operations or that memory would take at the machine's best (``portrait.roofline``).
        twin: how many times as long the readable formulation takes, run in turns; None where it was not run.
    """

    name: str
    median: float
    p95: float
    gflop: float | None
    peak: float | None
    least: float | None = None
    share: float | None = None
    twin: float | None = None

    def line(self) -> str:
        """As a line of the table."""
        rest = zip((self.gflop, self.least, self.share, self.peak, self.twin), (".2f", ".1f", ".0%", ".0f", ".2f"), strict=True)
        cells = ("" if value is None else format(value, form) for value, form in rest)
        return f"| {self.name} | {self.median:.1f} | {self.p95:.1f} | {1e3 / self.median:.2f} | {' | '.join(cells)} |"


def _time(run: Callable[[], Any], device: torch.device) -> float:
    """Milliseconds of one run."""
    if device.type != "cuda":
        start = time.perf_counter()
        run()
        return 1e3 * (time.perf_counter() - start)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    run()
    end.record()
    torch.cuda.synchronize(device)
    return start.elapsed_time(end)


@torch.inference_mode()
def cost(
    name: str, run: Callable[[], Any], device: torch.device, rounds: int, count: bool = True, twin: Callable[[], Any] | None = None
) -> Cost:
    """Run ``WARM`` times for memory (and, with ``count``, operations), then ``rounds`` times against the clock, in turns with the twin."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False) if count else None
    with PeakMemory(device) as memory:
        for _ in range(WARM):
            run()
    if counter is not None:
        with counter, sdpa_kernel(SDPBackend.MATH):  # the counter does not see into a CPU's fused attention
            run()
    if twin is not None:
        twin()
    times = np.array([[_time(each, device) for each in (run, twin) if each is not None] for _ in range(rounds)]).T
    gflop = None if counter is None else counter.get_total_flops() / 1e9
    ratio = None if twin is None else float(np.median(times[1]) / np.median(times[0]))
    return Cost(name, float(np.median(times[0])), float(np.percentile(times[0], 95)), gflop, memory.mib, twin=ratio)


def module_costs(preset: str, device: torch.device, precision: str, rounds: int, twins: bool = False) -> Iterator[Cost]:
    """Every network of a preset with random weights and inputs; the head then fills the picture, which is the dearest case."""
    peaks: dict[torch.dtype, Peaks] = {}
    for part in parts(preset, device, precision):
        if part.dtype not in peaks:
            peaks[part.dtype] = Peaks.of(device, part.dtype)
        found = cost(f"{preset}: {part.name}", part.run, device, rounds, twin=part.twin if twins else None)
        with torch.inference_mode():
            least = traffic(part.networks, (*part.tensors, part.run()), part.dtype)
        yield replace(found, least=least, share=peaks[part.dtype].share(found.gflop or 0.0, least, found.median))


def frame_costs(weights: str, device: torch.device, precision: str, rounds: int) -> Iterator[Cost]:
    """With trained weights: a photograph until its first frame, and the frames of a still head that follow; nothing is encoded."""
    from skimage.data import astronaut

    portrait = Portrait.from_pretrained(weights, str(device), precision=precision)
    picture = astronaut()

    def first() -> Frame:
        frames = portrait.render(still_plan(portrait.prepare(picture), 1))
        with closed(frames):
            return next(frames)

    yield cost(f"{weights}: photograph to first frame", first, device, rounds, count=False)
    plan = still_plan(portrait.prepare(picture), SETTLED + FRAMES)
    with PeakMemory(device) as memory:
        times = [_frame_time(portrait.render(plan)) for _ in range(rounds)]
    yield Cost(f"{weights}: whole frame", float(np.median(times)), float(np.percentile(times, 95)), None, memory.mib)


def _frame_time(frames: Iterator[Frame]) -> float:
    """Milliseconds a frame once the first ones are there."""
    for _ in range(SETTLED):
        next(frames)
    start = time.perf_counter()
    count = sum(1 for _ in frames)
    return 1e3 * (time.perf_counter() - start) / count


def bench(preset: str, device: str, precision: str, rounds: int, file: Path | None, twins: bool = False) -> None:
    """Print a table, row by row, and write it as JSON if asked; with ``twins`` beside the readable formulation of every network.

    Raises:
        PortraitError: ``E_DEVICE`` or ``E_PRECISION``.
    """
    target = choose_device(device)
    _report(target, "random weights but for the whole frame", HEADER, _costs(preset, target, precision, rounds, twins), file)


def bench_live(weights: str, device: str, precision: str, lookahead: int, file: Path | None) -> None:
    """The same for a live talk, see ``portrait.live``.

    Raises:
        PortraitError: ``E_DEVICE``, ``E_PRECISION``, or as ``portrait.live.live``.
    """
    from portrait import live

    costs = (live.live(weights, device, precision, lookahead) for _ in range(1))  # measured after the header is printed
    _report(choose_device(device), "audio from espeak-ng, photograph of skimage", live.HEADER, costs, file)


def _report(device: torch.device, about: str, header: tuple[str, str], costs: Iterator[Any], file: Path | None) -> None:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"{name}; torch {torch.__version__}; {about}", "", *header, sep="\n", flush=True)
    found = []
    for each in costs:
        found.append(asdict(each))
        print(each.line(), flush=True)
    if file is not None:
        machine = {"device": name, "torch": torch.__version__, "python": platform.python_version(), "load": _load()}
        file.write_text(json.dumps({"machine": machine, "rows": found}, indent=2) + "\n")


def _costs(preset: str, device: torch.device, precision: str, rounds: int, twins: bool) -> Iterator[Cost]:
    yield from module_costs(preset, device, precision, rounds, twins)
    if preset == "tiny":
        yield from frame_costs(preset, device, precision, rounds)


def _load() -> float | None:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
