"""Trains the sync expert that `Audio2MotionModule` can listen to: ``lightning run audio2motion syncnet fit ...`` (spec 8.3)."""

from typing import Any

import torch
from core.face.model import FaceModel
from core.hub import Pretrained
from core.train.schedule import Schedule, learning_rate
from jaxtyping import Float
from pytorch_lightning import LightningModule
from torch import Tensor

from audio2motion.data import SpeechBatch, require_corpus
from audio2motion.losses import sync_loss
from audio2motion.sync_expert import SyncExpert, SyncExpertConfig, motion_of_points
from audio2motion.sync_pairs import mixed_pairs

RELEASED_SCHEDULE = Schedule(lr=1e-3, betas=(0.9, 0.999), warmup=0, factor=0.98, every=5000, floor=5e-5)


class SyncModule(LightningModule):
    """Binary cross-entropy on pairs that belong together or do not."""

    def __init__(
        self,
        scale: str = "paper",
        schedule: Schedule = RELEASED_SCHEDULE,
        windows: int = 8,
        seed: int = 0,
        face_model: str = "embedded",
    ) -> None:
        """Options.

        Args:
            scale: preset of the `Audio2Motion` that the expert is for: debug, tiny, paper, release.
            schedule: learning rate, warm-up, decay, clipping.
            windows: pairs per clip and step.
            seed: of the pairs.
            face_model: ``embedded``, or a folder with the files of BFM 2009 (docs/faces.md); that of the corpus.
        """
        super().__init__()
        face = FaceModel.load(face_model)
        self.net = SyncExpert(SyncExpertConfig.preset(scale, face.fingerprint))
        self.schedule, self.windows, self.seed = schedule, windows, seed
        self.register_buffer("basis", face.exp_basis[face.keypoints468], persistent=False)

    def networks(self) -> dict[str, Pretrained]:
        """``syncnet``, for `core.train.callbacks.ExportWeights`."""
        return {"syncnet": self.net}

    def setup(self, stage: str) -> None:
        """See that the corpus belongs to this network.

        Raises:
            PortraitError: ``E_DATA`` when its features or face model are others.
        """
        require_corpus(self.trainer, self.net.config)

    def training_step(self, batch: SpeechBatch, index: int) -> Float[Tensor, ""]:
        """Loss of the step's own pairs."""
        loss, _ = self._judge(batch, (self.seed * 1_000_003 + self.global_step) * 1009 + self.global_rank)
        self.log("train/loss", loss.detach(), prog_bar=True, batch_size=len(batch.exp))
        return loss

    def validation_step(self, batch: SpeechBatch, index: int) -> None:
        """Loss, and the share of pairs that are judged rightly, on pairs that are the same each time; 0.6 is guessing."""
        loss, right = self._judge(batch, index)
        self.log("val/loss", loss, batch_size=len(batch.exp), sync_dist=True)
        self.log("val/right", right, prog_bar=True, batch_size=len(batch.exp), sync_dist=True)

    test_step = validation_step

    def configure_optimizers(self) -> dict[str, Any]:
        """Adam with the schedule's decay per step."""
        schedule = self.schedule
        optimizer = torch.optim.Adam(self.net.parameters(), 1.0, schedule.betas)
        rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate(schedule, step, 0.0))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": rate, "interval": "step"}}

    def configure_gradient_clipping(self, optimizer: Any, gradient_clip_val: Any = None, gradient_clip_algorithm: Any = None) -> None:
        """Clip the norm to ``schedule.clip``."""
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.schedule.clip)

    def _judge(self, batch: SpeechBatch, seed: int) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        pairs = mixed_pairs(batch.controls.mask, self.windows, torch.Generator().manual_seed(seed))
        points = motion_of_points(pairs.motion(batch.exp), self.basis)
        agreement = self.net(points, pairs.audio(batch.controls.audio))
        together = pairs.together.to(agreement)
        return sync_loss(agreement, together), ((agreement > 0.5) == (together > 0.5)).float().mean()
