"""Stage 2: a motion adapter moves the canonical tri-plane; I2P and renderer are fine-tuned (paper 3.2, Eq. 3 and 4)."""

from dataclasses import replace
from pathlib import Path

import torch
from core.camera import Window
from core.data.clips import FrameBatch, PairBatch
from core.face.model import FaceModel
from core.hub import Pretrained
from core.losses.perceptual import build_perceptual
from core.losses.regularizers import density_total_variation
from core.nn.discriminator import DualDiscriminatorConfig
from core.train.adversary import Adversary, AdversaryOptions, Judged, Views
from core.train.data import require_clips
from core.train.effort import Effort
from core.train.pictures import depth_picture
from core.train.schedule import Group, Schedule
from core.train.scores import psnr
from core.train.stage import Outcome, StageModule, load_network
from core.train.windows import draw_window
from jaxtyping import Float
from recon.config import HeadRendererConfig, I2PConfig
from recon.model import I2P
from recon.objective import HeadTarget
from recon.renderer import HeadRenderer
from torch import Tensor, nn
from torch.nn import functional as F

from animate.avatar import HeadAvatar
from animate.config import MotionAdapterConfig
from animate.model import MotionAdapter
from animate.motion import PNCCs, draw_pnccs
from animate.objective import AnimateWeights, animate_losses, expressive_interest
from animate.steadiness import Steadiness, SteadinessOptions


