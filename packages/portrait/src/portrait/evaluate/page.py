"""The report as a web page that needs nothing but its folder."""

from html import escape
from pathlib import Path
from urllib.parse import quote

from core.media.files import atomic_path

from portrait.evaluate.measures import Measure, columns
from portrait.evaluate.results import ClipResult
from portrait.evaluate.tables import Table, best, cell_text, shown_columns

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; } .wide { overflow-x: auto; }
th, td { padding: .3rem .7rem; text-align: right; white-space: nowrap; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; } small { color: #777; display: block; }
video { width: 48rem; max-width: 100%; background: #000; } .error { color: #a00; }
"""


def write_page(
    path: Path, protocol: str, facts: dict[str, str], table: Table, clips: dict[str, list[ClipResult]], absent: tuple[str, ...]
) -> None:
    """Write the page.

    Args:
        path: HTML file, beside the folder ``systems``.
        protocol: what was evaluated.
        facts: what a reader has to know to repeat it.
        table: means by system.
        clips: results by system.
        absent: which metrics were left out, and why.
    """
    said = "".join(f"<li>{escape(name)}: {escape(value)}</li>" for name, value in facts.items())
    missing = "".join(f"<li>{escape(line)}</li>" for line in absent)
    parts = [
        f"<h1>{escape(protocol)}</h1><ul>{said}</ul>",
        _summary(protocol, table),
        "<p>Means over clips; small: 95 % bootstrap interval over clips. ↑ higher is better, ↓ lower is better, no arrow: the driving "
        "video's own value is the aim. FID is one number for all frames.</p>",
        f"<h2>Left out</h2><ul>{missing}</ul>" if missing else "",
        *(_clips(protocol, system, results, path.parent) for system, results in clips.items()),
    ]
    body = "\n".join(parts)
    page = (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{escape(protocol)}</title><style>{STYLE}</style>\n{body}\n</html>\n'
    )
    with atomic_path(path) as temporary:
        temporary.write_text(page)


def _head(shown: dict[str, Measure], first: str) -> str:
    return f"<tr><th>{first}</th>" + "".join(f"<th>{escape(m.title)}{m.arrow}</th>" for m in shown.values()) + "</tr>"


def _summary(protocol: str, table: Table) -> str:
    shown = shown_columns(protocol, table)
    winners = {key: best(key, measure, table) for key, measure in shown.items()}
    rows = []
    for system, row in table.items():
        cells = []
        for key, measure in shown.items():
            mean, bounds = cell_text(row.get(key), measure.digits)
            mean = f"<b>{mean}</b>" if system in winners[key] else mean
            cells.append(f"<td>{mean}<small>{bounds}</small></td>")
        rows.append(f"<tr><td>{escape(system)}</td>{''.join(cells)}</tr>")
    return f'<div class="wide"><table>{_head(shown, "system")}{"".join(rows)}</table></div>'


def _clips(protocol: str, system: str, results: list[ClipResult], folder: Path) -> str:
    shown = {key: m for key, m in columns(protocol).items() if any(key in result.values for result in results)}
    sections = [f"<h2>{escape(system)}</h2>"]
    for result in results:
        sections.append(f"<h3>{escape(result.name)}</h3>")
        if result.error:
            sections.append(f'<p class="error">{escape(result.error)}</p>')
            continue
        side = f"systems/{system}/side/{result.name}"
        if (folder / f"{side}.mp4").is_file():
            sections.append(f'<video controls preload="none" poster="{quote(side)}.jpg" src="{quote(side)}.mp4"></video>')
        cells = "".join(f"<td>{_number(result, key, m)}</td>" for key, m in shown.items())
        sections.append(f'<div class="wide"><table>{_head(shown, "frames")}<tr><td>{result.frames}</td>{cells}</tr></table></div>')
    return "\n".join(sections)


def _number(result: ClipResult, key: str, measure: Measure) -> str:
    """A clip's own number, empty when it has none."""
    return f"{result.values[key]:.{measure.digits}f}" if key in result.values else ""
