"""HTB-SR: rendered head, warped torso and background become one image (paper 3.3, Fig. 6; spec 7).

The work is split in two: ``prepare`` holds everything that depends on the source only and runs once, ``forward`` runs per frame.
"""

from dataclasses import dataclass, fields

import torch
from core.hub import Pretrained
from core.nn.stylegan import SynthesisBlock
from core.nn.superres import SuperResolution
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from compose.background import BackgroundEncoder
from compose.box import Box
from compose.config import HTBSRConfig
from compose.folding import folded
from compose.fusion import FOG, added, blend, concat_layers, fuse, person_mask
from compose.head_skip import HeadSkip, head_layer
from compose.keypoints import KeypointDetector
from compose.layers import Head, Layers, laid_over
from compose.lookback import LookBack
from compose.mixing import FuseConvs, HeadTorsoConvs, Mixer
from compose.torso import Torso, TorsoBranch, TorsoDraft, TorsoFeatures
from compose.warping import resize

HEAD_MARGIN = 5
"""Pixels of the raw rendering around the head that the convolutions of the head layer can see: 4.4, rounded up."""


@dataclass(frozen=True)
class SourceFeatures:
    """What one source (person and background) contributes to all of its frames.

    Attributes:
        torso: encoded torso.
        background: encoded background at the fusion size.
        background_rgb: background image at the fusion size.
        background_image: background image at full size.
        head: colours of the photograph's head, continued beyond its edge, its opacity, and its colours with shut eyes if its landmarks are
            known; with ``head_skip`` only.
        keypoints: found in the photograph's head; with ``keypoint_source="learned"`` only.
        scenery: the background as ``Mixer`` wants it; only if the network was folded.
    """

    torso: TorsoFeatures
    background: Float[Tensor, "b c f f"]
    background_rgb: Float[Tensor, "b 3 f f"]
    background_image: Float[Tensor, "b 3 S S"]
    head: Float[Tensor, "b q S S"] | None = None
    keypoints: Float[Tensor, "b k 3"] | None = None
    scenery: Float[Tensor, "b n f f"] | None = None

    def expand(self, count: int) -> "SourceFeatures":
        """One source for ``count`` frames, without copying; unchanged if there is one per frame already."""
        if len(self.background) == count:
            return self

        def repeat(x: Tensor) -> Tensor:
            return x.expand(count, *x.shape[1:])

        torso = TorsoFeatures(*(repeat(getattr(self.torso, each.name)) for each in fields(self.torso)))
        rest = (getattr(self, each.name) for each in fields(self)[1:])
        return SourceFeatures(torso, *(None if x is None else repeat(x) for x in rest))


@dataclass(frozen=True)
class Composite:
    """A finished batch of frames and the by-products that the losses look at.

    Attributes:
        image: the portrait, about [-1, 1]; clamp it to show it.
        torso_rgb: torso alone, at ``torso_size`` (at ``image_size`` with ``warp_skip``); meaningful where ``torso_mask`` is.
        torso_mask: M_torso in [0, 1], at the size of ``torso_rgb``.
        occlusion: first occlusion map of the motion estimator, in (0, 1).
        deformation: where each cell of the torso volume comes from, (x, y, z) in [-1, 1].
    """

    image: Float[Tensor, "b 3 S S"]
    torso_rgb: Float[Tensor, "b 3 p p"]
    torso_mask: Float[Tensor, "b 1 p p"]
    occlusion: Float[Tensor, "b 1 v v"]
    deformation: Float[Tensor, "b d v v 3"]


