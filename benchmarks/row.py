"""What a benchmark row is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch


class SkippedError(Exception):
    """Raised by a row that cannot be measured here; says why."""


@dataclass(frozen=True)
class Case:
    """Something to measure, its inputs made.

    Attributes:
        run: one run, to be repeated; what it returns goes to ``note``.
        items: how many items (frames, pictures) one run yields.
        unit: name of one item.
        baseline: the readable twin, or what others do, with as many items; run in turns with ``run``.
        baseline_name: what to call it.
        note: text about correctness or quality from the results of ``run`` and ``baseline`` (None without one).
    """

    run: Callable[[], Any]
    items: int = 1
    unit: str = "frame"
    baseline: Callable[[], Any] | None = None
    baseline_name: str = ""
    note: Callable[[Any, Any], str] | None = None


@dataclass(frozen=True)
class Row:
    """An entry of the table.

    Attributes:
        name: dotted, the most general part first, as ``--only`` selects by its beginning.
        build: makes the inputs on a device; may raise ``SkippedError``.
        bar: items a second that the project wants to reach on one core; None for figures without one.
        cuda: whether the row can run on a GPU.
    """

    name: str
    build: Callable[[torch.device], Case]
    bar: float | None = None
    cuda: bool = False
