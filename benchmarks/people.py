"""Made people: one labelled sample at 256 x 256, on one core and on all, in a batch on a device, and the rebuilding of a packed person."""

import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from core.face import FaceModel, render_pncc
from core.people.geometry import project
from core.people.motion import sample_expression, sample_pose
from core.people.packing import Observed, open_pack, write_pack
from core.people.person import Person, PersonFrame, render, render_source
from core.people.procedural import make_person
from core.people.render_torch import DevicePerson, PersonFrames
from core.perception.parts import Parsing

from benchmarks.row import Case, Row

SIZE, BATCH = 256, 16


@cache
def someone() -> tuple[Person, list[tuple[np.ndarray, np.ndarray, np.ndarray]]]:
    """A procedural person, and expressions with poses."""
    who, rng = make_person(3), np.random.default_rng(0)
    return who, [(sample_expression(who, rng), *sample_pose(who, rng)) for _ in range(BATCH)]


def sample(number: int) -> PersonFrame:
    """Everything that a training sample holds: picture, layers, masks, depth, labels, key points and the driving PNCC."""
    who, views = someone()
    frame = render(who, *views[number % BATCH], SIZE)
    render_pncc(FaceModel.embedded(), frame.coeffs.id, frame.coeffs.exp, SIZE)
    return frame


def _samples(numbers: range) -> int:
    """A worker's share; returns how many it made."""
    torch.set_num_threads(1)
    return len([sample(number) for number in numbers])


def _one(device: torch.device) -> Case:
    del device
    return Case(lambda: [sample(number) for number in range(BATCH)], items=BATCH, unit="sample")


def _all_cores(device: torch.device) -> Case:
    del device
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"))
    shares = [range(start, start + 2 * BATCH) for start in range(count)]
    return Case(lambda: sum(pool.map(_samples, shares)), items=2 * BATCH * count, unit="sample", note=lambda *_: f"{count} processes")


def _batch(device: torch.device) -> Case:
    who, views = someone()
    there, (exp, euler, trans) = DevicePerson(who, device), (np.stack(part) for part in zip(*views, strict=True))
    face = FaceModel.embedded().to(device)

    def ours() -> PersonFrames:
        frames = there.render(exp, euler, trans, SIZE)
        render_pncc(face, frames.coeffs.id, frames.coeffs.exp, SIZE)
        return frames

    def likeness(frames: PersonFrames, plain: list[PersonFrame]) -> str:
        off = np.stack([a.cpu().numpy().astype(float) - b.image for a, b in zip(frames.image, plain, strict=True)])
        return f"PSNR {10 * np.log10(255**2 / (off**2).mean()):.0f} dB against the compiled renderer"

    def compiled() -> list[PersonFrame]:
        return [sample(number) for number in range(BATCH)]

    return Case(ours, items=BATCH, unit="sample", baseline=compiled, baseline_name="one CPU core", note=likeness)


def _rebuild(device: torch.device) -> Case:
    del device
    who, _ = someone()
    frame = render_source(who, 320)
    landmarks = project(who.source_pose.apply(who.motion.measured))
    parsing = Parsing(frame.labels, frame.head_alpha, frame.head_alpha + frame.torso_alpha)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "people.pack"
        write_pack([Observed(who.name, frame.image, landmarks, who.coeffs, parsing)], path)
        seen, size = open_pack(path)[0].observed(), path.stat().st_size
    return Case(seen.lifted, unit="person", note=lambda *_: f"{size / 1000:.0f} kB in the pack")


ROWS = (
    Row("people.256", _one, bar=30),
    Row("people.256.all_cores", _all_cores),
    Row("people.256.batch", _batch, cuda=True),
    Row("people.rebuild.320", _rebuild),
)