class HTBSR(nn.Module, Pretrained):
    """Head-torso-background super-resolution; 50.66 M parameters at paper size.

    Example:
        ``source = htbsr.prepare(torso, segmap, background)`` once, then for each frame
        ``htbsr(rendering.feature, rendering.weights, source, kp_src, kp_drv).image``.
    """

    def __init__(self, config: HTBSRConfig) -> None:
        super().__init__()
        self.config = config
        width = config.sr_channels[0]
        self.superres = SuperResolution(config.feature_channels, config.sr_channels, config.style_channels)
        self.torso = TorsoBranch(config)
        self.torso_features = nn.Conv2d(config.decoder_channels[-1], width, 1)
        self.background = BackgroundEncoder(config.background_channels, width)
        self.mix = FuseConvs((3 if config.fuse == "concat" else 2) * width, config.fuse_channels, width)
        if config.fuse == "v2":
            self.head_torso = HeadTorsoConvs(width)
            self.head_torso_block = SynthesisBlock(width, width, config.style_channels, up=False)
        self.head_skip = HeadSkip(width, config.fuse_channels) if config.head_skip else None
        self.mixer: Mixer | None = None
        self.plain: tuple[nn.Module, nn.Module, nn.Module] | None = None
        self.plain_skip: tuple[HeadSkip, ...] = ()
        learned = config.keypoint_source == "learned"
        self.detector = KeypointDetector(len(config.keypoints), config.motion_channels[:-1]) if learned else None
        if config.final_composite:  # the first output is the stage-2 head: the fusion adds nothing yet
            nn.init.normal_(self.mix[-1].weight, std=1e-4)
            nn.init.zeros_(self.mix[-1].bias)
            if config.fuse == "v2":
                nn.init.zeros_(self.head_torso_block.to_rgb.weight)

    def init_from_renderer(self, renderer: nn.Module) -> list[str]:
        """Take over the super-resolution of stage 2 (``HeadRenderer.superres``) where shapes fit.

        Returns:
            The names of the tensors that did not fit and stay as they are; empty when all were copied.
        """
        given, own = renderer.superres.state_dict(), self.superres.state_dict()
        fitting = {name: tensor for name, tensor in given.items() if name in own and own[name].shape == tensor.shape}
        self.superres.load_state_dict(fitting, strict=False)
        return sorted(set(own) - set(fitting))

    def fold(self, dtype: torch.dtype | None = None) -> "HTBSR":
        """Multiply out what does not depend on the input, for inference (equal up to rounding); ``train()`` takes it back.

        Args:
            dtype: of the convolutions' features; motion, masks, colours and layers that are laid over each other stay float32.
                None is the type of the weights.
        """
        self.superres.fold(dtype)
        self.torso.fold(dtype)
        if self.config.fuse == "v1":
            self.mixer = Mixer.of(self.mix, self.torso_features, dtype)
        else:
            between = self.head_torso if self.config.fuse == "v2" else nn.Identity()
            self.plain = tuple(folded(part, dtype=dtype) for part in (self.torso_features, between, self.mix))
        if self.config.fuse == "v2":
            self.head_torso_block.fold(dtype)
        if self.head_skip is not None:
            self.plain_skip = (folded(self.head_skip, dtype=dtype),)
        return self

    def train(self, mode: bool = True) -> "HTBSR":
        """Training needs the factors again."""
        if mode:
            self.mixer, self.plain, self.plain_skip = None, None, ()
        return super().train(mode)

    def prepare(
        self,
        torso_image: Float[Tensor, "b 3 S S"],
        segmap: Float[Tensor, "b 6 S S"],
        background: Float[Tensor, "b 3 S S"],
        torso_mask: Float[Tensor, "b 1 S S"] | None = None,
        head_image: Float[Tensor, "b 3 S S"] | None = None,
        head_mask: Float[Tensor, "b 1 S S"] | None = None,
        landmarks: Float[Tensor, "b 468 2"] | None = None,
    ) -> SourceFeatures:
        """Everything that depends on the source only; differentiable, so that training can call it for every batch.

        Args:
            torso_image: torso with its hidden part painted in, in [-1, 1], -1 elsewhere.
            segmap: one-hot segmentation of the source (spec 10: 0 background, 1 hair, 2 body skin, 3 face, 4 clothes, 5 other).
            background: background with the person painted out, or any other one, in [-1, 1].
            torso_mask: where ``torso_image`` holds torso, if known; otherwise found from the classes and the black around it.
            head_image: the photograph's head over -1; needed with ``head_skip`` and with learned key points.
            head_mask: its opacity in [0, 1]; needed with ``head_skip``.
            landmarks: of its face, [0, 1] across the picture; with ``head_skip`` they let its eyes shut, without them lids are stretched.

        Raises:
            ValueError: ``head_skip`` or learned key points without the head.
        """
        head = None
        if self.head_skip is not None:
            if head_image is None or head_mask is None:
                raise ValueError("head_skip=True needs head_image and head_mask, the photograph's head")
            head = head_layer(head_image, head_mask, landmarks)
        keypoints = None
        if self.detector is not None:
            if head_image is None:
                raise ValueError("keypoint_source='learned' needs head_image, the photograph's head")
            keypoints = self.detector(resize(head_image, self.config.raw_size))
        small = resize(background, self.config.fusion_size)
        torso, encoded = self.torso.prepare(torso_image, segmap, torso_mask), self.background(small)
        scenery = None if self.mixer is None else self.mixer.scenery(encoded)
        return SourceFeatures(torso, encoded, small, background, head, keypoints, scenery)

    def forward(
        self,
        feature: Float[Tensor, "b c r r"],
        weights: Float[Tensor, "b 1 r r"],
        source: SourceFeatures,
        kp_src: Float[Tensor, "#b n 3"],
        kp_drv: Float[Tensor, "b n 3"],
        view: LookBack | None = None,
        torso: Torso | None = None,
    ) -> Composite:
        """Compose one batch of frames.

        Args:
            feature: rendered features of the head; the first three channels are raw RGB in [-1, 1], empty -1.
            weights: M_head (Eq. 11), the sum of the ray weights; no gradient flows into it from here.
            source: what ``prepare`` made, one per frame or one for all.
            kp_src: 68 projected key points of the source in [-1, 1], y down, z = 0 (Eq. 9); not looked at with learned ones.
            kp_drv: the same of the driving frame.
            view: where the photograph shows what the frame shows (``look_back``); needed with ``head_skip``.
            torso: what ``draw_torso`` gave for these key points, to spare its networks; with ``final_composite`` only.

        Raises:
            ValueError: ``head_skip`` without ``view``.
        """
        if self.head_skip is not None and view is None:
            raise ValueError("head_skip=True needs view, what compose.lookback.look_back returns")
        source, weights = source.expand(len(feature)), weights.detach()
        kp_src, kp_drv = self._torso_keypoints(feature, source, kp_src.expand_as(kp_drv), kp_drv)
        if self.config.final_composite:
            return self._layered(feature, weights, source, kp_src, kp_drv, view, torso)
        return self._fused(feature, weights, source, kp_src, kp_drv)

    def draft_torso(self, source: SourceFeatures, kp_src: Float[Tensor, "b n 3"], kp_drv: Float[Tensor, "b n 3"]) -> TorsoDraft | None:
        """What the networks say about the torso at these key points, for ``draw_torso``; None where every frame needs its own.

        That is where the torso also depends on the rendered head, and without ``warp_skip`` or ``final_composite``. Arguments as in
        ``forward``.
        """
        if self.detector is not None or self.config.torso == "v2" or not (self.config.final_composite and self.config.warp_skip):
            return None
        chosen = list(self.config.keypoints)
        return self.torso.draft(source.torso, kp_src[:, chosen], kp_drv[:, chosen])

    def draw_torso(self, source: SourceFeatures, draft: TorsoDraft, kp_drv: Float[Tensor, "b n 3"] | None = None) -> Torso:
        """The torso at the key points of a draft, or at others near them; ``forward`` takes it."""
        return self.torso.draw(source.torso, draft, None if kp_drv is None else kp_drv[:, list(self.config.keypoints)])

    def _fused(self, feature: Tensor, weights: Tensor, source: SourceFeatures, kp_src: Tensor, kp_drv: Tensor) -> Composite:
        """As published: features and images are fused at half the output size, the last block draws the output (spec 7.4)."""
        size = self.config.fusion_size
        head, head_rgb = self.superres.block0(feature, feature[:, :3])
        torso = self.torso(source.torso, kp_src, kp_drv, self._context(head_rgb, weights))
        if self.config.fuse == "concat":
            widen, _, mix = self._convolutions
            mixed = mix(torch.cat([head, resize(widen(torso.hidden), size), source.background.to(head)], 1))
            return self._composite(self.superres.block1(mixed, None)[1].to(torso.image), torso)
        head_mask, person = self._masks(weights, torso)
        torso_rgb = resize(torso.image, size)
        if self.config.fuse == "v2":
            below = blend(head_rgb, torso_rgb, head_mask)
            mixed, inner = self._refine(head, below, torso, source, head_mask, person, Box.whole(weights))
            rgb = blend(inner, source.background_rgb, person)
        else:
            mixed, _ = self._refine(head, head_rgb, torso, source, head_mask, person, Box.whole(weights))
            rgb = fuse(head_rgb, torso_rgb, source.background_rgb, head_mask, person)
        return self._composite(self.superres.block1(mixed, rgb)[1], torso)

    def _layered(
        self, feature: Tensor, weights: Tensor, source: SourceFeatures, kp_src: Tensor, kp_drv: Tensor, view: LookBack | None,
        torso: Torso | None,
    ) -> Composite:  # fmt: skip
        """The fused features refine the head layer; the layers then cover each other at full size and keep their sharpness.

        The head is drawn only where its mask is not empty; the margin makes that exact.
        """
        skip = self.plain_skip[0] if self.plain_skip else self.head_skip
        photo = None if view is None or source.head is None else HeadSkip.move(source.head, view)
        box = self._head_box(weights, photo)
        head, head_rgb = self.superres.block0(box.cut(feature), box.cut(feature[:, :3]))
        if torso is None:
            torso = self.torso(source.torso, kp_src, kp_drv, self._context(head_rgb, weights))
        head_mask, person = (box.cut(mask, 2) for mask in self._masks(weights, torso))
        if photo is not None:
            evidence = box.cut(HeadSkip.evidence(photo, view, weights), 2)
            known = box.cut(resize(view.known, 2 * weights.shape[-1]), 2)
            head = added(head, skip.features(evidence))
        refinement, head_rgb = self._refine(head, head_rgb, torso, source, head_mask, person, box)
        mixed = added(head, refinement)
        trust = None if photo is None else skip.trust(mixed, evidence, known)
        drawn = Head(self.superres.block1(mixed, head_rgb)[1], weights, box, photo, trust)
        image = laid_over(drawn, Layers(torso.image, torso.mask, source.background_image), self.config.head_threshold)
        return self._composite(image, torso)

    def _refine(
        self, head: Tensor, head_rgb: Tensor, torso: Torso, source: SourceFeatures, head_mask: Tensor, person: Tensor, box: Box
    ) -> tuple[Tensor, Tensor]:
        """The fused features (with ``final_composite`` they are added to those of the head), and the head's colours; inside the box."""
        size = self.config.fusion_size
        if self.mixer is not None and source.scenery is not None:
            return self.mixer(head, self.mixer.moving(torso.hidden), source.scenery, head_mask, person, box), head_rgb
        widen, between, mix = self._convolutions
        head_mask, person, background = (x.to(head) for x in (head_mask, person, box.cut(source.background, 2)))
        torso_features = box.cut(resize(widen(torso.hidden), size), 2)
        if self.config.fuse == "v2":
            foreground = between(torch.cat([head * head_mask, torso_features * (1 - head_mask)], 1))
            foreground, head_rgb = self.head_torso_block(foreground, head_rgb)
        else:
            foreground = blend(head, torso_features, head_mask)
        return mix(concat_layers(foreground, background, person)), head_rgb

    @property
    def _convolutions(self) -> tuple[nn.Module, nn.Module | None, nn.Module]:
        """What widens the torso's features, mixes them with the head's (version 2) and then with the background's: plain once folded."""
        return self.plain or (self.torso_features, self.head_torso if self.config.fuse == "v2" else None, self.mix)

    def _torso_keypoints(self, feature: Tensor, source: SourceFeatures, kp_src: Tensor, kp_drv: Tensor) -> tuple[Tensor, Tensor]:
        """The few key points that drive the torso: chosen from those of the face, or found in photograph and rendered head."""
        if self.detector is not None:
            return source.keypoints, self.detector(feature[:, :3])
        chosen = list(self.config.keypoints)
        return kp_src[:, chosen], kp_drv[:, chosen]

    def _head_box(self, weights: Tensor, photo: Tensor | None) -> Box:
        """What of the raw rendering is worth drawing: all of it where the torso looks at the whole head (version 2)."""
        if self.config.torso == "v2":
            return Box.whole(weights)
        there = weights > FOG
        if photo is not None:
            there = there | (F.adaptive_max_pool2d(photo[:, 3:], weights.shape[-1]) > FOG)
        return Box.around(there, HEAD_MARGIN)

    def _context(self, head_rgb: Tensor, weights: Tensor) -> Tensor | None:
        """Version 2: the rendered head and its mask at twice the side of the torso volume."""
        if self.config.torso == "v1":
            return None
        size = 2 * self.config.volume_size
        return torch.cat([resize(head_rgb, size), resize(weights, size)], 1)

    def _masks(self, weights: Tensor, torso: Torso) -> tuple[Tensor, Tensor]:
        """M_head and M_person at the fusion size."""
        head_mask, torso_mask = (resize(mask, self.config.fusion_size) for mask in (weights, torso.mask))
        return head_mask, person_mask(head_mask, torso_mask, self.config.head_threshold)

    @staticmethod
    def _composite(image: Tensor, torso: Torso) -> Composite:
        """The frame and its by-products."""
        return Composite(image, torso.image, torso.mask, torso.occlusion, torso.deformation)
