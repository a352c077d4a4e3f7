"""Write stores of clips: resumable, atomic, in several processes.

Each person becomes one file, written under another name and renamed when complete; what is there already is not made again. Rejected
people are remembered with their reason in ``rejected.json``.
"""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable
from zlib import crc32

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from core.camera import FIT_FOCAL
from core.data.clip_codec import ClipFile, encode_depth, encode_picture, quarter_depth, save_clip
from core.data.plan import ClipPlan, PlanOptions, plan_clip
from core.errors import PortraitError
from core.people.person import Person

FPS = 25
AnySource = TypeVar("AnySource", bound="ClipSource | TensorSource")


@runtime_checkable
class ClipSource(Protocol):
    """Someone who can be made: a photograph, a seed."""

    name: str
    split: str

    def make(self, rng: np.random.Generator) -> Person:
        """Build the person; raises ``PortraitError`` when it cannot be done."""


@runtime_checkable
class TensorSource(Protocol):
    """Someone whose clip exists already, like a video (``core.data.footage``)."""

    name: str
    split: str

    def tensors(self, size: int) -> dict[str, Tensor]:
        """The clip; raises ``PortraitError`` when it cannot be used."""


def clip_tensors(person: Person, plan: ClipPlan, size: int) -> dict[str, Tensor]:
    """Draw all frames of a plan."""
    made = [plan.render(person, index, size) for index in range(len(plan))]
    pictures = {}
    for index, frame in enumerate(made):
        pictures[f"image.{index}"] = encode_picture(frame.image)
        pictures[f"head.{index}"] = encode_picture(frame.head)
        pictures[f"mask.{index}"] = encode_picture((frame.head_alpha * 255 + 0.5).astype(np.uint8), lossless=True)
        pictures[f"labels.{index}"] = encode_picture(frame.labels, lossless=True)
        pictures[f"depth.{index}"] = encode_depth(quarter_depth(frame.depth))
    background, torso = still_layers(person, size)
    pictures |= {"background": encode_picture(background), "torso": encode_picture(torso)}
    if plan.torso_lag.any():
        pictures["torso_keypoints"] = torch.from_numpy(np.stack([frame.torso_keypoints for frame in made]))
    return pictures | {
        **{name: torch.from_numpy(getattr(plan, name)) for name in ("group", "take", "time", "exp_before", "exp_after")},
        "id": person.coeffs.id[0].clone(),
        **{name: torch.cat([getattr(frame.coeffs, name) for frame in made]) for name in ("exp", "euler", "trans")},
        "camera": torch.cat([frame.camera.label for frame in made]),
        "keypoints": torch.from_numpy(np.stack([frame.keypoints for frame in made])),
        "gaze": torch.from_numpy(np.stack([frame.gaze for frame in made])),
    }


def still_layers(person: Person, size: int) -> tuple[UInt8[np.ndarray, "s s 3"], UInt8[np.ndarray, "s s 3"]]:
    """Background and inpainted torso of a person."""
    from PIL import Image

    background, torso = (
        np.array(Image.fromarray(image).resize((size, size), Image.Resampling.BOX)) for image in (person.background, person.torso_input)
    )
    return background, torso


def _write_one(folder: Path, source: ClipSource | TensorSource, options: PlanOptions, size: int, seed: int) -> str | None:
    """Make and save one person; returns the reason if it was rejected."""
    torch.set_num_threads(1)
    rng = np.random.default_rng((seed, crc32(source.name.encode())))
    try:
        if isinstance(source, TensorSource):
            tensors = source.tensors(size)
        else:
            person = source.make(rng)
            tensors = clip_tensors(person, plan_clip(person, options, rng), size)
    except PortraitError as error:
        return f"{error.code}: {error.message}"
    save_clip(folder / "clips" / f"{source.name}.safetensors", tensors)
    return None


def _outcomes(
    folder: Path, todo: Sequence[ClipSource | TensorSource], workers: int, job: tuple[PlanOptions, int, int]
) -> Iterator[tuple[ClipSource | TensorSource, str | None]]:
    if workers <= 1:
        for source in todo:
            yield source, _write_one(folder, source, *job)
        return
    queue = iter(todo)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        running: dict[Future, ClipSource | TensorSource] = {}

        def start(count: int) -> None:
            running.update({pool.submit(_write_one, folder, source, *job): source for source in islice(queue, count)})

        start(2 * workers)
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
                start(1)


def _save_json(path: Path, content: object) -> None:
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(content, indent=1))
    os.replace(part, path)


def write_store(
    folder: str | Path,
    people: Sequence[ClipSource | TensorSource],
    options: PlanOptions | None = None,
    size: int = 512,
    seed: int = 0,
    workers: int = 1,
    limits: dict[str, int] | None = None,
    progress: bool = True,
) -> int:
    """Write (or continue) a store.

    Args:
        folder: of the store.
        people: who shall be in it.
        options: frames of each clip.
        size: side of the pictures.
        seed: of expressions and cameras; the same seed gives the same bytes.
        workers: processes.
        limits: how many people of each split at most, rejected ones not counted; None for all.
        progress: show a bar.

    Returns:
        Number of clips in the store.
    """
    from tqdm import tqdm

    folder = Path(folder)
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    rejected_file = folder / "rejected.json"
    rejected: dict[str, str] = json.loads(rejected_file.read_text()) if rejected_file.exists() else {}

    def ready(source: ClipSource | TensorSource) -> bool:
        return (folder / "clips" / f"{source.name}.safetensors").exists()

    options = options or PlanOptions()
    job = (options, size, seed)
    while True:  # whoever is rejected is replaced in the next round
        wanted = limited([s for s in people if s.name not in rejected], limits)
        todo = [source for source in wanted if not ready(source)]
        if not todo:
            break
        bar = tqdm(total=len(wanted), initial=len(wanted) - len(todo), disable=not progress, unit="person", file=sys.stderr)
        for count, (source, reason) in enumerate(_outcomes(folder, todo, workers, job), 1):
            bar.update()
            if reason is not None:
                rejected[source.name] = reason
                bar.write(f"rejected {source.name}: {reason}", file=sys.stderr)
            if count % 20 == 0:
                _write_index(folder, [s for s in wanted if ready(s)], len(options), size)
                _save_json(rejected_file, rejected)
        bar.close()
    _save_json(rejected_file, rejected)
    return _write_index(folder, wanted, len(options), size)


def limited(people: Sequence[AnySource], limits: dict[str, int] | None) -> list[AnySource]:
    """The first of ``people``, at most as many of each split as ``limits`` says; None: all."""
    left = dict(limits) if limits else {}
    chosen = []
    for source in people:
        if limits is None or left.get(source.split, 0) > 0:
            chosen.append(source)
            left[source.split] = left.get(source.split, 0) - 1
    return chosen


def _write_index(folder: Path, people: Sequence[ClipSource | TensorSource], frames: int, size: int) -> int:
    from core.face.model import FaceModel

    def count(source: ClipSource | TensorSource) -> int:
        return (
            len(ClipFile(folder / "clips" / f"{source.name}.safetensors").read("time")[0]) if isinstance(source, TensorSource) else frames
        )

    clips = [{"name": s.name, "person": s.name, "frames": count(s), "split": s.split} for s in people]
    face = FaceModel.embedded()
    _save_json(folder / "store.json", {"face_model": face.fingerprint, "image_size": size, "focal": FIT_FOCAL, "fps": FPS, "clips": clips})
    return len(clips)
