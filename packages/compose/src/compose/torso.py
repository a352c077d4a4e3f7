"""The torso branch (paper B.3, Eq. 10): appearance encoder, dense motion and decoder, with or without a warp at full resolution."""

from dataclasses import dataclass, replace

import torch
from core.compilable import compilable
from core.nn.morphology import erode
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from compose.appearance import AppearanceEncoder
from compose.config import HTBSRConfig
from compose.folding import folded
from compose.generator import TorsoDecoder, TorsoMask
from compose.motion import DenseMotion, Motion, scale_gradient
from compose.warping import bleed, planar_motion, planar_offset, resize, soften, warp_image

TORSO_CLASSES = (2, 4)
"""Classes of the segmentation map that belong to the torso: body skin and clothes."""
DILATION = 7
MASK_FLOOR = 0.01
EMPTY = -0.98
RIM = 2 / 512
"""Rim of an unknown torso mask, in image sides."""


@torch.no_grad()
def layer(
    image: Float[Tensor, "b 3 S S"], segmap: Float[Tensor, "b 6 S S"], mask: Float[Tensor, "b 1 S S"] | None
) -> tuple[Float[Tensor, "b 3 S S"], Float[Tensor, "b 1 S S"]]:
    """Colours that go on beyond the torso's edge, and its soft mask.

    Towards its edge a matted torso fades to black; those colours are replaced by what lies further inside. Without ``mask`` the torso
    is where the classes say so or where ``image`` is not black, less a rim.
    """
    radius = max(1, round(RIM * image.shape[-1]))
    if mask is None:
        seen = (image.amax(1, keepdim=True) > EMPTY) | (segmap[:, list(TORSO_CLASSES)].sum(1, keepdim=True) > 0)
        hard = seen.to(image)
        trusted, mask = erode(hard, radius + 1), soften(hard, radius)
    else:
        hard = (mask > 0.5).to(image)
        trusted = erode((mask > 0.95).to(image), 1)
    narrow = trusted.amax((1, 2, 3), keepdim=True) == 0  # nothing but edge: better its colours than none
    return bleed(image, torch.where(narrow, hard, trusted)).contiguous(memory_format=torch.channels_last), mask


@dataclass(frozen=True)
class TorsoFeatures:
    """What the torso branch derives from the source alone.

    Attributes:
        volume: encoded appearance.
        compressed: the channels of the volume that the motion estimator moves.
        image: torso colours at full size, continued beyond the mask.
        mask: soft torso mask at full size; with ``warp_skip`` only, like the continuation of ``image``.
    """

    volume: Float[Tensor, "b c d v v"]
    compressed: Float[Tensor, "b 4 d v v"]
    image: Float[Tensor, "b 3 S S"]
    mask: Float[Tensor, "b 1 S S"]


@dataclass(frozen=True)
class Torso:
    """The torso of one batch of frames.

    Attributes:
        hidden: decoder features at the torso size.
        image: colours at the torso size, at the full size with ``warp_skip``; not clamped.
        mask: M_torso in [0, 1], at the size of ``image``.
        occlusion: first occlusion map in (0, 1).
        deformation: dense motion, (x, y, z) in [-1, 1].
    """

    hidden: Float[Tensor, "b k s s"]
    image: Float[Tensor, "b 3 p p"]
    mask: Float[Tensor, "b 1 p p"]
    occlusion: Float[Tensor, "b 1 v v"]
    deformation: Float[Tensor, "b d v v 3"]


@dataclass(frozen=True)
class TorsoDraft:
    """What the networks say about a torso, before it is drawn.

    Attributes:
        motion: where its parts come from.
        hidden: decoder features at the torso size.
        rgb: colours at the torso size; with ``warp_skip`` what is added to those of the photograph.
        logits: of M_torso; with ``warp_skip`` what is added to those of the photograph.
    """

    motion: Motion
    hidden: Float[Tensor, "b k s s"]
    rgb: Float[Tensor, "b 3 s s"]
    logits: Float[Tensor, "b 1 s s"]


