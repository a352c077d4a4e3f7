"""Command line of stage 4: ``real3d-audio2motion fit|validate|test|predict``."""

from collections.abc import Sequence


def main(args: Sequence[str] | None = None) -> None:
    """Train or evaluate `Audio2Motion`; options as in ``experiments/audio2motion/*.yaml``."""
    from core.train.cli import run_stage

    from audio2motion.data import Audio2MotionDataModule
    from audio2motion.module import Audio2MotionModule

    run_stage(Audio2MotionModule, Audio2MotionDataModule, args)
