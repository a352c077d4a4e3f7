"""Stage 4: speech to expression codes (paper 3.4, Eq. 6; spec 8.3)."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from core.errors import PortraitError
from core.face.expression import mouth_opening
from core.face.model import FaceModel
from core.face.regions import LEFT_EYE, LIPS_INNER, LIPS_OUTER, RIGHT_EYE
from core.hub import Pretrained
from core.train.schedule import Schedule, learning_rate
from jaxtyping import Float
from pytorch_lightning import LightningModule
from torch import Tensor

from audio2motion.config import Audio2MotionConfig
from audio2motion.data import SpeechBatch, require_corpus
from audio2motion.jitter import jitter_features
from audio2motion.losses import (
    LossWeights,
    cyclic_weight,
    expression_loss,
    landmark_loss,
    landmark_metric,
    laplacian_loss,
    lip_loss,
    masked_mean,
    sync_loss,
    viseme_loss,
)
from audio2motion.model import Audio2Motion, Controls
from audio2motion.sync_expert import SyncExpert, motion_of_points
from audio2motion.sync_pairs import pairs_together
from audio2motion.viseme_sorter import VisemeSorter

UPPER_LIDS = (161, 160, 159, 158, 157, 388, 387, 386, 385, 384)
SYNC_WINDOWS = 8
"""Windows per clip and step that the sync expert looks at."""
PAPER_SCHEDULE = Schedule(lr=5e-4, betas=(0.9, 0.999), warmup=1000, factor=0.1, every=250_000, floor=1e-6)


class Audio2MotionModule(LightningModule):
    """Trains `Audio2Motion`; the fingerprint of the face model whose codes it learns goes into the weights' config."""

    def __init__(
        self,
        scale: str = "paper",
        init_from: str | None = None,
        weights: LossWeights = LossWeights(),  # noqa: B008 - frozen
        schedule: Schedule = PAPER_SCHEDULE,
        mouth_amplitude: float | None = None,
        jitter: bool = False,
        seed: int = 0,
        face_model: str = "embedded",
        sync_expert: str | None = None,
        audio_source: str | None = None,
    ) -> None:
        """Options.

        Args:
            scale: preset of the network: debug, tiny, paper, release.
            init_from: folder with ``audio2motion`` weights to start from.
            weights: loss weights.
            schedule: learning rate, warm-up, decay, clipping.
            mouth_amplitude: default amplitude stored with the weights; None: the preset's.
            jitter: vary log-mel features at every step (`audio2motion.jitter`).
            seed: of the latent noise and the jitter.
            face_model: ``embedded``, or a folder with the files of BFM 2009 (docs/faces.md); that of the corpus.
            audio_source: HuBERT weights that the corpus was prepared with, stored with the weights; None: the preset's.
            sync_expert: folder with the weights of a trained `audio2motion.sync_expert.SyncExpert`; needed when ``weights.sync`` is not 0.

        Raises:
            PortraitError: ``E_WEIGHTS`` when ``weights.sync`` is not 0 and there is no ``sync_expert``: a random one teaches nothing.
        """
        super().__init__()
        face = FaceModel.load(face_model)
        config = replace(Audio2MotionConfig.preset(scale), face_model=face.fingerprint)
        if audio_source is not None:
            config = replace(config, audio_source=audio_source)
        if mouth_amplitude is not None:
            config = replace(config, mouth_amplitude=mouth_amplitude)
        if jitter and config.audio != "logmel":
            raise ValueError(f"jitter=true varies log-mel features; scale {scale!r} hears {config.audio}")
        self.net = Audio2Motion(config)
        self.face = face
        self.weights, self.schedule = weights, schedule
        self.init_from, self.jitter, self.seed = init_from, jitter, seed
        if weights.sync and sync_expert is None:
            remedy = "Set model.sync_expert (experiments/audio2motion/syncnet.yaml trains one), or model.weights.sync=0."
            raise PortraitError("E_WEIGHTS", f"weights.sync={weights.sync} needs a trained sync expert and none is given", remedy)
        self.sorter = VisemeSorter(config.cond_width) if weights.viseme else None
        self._expert = (load_expert(sync_expert, self.net.config),) if weights.sync else ()
        metric = landmark_metric(face.exp_basis[face.keypoints468], landmark_weights() * face.matched468)
        self.register_buffer("metric", metric, persistent=False)
        lips = landmark_metric(face.exp_basis[face.keypoints468], lip_weights() * face.matched468)
        self.register_buffer("lip_metric", lips, persistent=False)
        self.register_buffer("basis", face.exp_basis[face.keypoints468], persistent=False)

    def networks(self) -> dict[str, Pretrained]:
        """``audio2motion``, for `core.train.callbacks.ExportWeights`."""
        return {"audio2motion": self.net}

    def setup(self, stage: str) -> None:
        """Read ``init_from`` and see that the corpus belongs to this network.

        Raises:
            PortraitError: ``E_DATA`` when features or face model of the corpus differ or it does not tell what is said although
                ``weights.viseme`` asks for it, ``E_FACE_MODEL`` when those of ``init_from`` do.
        """
        if self.init_from is not None:
            start = Audio2Motion.from_pretrained(Path(self.init_from) / "audio2motion")
            self.face.require(start.config.face_model, f"the weights in {self.init_from}")
            self.net.load_state_dict(start.state_dict())
        require_corpus(self.trainer, self.net.config, visemes=self.sorter is not None)

    def training_step(self, batch: SpeechBatch, index: int) -> Float[Tensor, ""]:
        """Eq. 6 plus the optional terms."""
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + self.global_step) * 1009 + self.global_rank)
        controls = batch.controls
        if self.jitter:
            controls = replace(controls, audio=jitter_features(controls.audio, generator))
        temperature = float(torch.rand((), generator=generator)) * 0.5 if self.weights.prior else None
        made = self.net(batch.exp, controls, generator, temperature)
        losses = self.losses(made.exp, batch.exp, controls.mask)
        losses["kl"] = cyclic_weight(self.global_step, self.weights.kl, self.weights.kl_ramp) * made.kl
        if made.prior_exp is not None:
            sampled = self.losses(made.prior_exp, batch.exp, controls.mask)
            losses["prior"] = self.weights.prior * torch.stack(list(sampled.values())).sum()
        if self.sorter is not None:
            losses["viseme"] = self.weights.viseme * viseme_loss(self.sorter(made.heard), batch.viseme)
        if self._expert:
            losses["sync"] = self.weights.sync * self._out_of_sync(made.exp, batch.controls, generator)
        total = torch.stack(list(losses.values())).sum()
        self.log_dict({f"train/{name}": value.detach() for name, value in losses.items()}, batch_size=len(batch.exp))
        self.log("train/loss", total.detach(), prog_bar=True, batch_size=len(batch.exp))
        return total

    def _out_of_sync(self, exp: Float[Tensor, "b t 64"], controls: Controls, generator: torch.Generator) -> Float[Tensor, ""]:
        """What the frozen expert finds wrong with made motion and the sound that it was made for."""
        (expert,) = self._expert  # in a tuple: it is neither trained nor saved with this module
        pairs = pairs_together(controls.mask, SYNC_WINDOWS, generator)
        agreement = expert.to(exp.device)(motion_of_points(pairs.motion(exp), self.basis), pairs.audio(controls.audio))
        return sync_loss(agreement, pairs.together.to(exp))

    def losses(self, made: Float[Tensor, "b t 64"], true: Float[Tensor, "b t 64"], mask: Float[Tensor, "b t"]) -> dict[str, Tensor]:
        """Weighted terms that compare made with true motion."""
        weights = self.weights
        return {
            "exp": weights.exp * expression_loss(made, true, mask),
            "landmark": weights.landmark * landmark_loss(made, true, mask, self.metric),
            "lips": weights.lips * lip_loss(made, true, mask, self.lip_metric),
            "laplacian": weights.laplacian * laplacian_loss(made, mask),
            "l2": weights.l2 * masked_mean(made.square(), mask),
        }

    def validation_step(self, batch: SpeechBatch, index: int) -> None:
        """Motion from speech alone (temperature 0) against the truth: code error, correlation and closure of the lips."""
        made = self.net.sample(batch.controls, temperature=0.0)
        mask = batch.controls.mask
        self.log("val/exp", expression_loss(made, batch.exp, mask), batch_size=len(made), sync_dist=True)
        real = mask > 0
        face = self.face.to(made.device)
        identity = made.new_zeros(int(real.sum()), 80)
        made_gap, true_gap = (mouth_opening(face, identity, exp[real]) for exp in (made, batch.exp))
        self.log("val/gap_r", torch.corrcoef(torch.stack([made_gap, true_gap]))[0, 1], prog_bar=True, batch_size=len(made), sync_dist=True)
        shut = true_gap < 0.01
        self.log("val/closure", (made_gap[shut] < 0.03).float().mean(), batch_size=len(made), sync_dist=True)

    test_step = validation_step

    def predict_step(self, batch: SpeechBatch, index: int) -> Float[Tensor, "b t 64"]:
        """Most likely motion."""
        return self.net.sample(batch.controls, temperature=0.0)

    def configure_optimizers(self) -> dict[str, Any]:
        """Adam with warm-up and the schedule's decay per step."""
        schedule = self.schedule
        optimizer = torch.optim.Adam(self.parameters(), 1.0, schedule.betas)
        rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate(schedule, step, self._progress(step)))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": rate, "interval": "step"}}

    def configure_gradient_clipping(self, optimizer: Any, gradient_clip_val: Any = None, gradient_clip_algorithm: Any = None) -> None:
        """Clip the norm to ``schedule.clip``."""
        torch.nn.utils.clip_grad_norm_(self.parameters(), self.schedule.clip)

    def _progress(self, step: int) -> float:
        return step / self.trainer.estimated_stepping_batches if self.schedule.decay == "cosine" else 0.0


