"""Write stores of made people: resumable, atomic, in several processes.

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
from typing import Protocol, runtime_checkable
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from core.camera import FIT_FOCAL
from core.data.clip_codec import encode_picture, save_clip
from core.errors import PortraitError
from core.people.person import Person, PersonFrame

FPS = 25


@runtime_checkable
class ClipSource(Protocol):
    """Someone who can be made: a photograph, a seed, later a real clip."""

    name: str
    split: str

    def make(self, rng: np.random.Generator) -> Person:
        """Build the person; raises ``PortraitError`` when it cannot be done."""


def clip_tensors(person: Person, frames: int, groups: int, size: int, rng: np.random.Generator) -> dict[str, Tensor]:
    """Render one person's frames: ``groups`` expressions, the first that of the source view, each from ``frames / groups`` cameras."""
    from core.people.motion import neighbours, sample_expression, sample_pose
    from core.people.person import render, render_source

    made: list[PersonFrame] = []
    group = np.arange(frames) * groups // frames
    codes = [person.coeffs.exp[0].numpy()] + [sample_expression(person, rng) for _ in range(groups - 1)]
    around = [neighbours(code, rng) for code in codes]
    for index in range(frames):
        euler, trans = sample_pose(person.coeffs, rng)
        made.append(render_source(person, size) if index == 0 else render(person, codes[group[index]], euler, trans, size))
    pictures = {}
    for index, frame in enumerate(made):
        pictures[f"image.{index}"] = encode_picture(frame.image)
        pictures[f"head.{index}"] = encode_picture(frame.head)
        pictures[f"mask.{index}"] = encode_picture((frame.head_alpha * 255 + 0.5).astype(np.uint8), lossless=True)
        pictures[f"labels.{index}"] = encode_picture(frame.labels, lossless=True)
    pictures |= _still(person, size)
    return pictures | {
        "group": torch.from_numpy(group),
        "id": person.coeffs.id[0].clone(),
        **{name: torch.cat([getattr(frame.coeffs, name) for frame in made]) for name in ("exp", "euler", "trans")},
        "exp_before": torch.from_numpy(np.stack([around[g][0] for g in group])),
        "exp_after": torch.from_numpy(np.stack([around[g][1] for g in group])),
        "camera": torch.cat([frame.camera.label for frame in made]),
        "keypoints": torch.from_numpy(np.stack([frame.keypoints for frame in made])),
    }


def _still(person: Person, size: int) -> dict[str, Tensor]:
    from PIL import Image

    def fit(image: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BOX))

    return {"background": encode_picture(fit(person.background)), "torso": encode_picture(fit(person.torso_input))}


def _write_one(folder: Path, source: ClipSource, frames: int, groups: int, size: int, seed: int) -> str | None:
    """Make and save one person; returns the reason if it was rejected."""
    torch.set_num_threads(1)
    rng = np.random.default_rng((seed, crc32(source.name.encode())))
    try:
        person = source.make(rng)
    except PortraitError as error:
        return f"{error.code}: {error.message}"
    save_clip(folder / "clips" / f"{source.name}.safetensors", clip_tensors(person, frames, groups, size, rng))
    return None


def _outcomes(
    folder: Path, todo: Sequence[ClipSource], workers: int, job: tuple[int, int, int, int]
) -> Iterator[tuple[ClipSource, str | None]]:
    if workers <= 1:
        for source in todo:
            yield source, _write_one(folder, source, *job)
        return
    queue = iter(todo)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        running: dict[Future, ClipSource] = {}

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
    people: Sequence[ClipSource],
    frames_per_person: int = 12,
    size: int = 512,
    seed: int = 0,
    workers: int = 1,
    groups: int = 3,
    limits: dict[str, int] | None = None,
    progress: bool = True,
) -> int:
    """Write (or continue) a store.

    Args:
        folder: of the store.
        people: who shall be in it.
        frames_per_person: frames of each clip.
        size: side of the pictures.
        seed: of expressions and cameras; the same seed gives the same bytes.
        workers: processes.
        groups: expressions of each clip.
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

    def ready(source: ClipSource) -> bool:
        return (folder / "clips" / f"{source.name}.safetensors").exists()

    job = (frames_per_person, groups, size, seed)
    while True:  # whoever is rejected is replaced in the next round
        wanted = _limited([s for s in people if s.name not in rejected], limits)
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
                _write_index(folder, [s for s in wanted if ready(s)], frames_per_person, size)
                _save_json(rejected_file, rejected)
        bar.close()
    _save_json(rejected_file, rejected)
    return _write_index(folder, wanted, frames_per_person, size)


def _limited(people: Sequence[ClipSource], limits: dict[str, int] | None) -> list[ClipSource]:
    left = dict(limits) if limits else {}
    chosen = []
    for source in people:
        if limits is None or left.get(source.split, 0) > 0:
            chosen.append(source)
            left[source.split] = left.get(source.split, 0) - 1
    return chosen


def _write_index(folder: Path, people: Sequence[ClipSource], frames: int, size: int) -> int:
    from core.face.model import FaceModel

    clips = [{"name": s.name, "person": s.name, "frames": frames, "split": s.split} for s in people]
    face = FaceModel.embedded()
    _save_json(folder / "store.json", {"face_model": face.fingerprint, "image_size": size, "focal": FIT_FOCAL, "fps": FPS, "clips": clips})
    return len(clips)
