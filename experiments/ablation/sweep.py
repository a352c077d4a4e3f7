"""A table as a Weights & Biases sweep: every agent carries out one row; trainings that rows share are done once per machine."""

from pathlib import Path
from typing import Any

from experiments.ablation.plan import ROOT, Plan
from experiments.ablation.scoring import RowResult
from experiments.ablation.table import SHORT


def sweep(plan: Plan, path: Path, words: list[str]) -> dict[str, Any]:
    """The sweep's description, for ``wandb sweep``.

    Args:
        plan: the table.
        path: its file.
        words: options that every agent is to use.
    """
    inside = path.resolve().is_relative_to(ROOT.parent)
    file = str(path.resolve().relative_to(ROOT.parent)) if inside else str(path.resolve())
    goal = f"{SHORT[plan.protocols[-1]]}/aed" if plan.protocols else f"{list(plan.stages)[-1]}/psnr"
    return {
        "name": plan.title,
        "method": "grid",
        "metric": {"name": goal, "goal": "minimize" if plan.protocols else "maximize"},
        "parameters": {"row": {"values": list(plan.rows)}},
        "command": ["${env}", "${interpreter}", "-m", "experiments.ablate", file, *words, "--wandb", "${args}"],
    }


def log_row(title: str, result: RowResult) -> None:
    """Hand the figures of a row to Weights & Biases."""
    import wandb

    figures = {f"{SHORT[protocol]}/{key}": cell.mean for protocol, cells in result.cells.items() for key, cell in cells.items()}
    figures |= {f"{stage}/{name}": value for stage, scores in result.validation.items() for name, value in scores.items()}
    with wandb.init(project="real3d-portrait", name=result.name, group=title, config={"row": result.name}) as run:
        run.summary.update(figures)