def landmark_weights() -> Float[Tensor, "468"]:
    """Eyes 3, upper lids 20, lips 5, all else 1 (spec 8.3)."""
    weights = torch.ones(468)
    weights[list(LEFT_EYE + RIGHT_EYE)] = 3.0
    weights[list(UPPER_LIDS)] = 20.0
    weights[list(LIPS_OUTER + LIPS_INNER)] = 5.0
    return weights


def lip_weights() -> Float[Tensor, "468"]:
    """The lips and nothing else, so that the mean over all points is that of the lips."""
    weights, lips = torch.zeros(468), list(LIPS_OUTER + LIPS_INNER)
    weights[lips] = 468 / len(lips)
    return weights


def load_expert(folder: str, config: Audio2MotionConfig) -> SyncExpert:
    """A trained sync expert, frozen.

    Raises:
        PortraitError: ``E_WEIGHTS`` when there is none in ``folder`` or it was trained on other features, ``E_FACE_MODEL`` on another face.
    """
    expert = SyncExpert.from_pretrained(folder).requires_grad_(False)
    found = expert.config
    if (found.audio, found.audio_width, found.audio_rate) != (config.audio, config.audio_width, config.audio_rate):
        raise PortraitError("E_WEIGHTS", f"the sync expert in {folder} hears {found.audio_width}-wide {found.audio}, the network "
                            f"{config.audio_width}-wide {config.audio}", "Train one with the same model.scale.")  # fmt: skip
    if found.face_model != config.face_model:
        raise PortraitError("E_FACE_MODEL", f"the sync expert in {folder} belongs to face model {found.face_model!r}, this run has "
                            f"{config.face_model!r}", "Train one with the same model.face_model.")  # fmt: skip
    return expert
