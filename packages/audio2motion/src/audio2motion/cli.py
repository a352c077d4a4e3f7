"""Command line of stage 4: ``real3d-audio2motion [syncnet] fit|validate|test|predict``."""

import sys
from collections.abc import Sequence


def main(args: Sequence[str] | None = None) -> None:
    """Train or evaluate `Audio2Motion`, or its sync expert after the word ``syncnet``; options: ``experiments/audio2motion/*.yaml``."""
    from core.train.cli import run_stage

    from audio2motion.data import Audio2MotionDataModule

    words = list(sys.argv[1:] if args is None else args)
    if words[:1] == ["syncnet"]:
        from audio2motion.sync_module import SyncModule

        run_stage(SyncModule, Audio2MotionDataModule, words[1:])
    else:
        from audio2motion.module import Audio2MotionModule

        run_stage(Audio2MotionModule, Audio2MotionDataModule, args)
