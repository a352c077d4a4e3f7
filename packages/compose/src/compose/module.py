"""Stage 3: head, torso and background become one picture; everything before is frozen (paper 3.3)."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from animate.avatar import HeadAvatar
from animate.config import MotionAdapterConfig
from animate.model import MotionAdapter
from animate.motion import draw_pnccs
from core.data.clips import PairBatch
from core.face.model import FaceModel
from core.face.torso_points import followed_keypoints
from core.hub import Pretrained
from core.losses.perceptual import build_perceptual
from core.nn.discriminator import DualDiscriminatorConfig
from core.render.volume import Rendering
from core.train.adversary import Adversary, AdversaryOptions, Judged, Views
from core.train.data import require_clips
from core.train.effort import Effort
from core.train.pictures import depth_picture
from core.train.schedule import Group, Schedule
from core.train.scores import psnr
from core.train.stage import Outcome, StageModule, load_network
from jaxtyping import Float
from pytorch_lightning.utilities import rank_zero_info
from recon.config import HeadRendererConfig, I2PConfig
from recon.model import I2P
from recon.renderer import HeadRenderer
from torch import Tensor, nn
from torch.nn import functional as F

from compose.config import HTBSRConfig
from compose.keypoints import equivariance
from compose.lookback import LookBack, head_surface, look_back
from compose.model import HTBSR, Composite
from compose.mouth_layer import mouth_of, with_mouths
from compose.objective import ComposeWeights, compose_losses
from compose.recolour import recoloured
from compose.warping import resize


class ComposeModule(StageModule):
    """Trains ``HTBSR`` on whole pictures; ``trainer.max_steps`` counts generator updates."""

    def __init__(
        self,
        scale: str = "paper",
        init_from: str | None = None,
        weights: ComposeWeights = ComposeWeights(),  # noqa: B008 - frozen
        schedule: Schedule = Schedule(lr=1e-5, factor=0.5, every=50000, floor=1e-6),  # noqa: B008 - frozen
        adversary: AdversaryOptions = AdversaryOptions(),  # noqa: B008 - frozen
        vgg: str | None = None,
        fuse: Literal["v1", "v2", "concat"] | None = None,
        keypoint_source: Literal["face", "learned"] = "face",
        inpaint: bool = True,
        source_every: int = 4,
        recolour: float = 0.0,
        seed: int = 0,
        face_model: str = "embedded",
        effort: Effort = Effort(),  # noqa: B008 - frozen
    ) -> None:
        """Options.

        Args:
            scale: preset of the networks: debug, tiny, paper (= 87M), 40M, 200M.
            init_from: weights folder of stage 2 (``i2p``, ``adapter``, ``renderer``), or one that also holds ``htbsr`` to go on with.
            weights: loss weights.
            schedule: learning rate, warm-up, decay.
            adversary: GAN step; off with weight 0.
            vgg: folder with VGG weights for the perceptual terms.
            fuse: how the layers meet; None: as the preset says.
            keypoint_source: what drives the torso: key points of the 3DMM, or such as a network finds by itself (an ablation).
            inpaint: feed the background with the person painted out (False: the source picture as it is, an ablation).
            source_every: the source frame is its own target every so many steps; 0: never.
            recolour: share of the steps that show people before backgrounds of other colours (``compose.recolour``).
            seed: of ray jitter.
            face_model: ``embedded``, or a folder with the files of BFM 2009 (docs/faces.md); that of stage 2 and of the clips.
            effort: gradient accumulation and compilation.
        """
        small = scale if scale in ("debug", "tiny") else "paper"
        renderer, config = HeadRendererConfig.preset(small), HTBSRConfig.preset(small)
        gan = None
        if adversary.weight:
            gan = Adversary(adversary, DualDiscriminatorConfig(image_size=renderer.image_size, raw_size=renderer.raw_size))
        super().__init__(schedule, gan, init_from, seed, effort)
        if fuse is not None:
            masks = fuse != "concat"  # without them no layer, and no photograph, can be laid over another
            config = replace(config, fuse=fuse, final_composite=config.final_composite and masks, head_skip=config.head_skip and masks)
        config = replace(config, keypoint_source=keypoint_source)
        self.face = FaceModel.load(face_model)
        adapter = MotionAdapter(replace(MotionAdapterConfig.preset(small), face_model=self.face.fingerprint))
        self.avatar = HeadAvatar(I2P(I2PConfig.preset(scale)), adapter, HeadRenderer(renderer))
        self.htbsr = HTBSR(config)
        self.perceptual = build_perceptual(vgg) if weights.perceptual else None
        self.weights = weights
        self.inpaint = inpaint
        self.source_every, self.recolour = source_every, recolour

    def networks(self) -> dict[str, Pretrained]:
        """``htbsr``."""
        return {"htbsr": self.htbsr}

    def setup(self, stage: str) -> None:
        """Besides, see that the clips belong to the face model."""
        super().setup(stage)
        require_clips(self.trainer, self.face)

    def load(self, folder: Path) -> None:
        """Networks of stage 2; ``htbsr`` goes on from the folder if it is there, else from the super-resolution of stage 2."""
        avatar = {"i2p": self.avatar.i2p, "adapter": self.avatar.adapter, "renderer": self.avatar.renderer}
        for name, network in avatar.items():
            load_network(network, folder / name)
        if (folder / "htbsr").is_dir():
            load_network(self.htbsr, folder / "htbsr")
            return
        unfit = self.htbsr.init_from_renderer(self.avatar.renderer)
        rank_zero_info(f"super-resolution from stage 2; {len(unfit)} tensors start afresh")

    def frozen(self) -> list[nn.Module]:
        """The whole avatar."""
        return [self.avatar]

    def groups(self) -> list[Group]:
        """All of HTB-SR."""
        return [Group("htbsr", self.htbsr)]

    def objective(self, batch: PairBatch) -> Outcome:
        """Spec 9.3; now and then the source is its own target."""
        if self.source_every and self.global_step % self.source_every == 0:
            batch = replace(batch, target=batch.source)
        generator = self.randomness()
        colours = torch.Generator().manual_seed(self._stream())
        if self.recolour and torch.rand((), generator=colours) < self.recolour:
            batch = recoloured(batch, colours)
        head, composite = self._compose(batch, generator)
        losses = compose_losses(composite, batch.target, self.weights, self.perceptual)
        if self.htbsr.detector is not None and self.weights.equivariance:
            picture = resize(batch.source.head, self.htbsr.config.raw_size)
            losses["equivariance"] = self.weights.equivariance * equivariance(self.htbsr.detector, picture, generator)
        raw = head.feature[:, :3]
        real = F.adaptive_avg_pool2d(batch.target.head, raw.shape[-1])
        camera = batch.target.camera
        fake, real = Views(composite.image, raw, camera), Views(batch.target.image, real, camera)
        return Outcome(losses, (Judged(fake, real),))

    def scores(self, batch: PairBatch) -> dict[str, Float[Tensor, " b"]]:
        """PSNR of the whole picture of unseen people, and of the source copied (the figure to beat)."""
        _, composite = self._compose(batch, None)
        return {"psnr": psnr(composite.image, batch.target.image), "psnr_copied": psnr(batch.source.image, batch.target.image)}

    def portraits(self, batch: PairBatch) -> dict[str, Float[Tensor, "b _ _ _"]]:
        """Source, driving PNCC, raw rendering, depth, torso layer, result, target."""
        head, composite = self._compose(batch, None)
        return {
            "source": batch.source.image,
            "pncc": draw_pnccs(self.face, batch, self.avatar.adapter.config.image_size).drv,
            "raw": head.feature[:, :3],
            "depth": depth_picture(head.depth, head.weights),
            "torso": (composite.torso_rgb + 1) * composite.torso_mask - 1,
            "result": composite.image,
            "target": batch.target.image,
        }

    @torch.no_grad()
    def _head(self, batch: PairBatch, generator: torch.Generator | None) -> tuple[Rendering, LookBack | None]:
        pnccs = draw_pnccs(self.face, batch, self.avatar.adapter.config.image_size)
        canonical = self.avatar.canonical(batch.source.head, batch.source.camera)
        planes = self.avatar.animate(canonical, pnccs.src, pnccs.drv, pnccs.cano)
        head = self.avatar.renderer.render_raw(planes, batch.target.camera, generator=generator)
        if not self.htbsr.config.head_skip:
            return head, None
        volume, size = self.avatar.renderer.volume, head.depth.shape[-1]
        photograph = self.avatar.renderer.render_raw(canonical, batch.source.camera)
        exp, chords = batch.source.coeffs.exp, [volume.chord(view.camera, size) for view in (batch.source, batch.target)]
        source = head_surface(self.face, photograph, chords[0], batch.source.coeffs, exp, batch.source.head_mask)
        frame = head_surface(self.face, head, chords[1], batch.target.coeffs, exp)
        view = look_back(frame, batch.target.camera, source, batch.source.camera)
        person = batch.source
        mouths = [mouth_of(self.face, person.image[i : i + 1], person.coeffs[i : i + 1]) for i in range(len(batch))]
        return head, with_mouths(view, mouths, batch.target.coeffs, self.htbsr.config.image_size)

    def _compose(self, batch: PairBatch, generator: torch.Generator | None) -> tuple[Rendering, Composite]:
        head, view = self._head(batch, generator)
        background = batch.background if self.inpaint else batch.source.image
        person = batch.source
        landmarks = (person.landmarks(self.face)[..., :2] + 1) / 2 if self.htbsr.config.head_skip else None
        source = self.htbsr.prepare(
            batch.torso, person.segmap, background, head_image=person.head, head_mask=person.head_mask, landmarks=landmarks
        )
        return head, self.htbsr(head.feature, head.weights, source, batch.source.keypoints, self._driving(batch), view)

    def _driving(self, batch: PairBatch) -> Float[Tensor, "b 68 3"]:
        """Key points that the torso follows; it may lag behind the head."""
        target = batch.target
        lagging = target.keypoints if target.torso_keypoints is None else target.torso_keypoints
        if self.htbsr.config.follows == "head":
            return lagging
        return followed_keypoints(self.face, batch.source.coeffs, target.coeffs, "neck") + lagging - target.keypoints
