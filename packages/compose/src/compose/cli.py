"""``real3d-compose fit|validate|test|predict``."""

from collections.abc import Sequence


def main(args: Sequence[str] | None = None) -> None:
    """Run stage 3; ``args`` default to the command line."""
    from core.train.cli import run_stage

    from compose.data import ComposeDataModule
    from compose.module import ComposeModule

    run_stage(ComposeModule, ComposeDataModule, args)
