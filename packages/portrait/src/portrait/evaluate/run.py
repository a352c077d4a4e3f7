"""An evaluation from end to end: pairs, videos, scores, report. What is finished stays finished when it is started again."""

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from core.errors import PortraitError
from core.media.image import write_image

from portrait.evaluate.footage import head_pose, square_picture
from portrait.evaluate.page import write_page
from portrait.evaluate.pairing import Pair, Pose, build_pairs
from portrait.evaluate.results import DRIVER, ClipResult, SystemFolder, summarise, write_json
from portrait.evaluate.scoring import score
from portrait.evaluate.side import write_side
from portrait.evaluate.systems import System
from portrait.evaluate.tables import Table, cell_text, shown_columns, write_csv, write_latex, write_table_json
from portrait.evaluate.trace import Tools
from portrait.stream import Progress, silently

log = logging.getLogger(__name__)
FILES = ("source", "video", "audio", "pose", "mask")
"""Fields of ``Pair`` that are paths."""


@dataclass(frozen=True)
class Evaluation:
    """What is asked for.

    Attributes:
        protocol: one of ``portrait.evaluate.pairing.PROTOCOLS``.
        data: folder with ``videos``, ``portraits``, ``audio``.
        out: report folder.
        seed: of the pairs.
        frames: of every clip to stop after; None takes all.
        limit: clips to stop after; None takes all.
    """

    protocol: str
    data: Path
    out: Path
    seed: int = 0
    frames: int | None = None
    limit: int | None = None


def evaluate(asked: Evaluation, system: System, tools: Tools, progress: Progress = silently) -> Table:
    """Make and score every clip that is not finished, then write the report anew for all systems in the folder.

    A clip that fails (no face found, say) is named in the report and tried again next time.

    Args:
        asked: protocol, data and place.
        system: what is evaluated.
        tools: face model and networks of the metrics.
        progress: shows how far it is.

    Returns:
        The table: cells by system and measure.

    Raises:
        PortraitError: ``E_DATA``, ``E_REPORT`` (the folder belongs to another evaluation), or the reason of the first clip when all failed.
    """
    pairs = _pairs(asked, tools)[: asked.limit]
    folder = SystemFolder(asked.out / "systems" / system.name)
    folder.claim(system.fingerprint)
    for pair in progress(iter(pairs), f"evaluate {system.name}", len(pairs)):
        _clip(pair, asked, system, folder, tools)
    results = [found for pair in pairs if (found := folder.load(pair.name))]
    failed = [result for result in results if result.error]
    if len(failed) == len(results):
        raise PortraitError("E_EVALUATE", f"none of {len(results)} clips could be scored; {failed[0].name}: {failed[0].error}",
                            "Mend that and start again.")  # fmt: skip
    if failed:
        log.warning("W_CLIPS: %d of %d clips could not be scored (%s: %s)", len(failed), len(results), failed[0].name, failed[0].error)
    return write_report(asked, [pair.name for pair in pairs], tools.backbones.absent)


def _pairs(asked: Evaluation, tools: Tools) -> list[Pair]:
    """The pairs of an earlier run of the same evaluation, or new ones."""
    file = asked.out / "pairs.json"
    terms = {"protocol": asked.protocol, "data": str(asked.data.resolve()), "seed": asked.seed, "frames": asked.frames}
    if file.is_file():
        known = json.loads(file.read_text())
        if known["terms"] != terms:
            raise PortraitError("E_REPORT", f"{asked.out} holds another evaluation ({known['terms']})", "Choose another report folder.")
        return [Pair(**{key: Path(value) if key in FILES and value else value for key, value in row.items()}) for row in known["pairs"]]
    pairs = build_pairs(asked.protocol, asked.data.resolve(), lambda path: _pose(path, tools), asked.seed)
    rows = [{name: str(value) if isinstance(value, Path) else value for name, value in asdict(pair).items()} for pair in pairs]
    write_json(file, {"terms": terms, "pairs": rows})
    return pairs


def _pose(path: Path, tools: Tools) -> Pose | None:
    """First head pose of a file; None without a usable face, whose clips then say so themselves."""
    try:
        return head_pose(path, tools.face)
    except PortraitError:
        return None


def _clip(pair: Pair, asked: Evaluation, system: System, folder: SystemFolder, tools: Tools) -> None:
    """Make and score one clip unless it is finished."""
    try:
        own = folder.folder / "videos" / f"{pair.name}.mp4"
        made = own if own.is_file() else system.video(pair, own, asked.frames)
        terms = _terms(made, tools)
        before = folder.load(pair.name)
        if before is not None and before.terms == terms and not before.error:
            return
        source = asked.out / "sources" / f"{pair.name if pair.same else pair.source.stem}.png"
        if not source.is_file():
            write_image(source, square_picture(pair.source))
        found = score(pair, made, tools, asked.frames, system.whole_frame, asked.out / "drivers")
        side = folder.folder / "side"
        write_side(pair, made, side / f"{pair.name}.mp4", side / f"{pair.name}.jpg", asked.frames, system.whole_frame)
        folder.save(ClipResult(pair.name, terms, found.values, found.driver, found.frames), found)
    except PortraitError as error:
        if error.code == "E_WRITE":
            raise
        folder.save(ClipResult(pair.name, {}, error=str(error)))


def _terms(made: Path, tools: Tools) -> dict[str, str]:
    """What a score depends on beside the pair."""
    state = made.stat()
    return {"video": f"{state.st_size} bytes, {state.st_mtime_ns}", "networks": tools.networks, "face": tools.face.fingerprint}


def write_report(asked: Evaluation, names: list[str], absent: tuple[str, ...]) -> Table:
    """``results.csv``, ``results.json``, ``table.tex`` and ``index.html`` of all systems that have results of these clips."""
    table: Table = {}
    clips: dict[str, list[ClipResult]] = {}
    drivers = {}
    for place in sorted((asked.out / "systems").iterdir()):
        folder = SystemFolder(place)
        results = [found for name in names if (found := folder.load(name))]
        if not results:
            continue
        clips[place.name] = results
        table[place.name], own = summarise([r for r in results if not r.error], folder, asked.protocol)
        drivers = own if len(own) > len(drivers) else drivers
    if drivers:
        table[DRIVER] = drivers
    facts = {"data": str(asked.data), "clips": str(len(names)), "seed": str(asked.seed),
             "frames per clip": "all" if asked.frames is None else f"at most {asked.frames}"}  # fmt: skip
    write_csv(asked.out / "results.csv", asked.protocol, clips)
    write_table_json(asked.out / "results.json", asked.protocol, table, absent)
    write_latex(asked.out / "table.tex", asked.protocol, table)
    write_page(asked.out / "index.html", asked.protocol, facts, table, clips, absent)
    return table


def text_table(protocol: str, table: Table) -> Iterator[str]:
    """Lines for the terminal: one per system and measure."""
    shown = shown_columns(protocol, table)
    for system, row in table.items():
        yield system
        for key, measure in shown.items():
            mean, bounds = cell_text(row.get(key), measure.digits)
            if mean:
                yield f"  {measure.title + measure.arrow:26} {mean:>9}" + (f"  [{bounds}]" if bounds else "")
