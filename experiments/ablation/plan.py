"""What a table of ablations consists of: rows, the stages that they train, and which trainings rows have in common."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from core.errors import PortraitError
from portrait.evaluate.pairing import PROTOCOLS

STAGES = ("recon", "animate", "compose")
"""In the order of training. Table 4 is driven by videos: stage 4 has no part in it."""
ROOT = Path(__file__).parents[1]
"""Files are named relative to this folder, ``experiments``."""


@dataclass(frozen=True)
class Stage:
    """How one stage is trained unless a row says otherwise.

    Attributes:
        files: YAML files for ``-c``.
        options: further options of the command line, ``name`` to value.
        steps: updates; None: as the files say.
        minutes: time limit; None: as the files say.
        given: networks that the start weights already have, so that only rows that change this stage train it.
        begin: networks of this stage that begin as in the start weights rather than afresh.
    """

    files: tuple[str, ...]
    options: tuple[tuple[str, str], ...] = ()
    steps: int | None = None
    minutes: int | None = None
    given: tuple[str, ...] = ()
    begin: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: of its folders.
        title: as the paper calls it.
        paper: the paper's figures by measure; none for rows that it does not have.
        changes: YAML files on top of the stages' own, by stage.
        without: stages that are left out.
        inpaint: evaluate with the person painted out of the background.
    """

    name: str
    title: str
    paper: dict[str, float] = field(default_factory=dict)
    changes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    inpaint: bool = True


@dataclass(frozen=True)
class Training:
    """One run of one stage; rows that need equal ones share it.

    Attributes:
        stage: which.
        how: files, steps, options.
        before: the training whose networks it starts from; None: the start weights, or nothing.
        fresh: the row leaves out the stage before, so that it starts from nothing and not from the start weights.
        row: the first row that needs it, which gives it its name.
    """

    stage: str
    how: Stage
    before: "Training | None"
    fresh: bool
    row: str = field(compare=False)

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.stage}-{self.row}"


@dataclass(frozen=True)
class Plan:
    """One table.

    Attributes:
        title: above it.
        start: weights (a name or a folder) that stages begin with and from which rows take what they do not train; None: nothing.
        protocols: of ``portrait evaluate``; none where the last stage's own scores on held-out people have to do.
        stages: by name.
        rows: in order; the first is the full model.
    """

    title: str
    start: str | None
    protocols: tuple[str, ...]
    stages: dict[str, Stage]
    rows: dict[str, Row]

    def trainings(self) -> dict[str, list[Training]]:
        """What every row trains, in order; rows with equal trainings have the same object."""
        known: dict[Training, Training] = {}
        return {row.name: self._chain(row, known) for row in self.rows.values()}

    def _chain(self, row: Row, known: dict[Training, Training]) -> list[Training]:
        chain: list[Training] = []
        for name, stage in self.stages.items():
            changes = row.changes.get(name, ())
            if name in row.without or (stage.given and not changes):
                continue
            how = Stage(stage.files + changes, stage.options, stage.steps, stage.minutes, begin=stage.begin)
            fresh = not chain and bool(row.without)
            training = Training(name, how, chain[-1] if chain else None, fresh, row.name)
            chain.append(known.setdefault(training, training))
        return chain


def read_plan(path: Path, rows: list[str] | None = None) -> Plan:
    """Read a table's description.

    Args:
        path: YAML file.
        rows: names of those that are wanted; None takes all.

    Raises:
        PortraitError: ``E_ABLATION`` naming what is wrong with it.
    """
    try:
        text = yaml.safe_load(path.read_text())
        stages = {name: _stage(options) for name, options in text["stages"].items()}
        found = {name: _row(name, options) for name, options in text["rows"].items()}
        plan = Plan(text["title"], text.get("start"), tuple(text.get("protocols", ())), stages, found)
    except OSError as error:
        raise PortraitError("E_ABLATION", f"cannot read {path}: {error.strerror}", "Check the spelling of the path.") from error
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise PortraitError("E_ABLATION", f"{path} does not describe a table ({type(error).__name__}: {error})",
                            "Compare it with experiments/ablation/tiny.yaml.") from error  # fmt: skip
    _check(plan, path)
    unknown = [name for name in rows or () if name not in found]
    if unknown:
        raise PortraitError("E_ABLATION", f"no row {unknown[0]!r} in {path}", f"Choose among {', '.join(found)}.")
    return plan if rows is None else Plan(plan.title, plan.start, plan.protocols, stages, {name: found[name] for name in rows})


def _stage(options: dict[str, Any]) -> Stage:
    words = dict(options)
    more = tuple((name, str(value)) for name, value in words.pop("options", {}).items())
    lists = {key: tuple(words.pop(key, ())) for key in ("files", "given", "begin")}
    return Stage(options=more, **lists, **words)


def _row(name: str, options: dict[str, Any]) -> Row:
    words = dict(options)
    changes = {stage: tuple(words.pop(stage)) for stage in STAGES if words.get(stage)}
    return Row(name, words.pop("title"), words.pop("paper", {}), changes, tuple(words.pop("without", ())), **words)


def _check(plan: Plan, path: Path) -> None:
    """See that every name in a plan means something."""
    files = [file for stage in plan.stages.values() for file in stage.files]
    files += [file for row in plan.rows.values() for changes in row.changes.values() for file in changes]
    used = [*plan.stages, *(stage for row in plan.rows.values() for stage in (*row.changes, *row.without))]
    wrong = (
        [f"file {file}" for file in files if not (ROOT / file).is_file()]
        + [f"protocol {name!r}" for name in plan.protocols if name not in PROTOCOLS]
        + [f"stage {name!r}" for name in used if name not in plan.stages or name not in STAGES]
        + [f"order of stages {list(plan.stages)}" for _ in range(list(plan.stages) != [s for s in STAGES if s in plan.stages])]
    )
    if wrong:
        raise PortraitError("E_ABLATION", f"{path}: there is no {wrong[0]}", "Compare it with experiments/ablation/tiny.yaml.")