class TorsoBranch(nn.Module):
    """Warps what the source shows of the torso to the driving key points; 47.48 M parameters at paper size."""

    def __init__(self, config: HTBSRConfig) -> None:
        super().__init__()
        self.config = config
        volume = (config.volume_channels, config.volume_depth)
        planes = 3 + (len(TORSO_CLASSES) if config.torso == "v2" else 0)
        self.appearance = AppearanceEncoder(planes, config.appearance_channels, volume, config.appearance_blocks)
        self.motion = DenseMotion(
            volume,
            len(config.keypoints),
            config.motion_channels,
            config.motion_out,
            config.motion_kernel,
            config.heatmap_variance,
            head_context=config.torso == "v2",
        )
        self.decoder = TorsoDecoder(volume[0] * volume[1], config.decoder_channels, config.decoder_blocks)
        self.mask = TorsoMask(config.decoder_channels[-1], config.mask_channels)
        self.plain: tuple[nn.Module, nn.Module, nn.Module] | None = None
        if config.warp_skip:
            self._start_from_warp()

    def _start_from_warp(self) -> None:
        """Begin as a translation of the source torso: nothing is added to the warped colours and the warped mask yet."""
        self.motion.start_from_translation()
        for last in (self.decoder.to_rgb, self.mask.body[-1]):
            nn.init.normal_(last.weight, std=1e-4)
            nn.init.zeros_(last.bias)

    def fold(self, dtype: torch.dtype | None = None) -> "TorsoBranch":
        """Run plain copies of the networks from now on, for inference (equal up to rounding); ``train()`` takes it back.

        With ``dtype`` the decoder and the mask are computed in that type. The motion is not: its rounding would shake the picture.
        """
        self.plain = (folded(self.motion, self.config.volume_depth), folded(self.decoder, dtype=dtype), folded(self.mask, dtype=dtype))
        return self

    def train(self, mode: bool = True) -> "TorsoBranch":
        """Training needs the networks themselves."""
        if mode:
            self.plain = None
        return super().train(mode)

    def prepare(
        self,
        image: Float[Tensor, "b 3 S S"],
        segmap: Float[Tensor, "b 6 S S"],
        mask: Float[Tensor, "b 1 S S"] | None = None,
    ) -> TorsoFeatures:
        """Encode the source torso; once per source.

        Args:
            image: torso with its hidden part painted in, -1 elsewhere.
            segmap: one-hot segmentation of the source.
            mask: where ``image`` holds torso; by default the torso classes and every pixel that is not black.
        """
        config = self.config
        classes = resize(segmap[:, list(TORSO_CLASSES)], config.volume_size)
        inside = (resize(segmap[:, list(TORSO_CLASSES)].sum(1, keepdim=True), config.volume_size) > 0.5).to(image)
        inside = F.max_pool2d(inside, DILATION, 1, DILATION // 2)
        planes = resize(image, config.torso_size)
        if config.torso == "v2":
            planes = torch.cat([planes, resize(segmap[:, list(TORSO_CLASSES)], config.torso_size)], 1)
        volume = self.appearance(planes, inside)
        with torch.no_grad():
            colours, mask = layer(image, segmap, mask) if config.warp_skip else (image, torch.ones_like(image[:, :1]))
        return TorsoFeatures(volume, self.motion.compressed(volume, classes), colours, mask)

    def forward(
        self,
        features: TorsoFeatures,
        source: Float[Tensor, "b k 3"],
        driving: Float[Tensor, "b k 3"],
        head: Float[Tensor, "b 4 s s"] | None = None,
    ) -> Torso:
        """Move the torso from ``source`` to ``driving`` key points; ``head`` is the rendered head that version 2 looks at."""
        return self.draw(features, self.draft(features, source, driving, head))

    def draft(
        self,
        features: TorsoFeatures,
        source: Float[Tensor, "b k 3"],
        driving: Float[Tensor, "b k 3"],
        head: Float[Tensor, "b 4 s s"] | None = None,
    ) -> TorsoDraft:
        """The networks' part of ``forward``."""
        move, decode, cover = self.plain or (self.motion, self.decoder, self.mask)
        motion = move(features.compressed, source, driving, head)
        factor = self.config.motion_gradient
        deformation = scale_gradient(motion.deformation, factor)
        warped = F.grid_sample(features.volume, deformation, padding_mode="border", align_corners=True)
        kind = decode.mix.weight.dtype
        hidden, rgb = decode(warped.to(kind))
        logits = cover(hidden, scale_gradient(motion.torso_occlusion, factor).to(kind))
        motion = replace(motion, deformation=deformation, occlusion=scale_gradient(motion.occlusion, factor))
        return TorsoDraft(motion, hidden, rgb.to(warped), logits.to(warped))

    def draw(self, features: TorsoFeatures, draft: TorsoDraft, driving: Float[Tensor, "b k 3"] | None = None) -> Torso:
        """The torso of a draft.

        Args:
            features: of the source.
            draft: what ``draft`` gave.
            driving: with ``warp_skip``, key points near those of the draft: the photograph's pixels move to these, the rest stays.
        """
        motion = draft.motion
        if not self.config.warp_skip:
            return Torso(draft.hidden, draft.rgb, draft.logits.sigmoid(), motion.occlusion, motion.deformation)
        deformation, hidden, rgb, logits = motion.deformation, draft.hidden, draft.rgb, draft.logits
        if driving is not None:
            deformation = motion.onward(driving)
            maps = torch.cat([hidden, rgb, logits], 1)
            shift = (motion.driving - driving)[..., :2].mean(1)
            hidden, rgb, logits = warp_image(maps, shift[:, None, None].expand(-1, *maps.shape[2:], 2)).split([hidden.shape[1], 3, 1], 1)
        image, mask = self._full_size(features, deformation, rgb, logits)
        return Torso(hidden, image, mask, motion.occlusion, deformation)

    def _full_size(self, features: TorsoFeatures, deformation: Tensor, rgb: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        """The warped source plus what the decoder adds: colours, and log-odds of the mask (0 and 1 stay reachable)."""
        if compilable(features.image, rgb, deformation):
            from compose.layers_numba import moved_torso

            return moved_torso(features.image, features.mask, planar_offset(deformation), rgb, logits, MASK_FLOOR)
        return moved_torso_torch(features, deformation, rgb, logits)


def moved_torso_torch(features: TorsoFeatures, deformation: Tensor, rgb: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    """The source torso and its mask moved, with gradients and on any device; ``layers_numba.moved_torso`` is the compiled twin."""
    size = features.image.shape[-1]
    offset = planar_motion(deformation, size)
    mask = warp_image(features.mask, offset)
    span = 1 - 2 * MASK_FLOOR
    odds = torch.logit(mask.clamp(0, 1) * span + MASK_FLOOR) + resize(logits, size)
    mask = ((odds.sigmoid() - MASK_FLOOR) / span).clamp(0, 1)
    return warp_image(features.image, offset, "reflection") + resize(rgb, size), mask
