"""The result table beside the paper's figures, as CSV, JSON, Markdown and LaTeX."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from core.media.files import atomic_path
from portrait.evaluate.measures import MEASURES, columns
from portrait.evaluate.results import Cell
from portrait.evaluate.tables import escape

from experiments.ablation.plan import Plan, Row
from experiments.ablation.scoring import RowResult

PAPER = ("csim", "fid", "aed", "apd")
"""Columns of the paper's Table 4, in its order."""
SHORT = {"same-identity": "same", "cross-identity": "cross", "audio-driven": "audio"}
ARROWS = {"up": r" $\uparrow$", "down": r" $\downarrow$", None: ""}


@dataclass(frozen=True)
class Column:
    """One column of figures.

    Attributes:
        source: ``paper``, a protocol, or ``val STAGE``.
        key: of the measure.
    """

    source: str
    key: str

    @property
    def title(self) -> str:
        """Heading without arrow."""
        measure = MEASURES[self.key].title if self.key in MEASURES else self.key.replace("_", " ").replace("psnr", "PSNR")
        return f"{measure} ({SHORT.get(self.source, self.source)})"

    @property
    def better(self) -> str | None:
        """Which way."""
        return MEASURES[self.key].better if self.key in MEASURES else "up"

    def value(self, row: Row, result: RowResult | None) -> float | None:
        """The figure of a row, if it has one."""
        if self.source == "paper":
            return row.paper.get(self.key)
        if result is None:
            return None
        if self.source.startswith("val "):
            return result.validation.get(self.source.removeprefix("val "), {}).get(self.key)
        cell = result.cells.get(self.source, {}).get(self.key)
        return None if cell is None else cell.mean

    def text(self, value: float | None) -> str:
        """A figure as it is printed."""
        digits = MEASURES[self.key].digits if self.key in MEASURES else 2
        return "" if value is None else f"{value:.{digits}f}"


def table_columns(plan: Plan, results: dict[str, RowResult]) -> list[Column]:
    """The paper's columns, then all that some row has: clips first, scores of the trainings last."""
    candidates = [Column("paper", key) for key in PAPER]
    candidates += [Column(protocol, key) for protocol in plan.protocols for key in columns(protocol)]
    names = {(stage, name) for result in results.values() for stage, scores in result.validation.items() for name in scores}
    candidates += [Column(f"val {stage}", name) for stage in plan.stages for name in sorted(n for s, n in names if s == stage)]
    return [c for c in candidates if any(c.value(row, results.get(name)) is not None for name, row in plan.rows.items())]


def _grid(plan: Plan, results: dict[str, RowResult], shown: list[Column]) -> Iterator[tuple[str, list[str]]]:
    """Title and figures of every row that has any, and of the driving videos."""
    for name, row in plan.rows.items():
        if name in results or row.paper:
            yield row.title, [column.text(column.value(row, results.get(name))) for column in shown]
    drivers: dict[str, dict[str, Cell]] = {}
    for result in results.values():
        drivers |= {protocol: cells for protocol, cells in result.drivers.items() if cells}
    if drivers:
        cells = (drivers.get(column.source, {}).get(column.key) for column in shown)
        yield "driving videos", [c.text(None if cell is None else cell.mean) for c, cell in zip(shown, cells, strict=True)]


def markdown(plan: Plan, results: dict[str, RowResult]) -> str:
    """One table; columns are headed by what they were measured with."""
    shown = table_columns(plan, results)
    heads = [column.title + (f" {'↑' if column.better == 'up' else '↓'}" if column.better else "") for column in shown]
    lines = [f"## {plan.title}", "", f"| row | {' | '.join(heads)} |", "|---|" + "---|" * len(shown)]
    lines += [f"| {title} | {' | '.join(figures)} |" for title, figures in _grid(plan, results, shown)]
    return "\n".join([*lines, ""])


def latex(plan: Plan, results: dict[str, RowResult]) -> str:
    """The same with booktabs."""
    shown = table_columns(plan, results)
    head = " & ".join(["", *(escape(column.title) + ARROWS[column.better] for column in shown)])
    lines = [r"\begin{tabular}{l" + "r" * len(shown) + "}", r"\toprule", head + r" \\", r"\midrule"]
    lines += [" & ".join([escape(title), *figures]) + r" \\" for title, figures in _grid(plan, results, shown)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def rows_csv(plan: Plan, results: dict[str, RowResult]) -> str:
    """One line per row and figure, with the bounds of its 95 % interval and the number of clips where it has them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", "source", "measure", "value", "low", "high", "clips"])
    for name, row in plan.rows.items():
        result = results.get(name)
        for column in table_columns(plan, results):
            value = column.value(row, result)
            if value is None:
                continue
            cell = result.cells.get(column.source, {}).get(column.key) if result else None
            bounds = ["", "", ""] if cell is None else ["" if x is None else f"{x:.6g}" for x in (cell.low, cell.high)] + [cell.clips]
            writer.writerow([name, column.source, column.key, f"{value:.6g}", *bounds])
    return text.getvalue()


def write_tables(plan: Plan, out: Path) -> str:
    """``table.csv``, ``table.json``, ``table.md`` and ``table.tex`` of all rows that are done.

    Returns:
        The Markdown.
    """
    results = {name: result for name in plan.rows if (result := RowResult.load(out, name))}
    rows = {name: {"title": row.title, "paper": row.paper} for name, row in plan.rows.items()}
    for name, result in results.items():
        rows[name] |= asdict(result)
    data = {"title": plan.title, "rows": rows}
    shown = markdown(plan, results)
    texts = {"csv": rows_csv(plan, results), "json": json.dumps(data, indent=1) + "\n", "md": shown, "tex": latex(plan, results)}
    for ending, text in texts.items():
        with atomic_path(out / f"table.{ending}") as file:
            file.write_text(text)
    return shown