class AnimateModule(StageModule):
    """Trains ``MotionAdapter`` and fine-tunes ``I2P`` and ``HeadRenderer``; ``trainer.max_steps`` counts generator updates."""

    def __init__(
        self,
        scale: str = "paper",
        init_from: str | None = None,
        window: int | None = None,
        weights: AnimateWeights = AnimateWeights(),  # noqa: B008 - frozen
        steadiness: SteadinessOptions = SteadinessOptions(),  # noqa: B008 - frozen
        schedule: Schedule = Schedule(floor=5e-6),  # noqa: B008 - frozen
        adversary: AdversaryOptions = AdversaryOptions(),  # noqa: B008 - frozen
        vgg: str | None = None,
        finetune: float = 1.0,
        finetune_start: int = 6000,
        finetune_stop: int | None = 70000,
        finetune_ramp: int = 270000,
        superres_start: int = 30000,
        source_every: int = 16,
        seed: int = 0,
        focus: float = 4.0,
        face_model: str = "embedded",
        effort: Effort = Effort(),  # noqa: B008 - frozen
    ) -> None:
        """Options.

        Args:
            scale: preset of the networks: debug, tiny, paper (= 87M), 40M, 200M.
            init_from: weights folder of stage 1 (``i2p``, ``renderer``), or of this stage (also ``adapter``).
            window: train on a random square window of so many raw pixels, drawn towards head, mouth and eyes; None: whole image.
            weights: loss weights.
            steadiness: temporal term (Eq. 4) and linearity of blinks.
            schedule: learning rate, warm-up, decay.
            adversary: GAN step; off with weight 0.
            vgg: folder with VGG weights for the perceptual terms.
            finetune: factor on the learning rate of I2P; 0 freezes it.
            finetune_start: first step at which I2P and the volume decoder learn.
            finetune_stop: first step at which I2P no longer learns; None: never.
            finetune_ramp: I2P's learning rate rises linearly from step 0 until this one; 0: it has its full rate at once.
            superres_start: first step at which the super-resolution learns.
            source_every: the source frame is its own target every so many steps (keeps the identity); 0: never.
            seed: of windows and ray jitter.
            focus: how much more often a window looks at mouth and eyes than elsewhere on the head.
            face_model: ``embedded``, or a folder with the files of BFM 2009 (docs/faces.md); that with which the clips were fitted.
            effort: gradient accumulation and compilation.
        """
        renderer = HeadRendererConfig.preset(scale if scale in ("debug", "tiny") else "paper")
        gan = None
        if adversary.weight:
            gan = Adversary(adversary, DualDiscriminatorConfig(image_size=renderer.image_size, raw_size=renderer.raw_size))
        super().__init__(schedule, gan, init_from, seed, effort)
        if window is not None and gan is not None:
            raise ValueError("the discriminator judges whole images: use window=None or adversary.weight=0")
        self.face = FaceModel.load(face_model)
        adapter = MotionAdapterConfig.preset(scale if scale in ("debug", "tiny") else "paper")
        adapter = MotionAdapter(replace(adapter, face_model=self.face.fingerprint))
        self.avatar = HeadAvatar(I2P(I2PConfig.preset(scale)), adapter, HeadRenderer(renderer))
        self.perceptual = build_perceptual(vgg) if weights.perceptual else None
        self.weights = weights
        self.steadiness = Steadiness(steadiness)
        self.window = window
        self.finetune, self.finetune_start, self.finetune_stop, self.finetune_ramp = finetune, finetune_start, finetune_stop, finetune_ramp
        self.superres_start = superres_start
        self.source_every = source_every
        self.focus = focus

    def networks(self) -> dict[str, Pretrained]:
        """``i2p``, ``adapter`` and ``renderer``."""
        return {"i2p": self.avatar.i2p, "adapter": self.avatar.adapter, "renderer": self.avatar.renderer}

    def setup(self, stage: str) -> None:
        """Besides, see that the clips belong to the face model."""
        super().setup(stage)
        require_clips(self.trainer, self.face)

    def load(self, folder: Path) -> None:
        """Stage 1 has no adapter yet, and may have ended on smaller renderings; a folder of this stage has all."""
        for name, network in self.networks().items():
            if name != "adapter" or (folder / name).is_dir():
                load_network(network, folder / name, ignore=("raw_size",) if name == "renderer" else ())

    def frozen(self) -> list[nn.Module]:
        """I2P when it is not fine-tuned."""
        return [self.avatar.i2p] if self.finetune == 0 else []

    def groups(self) -> list[Group]:
        """Adapter from the start; the others when their time comes (spec 9.2)."""
        renderer = self.avatar.renderer
        i2p = Group("i2p", self.avatar.i2p, self.finetune, self.finetune_start, self.finetune_stop, self.finetune_ramp)
        return [
            Group("adapter", self.avatar.adapter),
            *([i2p] if self.finetune else []),
            Group("volume", renderer.volume, start=self.finetune_start),
            Group("superres", renderer.superres, start=self.superres_start),
        ]

    def objective(self, batch: PairBatch) -> Outcome:
        """Eq. 3, with Eq. 4, the blinks and the density term at their intervals."""
        generator, pair = self.randomness(), batch
        if self.source_every and self.global_step % self.source_every == 0:
            batch = replace(batch, target=batch.source)
        pnccs = self._pnccs(batch)
        diff = self.avatar.adapter(pnccs.src, pnccs.drv, pnccs.cano)
        planes = self.avatar.canonical(batch.source.head, batch.source.camera) + diff
        window = self._window(batch.target, generator)
        rendering = self.avatar.renderer(planes, batch.target.camera, window=window, generator=generator)
        target = HeadTarget.of(batch.target, self._raw_size, window)
        keypoints = batch.target.keypoints if window is None else None
        losses = animate_losses(rendering, target, keypoints, self.weights, self.perceptual)
        if self.weights.density and self.global_step % self.weights.density_every == 0:
            volume = self.avatar.renderer.volume
            tv = density_total_variation(volume, planes, volume.config.box, generator)
            losses["density"] = self.weights.density * tv
        if self.steadiness.due(self.global_step):
            losses |= self.steadiness.losses(self.avatar.adapter, self.face, pair, pnccs, generator, self._mean)
            self.log_dict({f"train/{name}_weight": value for name, value in self.steadiness.weights().items()})
        camera = batch.target.camera
        fake, real = Views(rendering.image, rendering.raw, camera), Views(target.image, target.raw, camera)
        return Outcome(losses, (Judged(fake, real),))

    def scores(self, batch: PairBatch) -> dict[str, Float[Tensor, " b"]]:
        """PSNR of unseen people with unseen expressions, also around the mouth; figures to beat: source copied, no motion."""
        target = HeadTarget.of(batch.target, self._raw_size)
        source = HeadTarget.of(batch.source, self._raw_size)
        pnccs = self._pnccs(batch)
        canonical = self.avatar.canonical(batch.source.head, batch.source.camera)
        moved = self.avatar.animate(canonical, pnccs.src, pnccs.drv, pnccs.cano)
        still = self.avatar.animate(canonical, pnccs.src, pnccs.src, pnccs.cano)
        rendering = self.avatar.renderer(moved, batch.target.camera)
        unmoved = self.avatar.renderer.render_raw(still, batch.target.camera)
        return {
            "psnr_raw": psnr(rendering.raw, target.raw),
            "psnr": psnr(rendering.image, target.image),
            "psnr_raw_still": psnr(unmoved.feature[:, :3], target.raw),
            "psnr_raw_copied": psnr(source.raw, target.raw),
            "psnr_copied": psnr(source.image, target.image),
        }

    def portraits(self, batch: PairBatch) -> dict[str, Float[Tensor, "b _ _ _"]]:
        """Source, driving PNCC, raw rendering, depth, result, target."""
        pnccs = self._pnccs(batch)
        planes = self.avatar.animate(self.avatar.canonical(batch.source.head, batch.source.camera), pnccs.src, pnccs.drv, pnccs.cano)
        rendering = self.avatar.renderer(planes, batch.target.camera)
        return {
            "source": batch.source.head,
            "pncc": pnccs.drv,
            "raw": rendering.raw,
            "depth": depth_picture(rendering.depth, rendering.weights),
            "result": rendering.image,
            "target": batch.target.head,
        }

    @property
    def _raw_size(self) -> int:
        return self.avatar.renderer.config.raw_size

    def _mean(self, value: Tensor) -> Tensor:
        """Mean over all ranks."""
        return self.trainer.strategy.reduce(value, reduce_op="mean")

    def _pnccs(self, batch: PairBatch) -> PNCCs:
        return draw_pnccs(self.face, batch, self.avatar.adapter.config.image_size)

    def _window(self, frame: FrameBatch, generator: torch.Generator) -> Window | None:
        if self.window is None:
            return None
        mask = F.avg_pool2d(frame.head_mask, frame.head_mask.shape[-1] // self._raw_size)
        return draw_window(expressive_interest(mask, frame.keypoints, self.focus), self.window, generator)
