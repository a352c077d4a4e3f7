"""Callbacks of every stage: hand over weights, show pictures."""

import shutil
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from PIL import Image
from pytorch_lightning import Callback, Trainer

from core.hub import Pretrained
from core.train.pictures import contact_sheet
from core.train.stage import StageModule


@runtime_checkable
class HandsOver(Protocol):
    """A LightningModule of any stage that names the networks it hands over."""

    def networks(self) -> dict[str, Pretrained]:
        """Networks by folder name."""


class ExportWeights(Callback):
    """Writes the stage's networks as weights folders after every validation and at the end of ``fit``.

    Each network lands in ``folder/<name>`` (``config.json``, ``model.safetensors``) as a whole: it is written beside and then renamed.
    """

    def __init__(self, folder: str, half: bool = False) -> None:
        """Options.

        Args:
            folder: parent of the weights folders.
            half: store float16 tensors.
        """
        self.folder = Path(folder)
        self.half = half

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: HandsOver) -> None:
        """Export while training, not in the sanity check: at the moment when averaged weights, if any, are in place."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._export(trainer, pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: HandsOver) -> None:
        """Export the final weights, after weight averaging has put its own in place."""
        self._export(trainer, pl_module)

    def _export(self, trainer: Trainer, pl_module: HandsOver) -> None:
        if trainer.is_global_zero:
            for name, network in pl_module.networks().items():
                export_network(network, self.folder / name, self.half)


def export_network(network: Pretrained, folder: Path, half: bool = False) -> None:
    """Write a weights folder; whoever reads it meanwhile sees the old one or the new one, never a mixture.

    If the new one cannot be written, the old one stays and nothing else is left behind.
    """
    fresh, stale = (folder.with_name(f".{folder.name}.{suffix}") for suffix in ("new", "old"))
    for leftover in (fresh, stale):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        (network.save_half if half else network.save_pretrained)(fresh)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    if folder.exists():
        folder.rename(stale)
    fresh.rename(folder)
    shutil.rmtree(stale, ignore_errors=True)


class LogPortraits(Callback):
    """Contact sheet of the first validation batch, and of every ``predict`` batch: one row a person, one column a picture."""

    def __init__(self, rows: int = 4, size: int = 256) -> None:
        """Options.

        Args:
            rows: at most so many people.
            size: side of one picture in pixels.
        """
        self.rows = rows
        self.size = size

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: StageModule, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Write ``portraits/step_N.png`` beside the logs and show it to loggers that take images (W&B)."""
        if batch_idx or trainer.sanity_checking:
            return
        folder = _pictures(trainer)
        if not trainer.is_global_zero:
            return
        with torch.no_grad():
            sheet = contact_sheet(pl_module.portraits(batch), self.rows, self.size)
        _save(sheet, folder / f"step_{trainer.global_step:07d}.png")
        for logger in trainer.loggers:
            if hasattr(logger, "log_image"):
                logger.log_image(key="portraits", images=[sheet], step=trainer.global_step)

    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: StageModule, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Write ``portraits/predict_R_N.png`` for batch N of rank R."""
        _save(contact_sheet(outputs, self.rows, self.size), _pictures(trainer) / f"predict_{trainer.global_rank}_{batch_idx:04d}.png")


def _pictures(trainer: Trainer) -> Path:
    """Folder of the contact sheets. Every rank has to ask: ``log_dir`` is a broadcast, and a rank that asks alone waits for ever."""
    return Path(trainer.log_dir or trainer.default_root_dir) / "portraits"


def _save(sheet: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(path)
