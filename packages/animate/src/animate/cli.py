"""``real3d-animate fit|validate|test|predict``."""

from collections.abc import Sequence


def main(args: Sequence[str] | None = None) -> None:
    """Run stage 2; ``args`` default to the command line."""
    from core.train.cli import run_stage

    from animate.data import AnimateDataModule
    from animate.module import AnimateModule

    run_stage(AnimateModule, AnimateDataModule, args)
