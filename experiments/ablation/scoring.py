"""The figures of a row: its videos scored as ``portrait evaluate`` does, and what its trainings say of held-out people."""

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from core.media.files import atomic_path
from portrait.evaluate.results import DRIVER, Cell
from portrait.evaluate.run import Evaluation, evaluate
from portrait.evaluate.systems import Networks
from portrait.evaluate.trace import Tools

from experiments.ablation.plan import Plan, Row, Training
from experiments.ablation.training import Workplace, row_weights


@dataclass
class RowResult:
    """What is known of a row.

    Attributes:
        name: of the row.
        cells: by protocol and measure.
        drivers: the same of the driving videos alone.
        validation: last ``val/`` scores by stage and name.
        steps: updates that every stage has had in this row's own trainings.
    """

    name: str
    cells: dict[str, dict[str, Cell]] = field(default_factory=dict)
    drivers: dict[str, dict[str, Cell]] = field(default_factory=dict)
    validation: dict[str, dict[str, float]] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Keep it in ``folder/rows``."""
        with atomic_path(folder / "rows" / f"{self.name}.json") as file:
            file.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path, name: str) -> "RowResult | None":
        """What ``save`` kept, or None."""
        file = folder / "rows" / f"{name}.json"
        if not file.is_file():
            return None
        known = json.loads(file.read_text())
        for part in ("cells", "drivers"):
            known[part] = {p: {key: Cell(**cell) for key, cell in cells.items()} for p, cells in known[part].items()}
        return cls(**known)


@dataclass(frozen=True)
class Clips:
    """What rows are scored on.

    Attributes:
        data: folder with ``videos``, as for ``portrait evaluate``.
        frames: of each clip to stop after.
        limit: clips to stop after.
    """

    data: Path
    frames: int | None = None
    limit: int | None = None


def score_row(plan: Plan, row: Row, chain: list[Training], place: Workplace, clips: Clips | None, tools: Tools | None) -> RowResult:
    """Score one row; clips that are scored already are not made again.

    Args:
        plan: the table.
        row: the line.
        chain: its trainings, which are done.
        place: where they lie.
        clips: to score on; None where the plan has no protocols.
        tools: face model and networks of the metrics, likewise.

    Raises:
        PortraitError: as ``portrait.evaluate.run.evaluate``.
    """
    result = RowResult(row.name)
    for training in chain:
        result.validation[training.stage], result.steps[training.stage] = last_scores(place.run_of(training))
    if clips is None or tools is None:
        return result
    from portrait.pipeline import Portrait

    weights = row_weights(row.name, chain, place)
    system = Networks(Portrait.from_pretrained(weights, str(tools.device)), weights, inpaint=row.inpaint)
    system.name = row.name
    for protocol in plan.protocols:
        table = evaluate(Evaluation(protocol, clips.data, place.out / "report" / protocol, 0, clips.frames, clips.limit), system, tools)
        result.cells[protocol] = table[row.name]
        result.drivers[protocol] = table.get(DRIVER, {})
    return result


def last_scores(run: Path) -> tuple[dict[str, float], int]:
    """The last validation scores in a training's logs, and its number of updates."""
    found: dict[str, float] = {}
    steps = 0
    for line in _lines(run):
        steps = max(steps, int(float(line.get("step") or 0)) + 1)
        found |= {name.removeprefix("val/"): float(value) for name, value in line.items() if name.startswith("val/") and value}
    return found, steps


def _lines(run: Path) -> Iterator[dict[str, Any]]:
    """Lines of all ``metrics.csv`` of a training, the oldest first: it may have been taken up again."""
    files = run.rglob("metrics.csv")
    for file in sorted(files, key=lambda path: path.stat().st_mtime):
        with file.open(newline="") as text:
            yield from csv.DictReader(text)
