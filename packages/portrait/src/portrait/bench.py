"""``portrait bench``: what each network and a whole frame cost on this machine."""

import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from animate import HeadAvatar, MotionAdapter, MotionAdapterConfig
from compose import HTBSR, HTBSRConfig
from compose.lookback import LookBack
from core.camera import Camera
from recon import I2P, HeadRenderer, HeadRendererConfig, I2PConfig

from portrait.memory import PeakMemory
from portrait.networks import choose_device
from portrait.pipeline import Portrait
from portrait.plan import still_plan
from portrait.precision import choose_precision, computing, head_precision

HEADER = ("| what | median ms | p95 ms | per second | GFLOP | peak MiB |", "|---|---|---|---|---|---|")
FRAMES = 16
"""Of the clip behind the row of whole frames, so that what is done once per source weighs little."""
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
    """

    name: str
    median: float
    p95: float
    gflop: float | None
    peak: float | None

    def line(self) -> str:
        """As a line of the table."""
        gflop, peak = ("" if value is None else f"{value:.{digits}f}" for value, digits in ((self.gflop, 2), (self.peak, 0)))
        return f"| {self.name} | {self.median:.1f} | {self.p95:.1f} | {1e3 / self.median:.2f} | {gflop} | {peak} |"


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
def cost(name: str, run: Callable[[], Any], device: torch.device, rounds: int, count: bool = True) -> Cost:
    """Run ``WARM`` times for memory (and, with ``count``, operations), then ``rounds`` times against the clock."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False) if count else None
    with PeakMemory(device) as memory:
        for _ in range(WARM):
            run()
    if counter is not None:
        with counter, sdpa_kernel(SDPBackend.MATH):  # the counter does not see into a CPU's fused attention
            run()
    times = np.array([_time(run, device) for _ in range(rounds)])
    gflop = None if counter is None else counter.get_total_flops() / 1e9
    return Cost(name, float(np.median(times)), float(np.percentile(times, 95)), gflop, memory.mib)


def random_networks(preset: str, seed: int = 0) -> tuple[HeadAvatar, HTBSR]:
    """Networks of a preset's sizes with random weights; they cost what trained ones do."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts = (I2P(I2PConfig.preset(preset)), MotionAdapter(MotionAdapterConfig.preset(preset)))
        avatar = HeadAvatar(*parts, HeadRenderer(HeadRendererConfig.preset(preset)))
        return avatar.eval().requires_grad_(False), HTBSR(HTBSRConfig.preset(preset)).eval().requires_grad_(False)


def module_costs(preset: str, device: torch.device, precision: str, rounds: int) -> Iterator[Cost]:
    """Every network of a preset with random weights and inputs; the head then fills the picture, which is the dearest case."""
    avatar, compositor = (network.to(device) for network in random_networks(preset))
    dtype = choose_precision(precision, compositor.config, device)
    compositor.fold(dtype)
    maker = torch.Generator().manual_seed(0)

    def noise(channels: int, size: int) -> torch.Tensor:
        return (torch.rand(1, channels, size, size, generator=maker) * 2 - 1).to(device)

    sizes, side = compositor.config, compositor.config.image_size
    camera = Camera.from_pose(torch.zeros(1, 3), torch.zeros(1, 3), avatar.renderer.config.focal).to(device)
    photo = noise(3, side)

    def lowered(name: str, run: Callable[[], Any]) -> Cost:
        kind = head_precision(dtype, sizes)
        with computing(kind, device):
            return cost(f"{preset}: {name} {_in_brackets(kind)}", run, device, rounds)

    yield lowered("image to planes, once per photograph", lambda: avatar.canonical(photo, camera))
    pncc = [noise(3, avatar.adapter.config.image_size) for _ in range(3)]
    with torch.inference_mode():
        planes, rest = avatar.canonical(photo, camera), avatar.adapter.at_rest(pncc[0], pncc[2])
        head = avatar.renderer.render_raw(planes, camera)
    yield lowered("motion adapter", lambda: avatar.adapter(*pncc, rest))
    yield cost(f"{preset}: volume rendering", lambda: avatar.renderer.render_raw(planes, camera), device, rounds)
    opaque, classes = torch.ones(1, 1, side, side, device=device), torch.zeros(1, 6, side, side, device=device)
    classes[:, 4, side // 2 :] = 1
    points = [torch.rand(1, 68, 3, generator=maker).to(device) - 0.5 for _ in range(2)]
    raw, fine = sizes.raw_size, sizes.fusion_size
    ones = torch.ones(1, 1, fine, fine, device=device)
    view = (
        LookBack(noise(2, raw).permute(0, 2, 3, 1), ones, ones, ones, torch.zeros_like(ones).repeat(1, 2, 1, 1))
        if sizes.head_skip
        else None
    )
    layers = (photo, classes, photo, opaque, photo, opaque)
    with torch.inference_mode():
        features = compositor.prepare(*layers)
    yield cost(f"{preset}: layers, once per photograph", lambda: compositor.prepare(*layers), device, rounds)
    yield cost(
        f"{preset}: head, torso, background {_in_brackets(dtype)}",
        lambda: compositor(head.feature, head.weights, features, *points, view),
        device,
        rounds,
    )


def _in_brackets(dtype: torch.dtype) -> str:
    return f"({str(dtype).removeprefix('torch.')})"


def frame_cost(weights: str, device: torch.device, precision: str, rounds: int) -> Cost:
    """Frames of a still photograph with trained weights; the source's networks run once among them, nothing is encoded."""
    from skimage.data import astronaut

    portrait = Portrait.from_pretrained(weights, str(device), precision=precision)
    plan = still_plan(portrait.prepare(astronaut()), FRAMES)
    one = cost(f"{weights}: whole frame", lambda: [frame.index for frame in portrait.render(plan)], device, rounds, count=False)
    return Cost(one.name, one.median / len(plan), one.p95 / len(plan), None, one.peak)


def bench(preset: str, device: str, precision: str, rounds: int, file: Path | None) -> None:
    """Print a table, row by row, and write it as JSON if asked.

    Raises:
        PortraitError: ``E_DEVICE`` or ``E_PRECISION``.
    """
    target = choose_device(device)
    _report(target, "random weights but for the whole frame", HEADER, _costs(preset, target, precision, rounds), file)


def bench_live(weights: str, device: str, precision: str, file: Path | None) -> None:
    """The same for a live talk, see ``portrait.live``.

    Raises:
        PortraitError: ``E_DEVICE``, ``E_PRECISION``, or as ``portrait.live.live``.
    """
    from portrait import live

    costs = (live.live(weights, device, precision) for _ in range(1))  # measured after the header is printed
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


def _costs(preset: str, device: torch.device, precision: str, rounds: int) -> Iterator[Cost]:
    yield from module_costs(preset, device, precision, rounds)
    if preset == "tiny":
        yield frame_cost(preset, device, precision, rounds)


def _load() -> float | None:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
