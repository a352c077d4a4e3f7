"""``real3d-recon fit|validate|test|predict``."""

from collections.abc import Sequence


def main(args: Sequence[str] | None = None) -> None:
    """Run stage 1; ``args`` default to the command line."""
    from core.train.cli import run_stage

    from recon.data import ReconDataModule
    from recon.module import ReconModule

    run_stage(ReconModule, ReconDataModule, args)
