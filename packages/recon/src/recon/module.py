"""Stage 1: one head image to a canonical tri-plane, learnt from heads seen from several sides (paper 3.1, Eq. 7)."""

from dataclasses import replace
from pathlib import Path

import torch
from core.hub import Pretrained
from core.losses.perceptual import build_perceptual
from core.losses.regularizers import density_total_variation, resize_planes
from core.metrics.backbones import load_backbones
from core.nn.discriminator import DualDiscriminatorConfig
from core.train.adversary import Adversary, AdversaryOptions, Judged, Views
from core.train.effort import Effort
from core.train.pictures import depth_picture
from core.train.schedule import Group, Schedule
from core.train.stage import Outcome, StageModule, load_network
from core.train.windows import draw_window
from jaxtyping import Float
from torch import Tensor

from recon.config import RENDERER_OF, HeadRendererConfig, I2PConfig
from recon.inheritance import inherit
from recon.model import I2P
from recon.objective import HeadTarget, ReconWeights, head_losses
from recon.renderer import HeadRenderer
from recon.scores import view_scores
from recon.tint import tinted
from recon.views import HeadView, ViewBatch


class ReconModule(StageModule):
    """Trains ``I2P`` and ``HeadRenderer``; ``trainer.max_steps`` counts generator updates.

    The planes of the source are computed once and seen by the cameras of the targets, now and then also by the source's own camera (too
    much of that makes flat heads). All views of a step share one update.
    """

    def __init__(
        self,
        scale: str = "paper",
        init_from: str | None = None,
        window: int | None = None,
        weights: ReconWeights = ReconWeights(),  # noqa: B008 - frozen
        schedule: Schedule = Schedule(),  # noqa: B008 - frozen
        adversary: AdversaryOptions = AdversaryOptions(),  # noqa: B008 - frozen
        vgg: str | None = None,
        decoder_start: int = 2000,
        superres_start: int = 30000,
        source_view_every: int = 5,
        source_view_half: int = 30000,
        source_view_always: int = 35000,
        plane_resize: float = 0.5,
        seed: int = 0,
        input_size: int | None = None,
        raw_size: int | None = None,
        tint: float = 0.0,
        teacher_start: str | None = None,
        metric_weights: str | None = None,
        effort: Effort = Effort(),  # noqa: B008 - frozen
    ) -> None:
        """Options.

        Args:
            scale: preset of the networks: debug, tiny (tiny_half, tiny_double), paper (= 87M), 40M, 200M.
            init_from: weights folder with ``i2p`` and ``renderer`` to start from.
            window: train on a random square window of so many raw pixels, drawn towards the head; None: on the whole image.
            weights: loss weights.
            schedule: learning rate, warm-up, decay.
            adversary: GAN step; off with weight 0.
            vgg: folder with VGG weights for the perceptual term.
            decoder_start: first step at which the volume decoder learns.
            superres_start: first step at which the super-resolution learns.
            source_view_every: also supervise the source's own view every so many steps at first; 0: never.
            source_view_half: first step from which every other step does.
            source_view_always: first step from which every step does.
            plane_resize: planes are resampled to a random side between so much of theirs and theirs (spec 3.3); 1: never.
            seed: of windows and ray jitter.
            input_size: side of I2P's input instead of the preset's; I2P is convolutional, so a cheap first part of the training may
                run on smaller images and planes.
            raw_size: side of the raw rendering instead of the preset's (the data's size is four times that), for the same reason.
            tint: how far the colours of a person, all views alike, are changed at random (``recon.tint``); 0: not at all.
            teacher_start: EG3D pickle whose decoder, super-resolution and discriminator the student begins with; ``init_from`` goes first.
            metric_weights: folder with the weights of metrics (docs/metrics.md): validation then also gives LPIPS.
            effort: gradient accumulation and compilation.
        """
        renderer = HeadRendererConfig.preset(RENDERER_OF.get(scale, "paper"))
        if raw_size is not None:
            renderer = replace(renderer, raw_size=raw_size)
        gan = None
        if adversary.weight:
            gan = Adversary(adversary, DualDiscriminatorConfig(image_size=renderer.image_size, raw_size=renderer.raw_size))
        super().__init__(schedule, gan, init_from, seed, effort)
        if window is not None and gan is not None:
            raise ValueError("the discriminator judges whole images: use window=None or adversary.weight=0")
        config = I2PConfig.preset(scale)
        self.i2p = I2P(config if input_size is None else replace(config, image_size=input_size))
        self.renderer = HeadRenderer(renderer)
        self.perceptual = build_perceptual(vgg) if weights.perceptual else None
        self.lpips = load_backbones(metric_weights).lpips if metric_weights is not None else None
        self.weights = weights
        self.window = window
        self.decoder_start, self.superres_start = decoder_start, superres_start
        self.source_view_every, self.source_view_half, self.source_view_always = source_view_every, source_view_half, source_view_always
        self.plane_resize, self.tint, self.teacher_start = plane_resize, tint, teacher_start

    def networks(self) -> dict[str, Pretrained]:
        """``i2p`` and ``renderer``."""
        return {"i2p": self.i2p, "renderer": self.renderer}

    def setup(self, stage: str) -> None:
        """Begin with the teacher's networks, if so asked; ``init_from`` and then a checkpoint replace them."""
        if self.teacher_start is not None and stage == "fit":
            inherit(self.renderer, None if self.adversary is None else self.adversary.discriminator, self.teacher_start)
        super().setup(stage)

    def load(self, folder: Path) -> None:
        """Start from the weights in ``folder``; they may have been trained at other sizes."""
        load_network(self.i2p, folder / "i2p", ignore=("image_size",))
        load_network(self.renderer, folder / "renderer", ignore=("raw_size",))

    def groups(self) -> list[Group]:
        """I2P from the start; decoder and super-resolution when their time comes (spec 9.1)."""
        return [
            Group("i2p", self.i2p),
            Group("volume", self.renderer.volume, start=self.decoder_start),
            Group("superres", self.renderer.superres, start=self.superres_start),
        ]

    def sees_source(self, step: int) -> bool:
        """Whether the source's own view is supervised at this step: rarely at first, then every other time, then always (spec 9.1)."""
        if not self.source_view_every:
            return False
        every = 1 if step >= self.source_view_always else 2 if step >= self.source_view_half else self.source_view_every
        return step % every == 0

    def objective(self, batch: ViewBatch) -> Outcome:
        """Eq. 7 over the target views and, now and then, the source view."""
        generator = self.randomness()
        batch = tinted(batch, self.tint, generator)
        planes = self.i2p(batch.source.head, batch.source.camera)
        seen = planes if self.plane_resize >= 1 else resize_planes(planes, generator, self.plane_resize)
        views = [(view, self.weights.novel_adversarial) for view in batch.targets]
        if self.sees_source(self.global_step):
            views.append((batch.source, 1.0))
        losses: dict[str, Tensor] = {}
        judged = []
        for view, share in views:
            terms, fake, real = self._view(seen, view, generator)
            losses |= {name: losses.get(name, 0.0) + value / len(views) for name, value in terms.items()}
            judged.append(Judged(fake, real, share))
        if self.weights.density and self.global_step % self.weights.density_every == 0:
            volume = self.renderer.volume
            tv = density_total_variation(volume, planes, volume.config.box, generator)
            losses["density"] = self.weights.density * self.weights.density_every * tv
        return Outcome(losses, tuple(judged))

    def _view(self, planes: Tensor, view: HeadView, generator: torch.Generator) -> tuple[dict[str, Tensor], Views, Views]:
        raw_size = self.renderer.config.raw_size
        window = None
        if self.window is not None:
            mask = torch.nn.functional.avg_pool2d(view.head_mask, view.head_mask.shape[-1] // raw_size)
            window = draw_window(mask + 0.1, self.window, generator)
        finish = bool(self.weights.image or self.weights.gradient or self.weights.perceptual or self.adversary)
        rendering = self.renderer(planes, view.camera, window=window, generator=generator, finish=finish)
        target = HeadTarget.of(view, raw_size, window)
        terms = head_losses(rendering, target, self.weights, self.perceptual)
        return terms, Views(rendering.image, rendering.raw, view.camera), Views(target.image, target.raw, view.camera)

    def scores(self, batch: ViewBatch) -> dict[str, Float[Tensor, " b"]]:
        """Unseen people from unseen sides (``recon.scores``), and the source view copied: the figures to beat."""
        rendering = self.renderer(self.i2p(batch.source.head, batch.source.camera), batch.targets[0].camera)
        return view_scores(rendering, batch.source, batch.targets[0], self.lpips)

    def portraits(self, batch: ViewBatch) -> dict[str, Float[Tensor, "b _ _ _"]]:
        """Source, raw rendering, depth, result, target."""
        rendering = self.renderer(self.i2p(batch.source.head, batch.source.camera), batch.targets[0].camera)
        return {
            "source": batch.source.head,
            "raw": rendering.raw,
            "depth": depth_picture(rendering.depth, rendering.weights),
            "result": rendering.image,
            "target": batch.targets[0].head,
        }
