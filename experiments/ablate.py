"""``python -m experiments.ablate PLAN``: train and score the rows of a table of ablations, here or as a W&B sweep.

The plans are ``experiments/ablation/*.yaml``. What rows have in common is trained once; what is done is not done again, and a stopped
training goes on with the same command. The table stands in ``OUT/table.md`` (also ``.csv``, ``.json``, ``.tex``), the videos behind it in
``OUT/report``.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from core.errors import PortraitError
from tqdm import tqdm

from experiments.ablation.plan import STAGES, Plan, read_plan
from experiments.ablation.scoring import Clips, score_row
from experiments.ablation.sweep import log_row, sweep
from experiments.ablation.table import write_tables
from experiments.ablation.training import Run, Workplace, describe, limited, run_lightning, train


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text} is not NAME=VALUE")
    return name, value


def _length(text: str) -> tuple[str, int]:
    stage, value = _pair(text)
    if stage not in STAGES or not value.isdigit() or int(value) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not STAGE=NUMBER with a stage of {', '.join(STAGES)}")
    return stage, int(value)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m experiments.ablate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("plan", type=Path, help="YAML file, as experiments/ablation/tiny.yaml")
    p.add_argument(
        "--data", type=Path, metavar="FOLDER", help="has videos/ of people that no training saw (tools/film_people.py makes some)"
    )
    p.add_argument("--out", type=Path, metavar="FOLDER", help="results (default: runs/ablation-PLAN)")
    p.add_argument("--row", action="append", metavar="NAME", help="only this row; may be repeated (default: all)")
    p.add_argument("--steps", action="append", type=_length, default=[], metavar="STAGE=N", help="updates of a stage; may be repeated")
    p.add_argument("--minutes", action="append", type=_length, default=[], metavar="STAGE=N", help="time of a stage; may be repeated")
    p.add_argument("--start", metavar="WEIGHTS", help="name or folder of the weights to start from (default: as the plan says)")
    p.add_argument("--set", action="append", type=_pair, default=[], metavar="OPTION=VALUE",
                   help="option for every training, such as data.root=STORE; may be repeated")  # fmt: skip
    p.add_argument("-c", "--config", action="append", default=[], metavar="FILE", help="YAML for every training, above all others")
    p.add_argument("--frames", type=int, metavar="N", help="frames of every clip to score (default: all)")
    p.add_argument("--limit", type=int, metavar="N", help="clips to score (default: all)")
    p.add_argument("--metric-weights", type=Path, metavar="FOLDER", help="networks of LPIPS, FID, CSIM (default: torch's cache)")
    p.add_argument("--device", default="auto", help="for scoring: auto, cpu or cuda (default: auto)")
    p.add_argument("--dry-run", action="store_true", help="say which commands would run, and run none")
    p.add_argument("--sweep", action="store_true", help="print the same as a W&B sweep, one run per row")
    p.add_argument("--wandb", action="store_true", help="hand the figures of every row to Weights & Biases")
    return p


def main(words: Sequence[str] | None = None, run: Run = run_lightning) -> int:
    """Do what the command line says; returns the exit status.

    Args:
        words: without the program's name; ``sys.argv[1:]`` when None.
        run: carries out the words of a ``lightning`` command.
    """
    words = list(sys.argv[1:] if words is None else words)
    options = parser().parse_args(words)
    try:
        whole = _plan(options)
        wanted = _plan(options, options.row)
        if options.sweep:
            print(yaml.safe_dump(sweep(wanted, options.plan, _without_rows(words, options)), sort_keys=False), end="")
            return 0
        place = Workplace((options.out or Path("runs") / f"ablation-{options.plan.stem}").absolute(), whole.start,
                          tuple(options.config), tuple(options.set))  # fmt: skip
        if options.dry_run:
            chains = whole.trainings()
            print(*describe({name: chains[name] for name in wanted.rows}, place), sep="\n")
            return 0
        _carry_out(whole, wanted, place, options, run)
    except PortraitError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("E_INTERRUPTED: stopped; start the same command again to go on", file=sys.stderr)
        return 130
    return 0


def _without_rows(words: list[str], options: argparse.Namespace) -> list[str]:
    """What a sweep's agents are told: the same, but for the rows."""
    kept = [word for word in words if word != "--sweep" and Path(word) != options.plan]
    for row in options.row or ():
        kept = [w for w in kept if w != f"--row={row}"]
        if row in kept:
            del kept[kept.index(row) - 1 : kept.index(row) + 1]
    return kept


def _plan(options: argparse.Namespace, rows: list[str] | None = None) -> Plan:
    """The plan as the command line changes it. Trainings are named by the whole plan, whichever rows are wanted."""
    plan = read_plan(options.plan, rows)
    steps, minutes = dict(options.steps), dict(options.minutes)
    stages = {name: limited(stage, steps.get(name), minutes.get(name)) for name, stage in plan.stages.items()}
    return replace(plan, stages=stages, start=options.start or plan.start)


def _carry_out(whole: Plan, wanted: Plan, place: Workplace, options: argparse.Namespace, run: Run) -> None:
    """Train and score, row by row; the table is written anew after each."""
    clips, tools = None, None
    if wanted.protocols:
        if options.data is None:
            raise PortraitError("E_ABLATION", "there are no clips to score", "Give --data FOLDER; tools/film_people.py makes one.")
        clips, tools = Clips(options.data, options.frames, options.limit), _tools(options)
    chains = whole.trainings()
    for name, row in tqdm(wanted.rows.items(), desc=wanted.title, unit="row", file=sys.stderr, dynamic_ncols=True):
        for training in chains[name]:
            train(training, place, run)
        result = score_row(whole, row, chains[name], place, clips, tools)
        result.save(place.out)
        if options.wandb:
            log_row(whole.title, result)
        text = write_tables(whole, place.out)
    print(text, *(tools.backbones.absent if tools else ()), sep="\n")


def _tools(options: argparse.Namespace) -> Any:
    from core.face.model import FaceModel
    from core.metrics.backbones import load_backbones
    from portrait.evaluate.trace import Tools
    from portrait.networks import choose_device

    device = choose_device(options.device)
    return Tools(FaceModel.embedded(), load_backbones(options.metric_weights, device), device)


if __name__ == "__main__":
    sys.exit(main())
