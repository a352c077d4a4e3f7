"""Results on disk, one file per clip so that a run can be resumed, and their means with bootstrap confidence intervals."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from core.errors import PortraitError
from core.media.files import atomic_path
from core.metrics.fid import fid
from safetensors.torch import load_file, save_file

from portrait.evaluate.measures import columns
from portrait.evaluate.scoring import Score

RESAMPLES = 2000
LEVEL = 0.95
DRIVER = "driving videos"
"""Row of the numbers that driving videos have by themselves."""


@dataclass(frozen=True)
class Cell:
    """One number of a table: the mean over clips.

    Attributes:
        mean: of the clips that have it.
        low, high: bounds of the 95 % bootstrap interval; None for FID, which no clip has by itself, and for a single clip.
        clips: how many have it.
    """

    mean: float
    low: float | None
    high: float | None
    clips: int


@dataclass
class ClipResult:
    """What is known of one clip.

    Attributes:
        name: of the pair.
        terms: under which it was scored; other terms mean scoring again.
        values: as in ``Score``.
        driver: as in ``Score``.
        frames: as in ``Score``.
        error: why there is no score.
    """

    name: str
    terms: dict[str, str]
    values: dict[str, float] = field(default_factory=dict)
    driver: dict[str, float] = field(default_factory=dict)
    frames: int = 0
    error: str = ""


class SystemFolder:
    """What one system left in a report: ``system.json``, ``clips``, ``features``, ``videos`` and ``side``.

    Args:
        folder: made if absent.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def claim(self, fingerprint: str) -> None:
        """Write down whose results these are.

        Raises:
            PortraitError: ``E_REPORT`` when they are somebody else's.
        """
        file = self.folder / "system.json"
        if file.is_file() and json.loads(file.read_text())["fingerprint"] != fingerprint:
            message = f"{self.folder} holds results of other weights or videos of the same name"
            raise PortraitError("E_REPORT", message, "Delete that folder, give --name, or choose another report folder.")
        write_json(file, {"fingerprint": fingerprint})

    def load(self, name: str) -> ClipResult | None:
        """Result of a clip, None if there is none yet."""
        file = self.folder / "clips" / f"{name}.json"
        return ClipResult(**json.loads(file.read_text())) if file.is_file() else None

    def save(self, result: ClipResult, score: Score | None = None) -> None:
        """Keep a result; its features first, so that a result is complete."""
        features = {} if score is None else {k: v for k, v in (("fake", score.fake), ("real", score.real)) if v is not None}
        if features:
            with atomic_path(self.folder / "features" / f"{result.name}.safetensors") as file:
                save_file({name: value.half().contiguous() for name, value in features.items()}, file)
        write_json(self.folder / "clips" / f"{result.name}.json", asdict(result))

    def features(self, names: list[str]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Inception features of results and of real videos, by clip, where they were kept."""
        fake, real = [], []
        for name in names:
            file = self.folder / "features" / f"{name}.safetensors"
            if file.is_file():
                arrays = load_file(file)
                fake += [arrays["fake"]] if "fake" in arrays else []
                real += [arrays["real"]] if "real" in arrays else []
        return fake, real


def write_json(file: Path, data: object) -> None:
    """Write a file that appears only when complete.

    Raises:
        PortraitError: ``E_WRITE``.
    """
    with atomic_path(file) as temporary:
        temporary.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def interval(values: list[float], seed: int = 0) -> tuple[float, float] | None:
    """95 % percentile interval of the mean under resampling of clips; None for fewer than two.

    Args:
        values: one number per clip.
        seed: of the resampling.
    """
    if len(values) < 2:
        return None
    rng = np.random.default_rng(seed)
    means = np.array(values)[rng.integers(0, len(values), (RESAMPLES, len(values)))].mean(1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def summarise(results: list[ClipResult], folder: SystemFolder, protocol: str) -> tuple[dict[str, Cell], dict[str, Cell]]:
    """One row of the table for a system, and one for the driving videos.

    Args:
        results: finished clips.
        folder: where their features are.
        protocol: whose columns are wanted.
    """
    wanted = columns(protocol)
    rows: list[dict[str, Cell]] = []
    for part in ("values", "driver"):
        row = {}
        for key in wanted:
            values = [getattr(result, part)[key] for result in results if key in getattr(result, part)]
            if values:
                bounds = interval(values) or (None, None)
                row[key] = Cell(float(np.mean(values)), *bounds, len(values))
        rows.append(row)
    fake, real = folder.features([result.name for result in results])
    if fake and real:
        distance = fid(torch.cat(fake).float(), torch.cat(real).float())
        rows[0]["fid"] = Cell(float(distance), None, None, len(fake))
    return rows[0], rows[1]
