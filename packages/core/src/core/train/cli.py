"""One command line for every stage: LightningCLI with this repository's conventions."""

import sys
import warnings
from collections.abc import Sequence
from typing import Any

import yaml
from jsonargparse import set_parsing_settings
from pytorch_lightning import LightningDataModule, LightningModule, Trainer
from pytorch_lightning.cli import LightningCLI, SaveConfigCallback
from safetensors import SafetensorError

from core.allocator import keep_freed_memory
from core.errors import PortraitError
from core.media.files import FULL

set_parsing_settings(docstring_parse_attribute_docstrings=True, omegaconf_absolute_to_relative_paths=True)

HARMLESS = (
    ".*LightningCLI's args parameter.*",  # the launcher passes words on and keeps sys.argv for DDP
    ".*does not have many workers.*",  # two cores
    ".*in eval mode at the start of training.*",  # frozen networks
    ".*no pre-optimization state was saved.*",  # checkpoints are meant to hold the state after the step
    ".*exists and is not empty.*",  # resumed runs
    ".*your dataloader is not resumable.*",  # the sampler is (core.train.order)
)
"""Warnings that say what is intended here."""


class SaveConfig(SaveConfigCallback):
    """Writes the resolved configuration beside the logs and hands it to loggers that show hyper-parameters (W&B)."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Called on rank zero after ``config.yaml`` is written."""
        config = yaml.safe_load(self.parser.dump(self.config, skip_none=False))
        for logger in trainer.loggers:
            logger.log_hyperparams(config)


class StageCLI(LightningCLI):
    """LightningCLI with interpolated YAML, explicit optimisers and a fixed seed.

    ``${model.scale}`` refers to the final value of an option, whichever file or flag set it last.
    """

    def __init__(self, module: type[LightningModule], data: type[LightningDataModule], **kwargs: Any) -> None:
        super().__init__(
            module,
            data,
            auto_configure_optimizers=False,
            seed_everything_default=0,
            save_config_callback=SaveConfig,
            save_config_kwargs={"overwrite": True},
            parser_kwargs={"parser_mode": "omegaconf+"},
            **kwargs,
        )


def run_stage(module: type[LightningModule], data: type[LightningDataModule], args: Sequence[str] | None = None) -> None:
    """Run ``fit``, ``validate``, ``test`` or ``predict`` of one stage.

    Args:
        module: LightningModule class of the stage.
        data: LightningDataModule class of the stage.
        args: command-line arguments; ``sys.argv[1:]`` when None.
    """
    keep_freed_memory()
    for message in HARMLESS:
        warnings.filterwarnings("ignore", message=message)
    try:
        StageCLI(module, data, args=None if args is None else list(args))
    except PortraitError as error:
        sys.exit(f"{error}")
    except (OSError, SafetensorError) as error:
        if not disk_is_full(error):
            raise
        remedy = "The last complete checkpoint and weights folders are kept: make room, then go on with --ckpt_path last."
        sys.exit(f"{PortraitError('E_WRITE', f'the disk is full: {error}', remedy)}")


def disk_is_full(error: Exception) -> bool:
    """Whether a failure to write means that there is no more room, by its number or (safetensors) by its words."""
    return getattr(error, "errno", None) in FULL or "No space left" in str(error)
