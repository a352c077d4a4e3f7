"""The results as CSV, JSON and LaTeX."""

import csv
import io
from dataclasses import asdict
from pathlib import Path

from core.media.files import atomic_path

from portrait.evaluate.measures import Measure, columns
from portrait.evaluate.results import DRIVER, Cell, ClipResult, write_json

Table = dict[str, dict[str, Cell]]
"""Rows by system, cells by measure."""


def write_csv(path: Path, protocol: str, clips: dict[str, list[ClipResult]]) -> None:
    """One line per clip and system; empty where a clip lacks a measure."""
    keys = list(columns(protocol))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["system", "clip", "frames", *keys, "error"])
    for system, results in clips.items():
        for result in results:
            values = [f"{result.values[key]:.6g}" if key in result.values else "" for key in keys]
            writer.writerow([system, result.name, result.frames, *values, result.error])
    with atomic_path(path) as temporary:
        temporary.write_text(text.getvalue())


def write_table_json(path: Path, protocol: str, table: Table, absent: tuple[str, ...]) -> None:
    """Means, intervals and numbers of clips, and what was left out."""
    rows = {system: {key: asdict(cell) for key, cell in row.items()} for system, row in table.items()}
    write_json(path, {"protocol": protocol, "interval": "95 % bootstrap over clips", "systems": rows, "left_out": list(absent)})


def shown_columns(protocol: str, table: Table) -> dict[str, Measure]:
    """Measures that at least one row has."""
    return {key: measure for key, measure in columns(protocol).items() if any(key in row for row in table.values())}


def best(key: str, measure: Measure, table: Table) -> set[str]:
    """The systems with the best mean; none where there is nothing to choose from."""
    means = {system: row[key].mean for system, row in table.items() if key in row and system != DRIVER}
    if measure.better is None or len(means) < 2:
        return set()
    top = (max if measure.better == "up" else min)(means.values())
    return {system for system, mean in means.items() if mean == top}


def cell_text(cell: Cell | None, digits: int) -> tuple[str, str]:
    """Mean and interval, both perhaps empty."""
    if cell is None:
        return "", ""
    bounds = "" if cell.low is None else f"{cell.low:.{digits}f}, {cell.high:.{digits}f}"
    return f"{cell.mean:.{digits}f}", bounds


def escape(text: str) -> str:
    """Text for LaTeX."""
    for character in "&%$#_{}":
        text = text.replace(character, "\\" + character)
    return text


def latex(protocol: str, table: Table) -> str:
    """A booktabs table: the best of each column bold, intervals in small print below."""
    shown = shown_columns(protocol, table)
    arrows = {"up": r" $\uparrow$", "down": r" $\downarrow$", None: ""}
    lines = [r"\begin{tabular}{l" + "r" * len(shown) + "}", r"\toprule"]
    lines.append(" & ".join(["", *(escape(m.title) + arrows[m.better] for m in shown.values())]) + r" \\")
    lines.append(r"\midrule")
    winners = {key: best(key, measure, table) for key, measure in shown.items()}
    for system, row in table.items():
        means, bounds = [escape(system)], [""]
        for key, measure in shown.items():
            mean, between = cell_text(row.get(key), measure.digits)
            means.append(rf"\textbf{{{mean}}}" if system in winners[key] else mean)
            bounds.append(rf"{{\tiny [{between}]}}" if between else "")
        lines.append(" & ".join(means) + r" \\")
        if any(bounds):
            lines.append(" & ".join(bounds) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def write_latex(path: Path, protocol: str, table: Table) -> None:
    """``latex`` as a file."""
    with atomic_path(path) as temporary:
        temporary.write_text(latex(protocol, table))
