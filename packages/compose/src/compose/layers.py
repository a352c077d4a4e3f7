"""The layers of a frame laid over each other at full size."""

from dataclasses import dataclass

import torch
from core.compilable import compilable
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from compose.box import Box
from compose.fusion import blend, over
from compose.warping import resize


@dataclass(frozen=True)
class Layers:
    """What is behind the head.

    Attributes:
        torso: its colours; where its mask is 0 they mean nothing.
        mask: M_torso in [0, 1].
        background: at full size.
    """

    torso: Float[Tensor, "b 3 p p"]
    mask: Float[Tensor, "b 1 p p"]
    background: Float[Tensor, "b 3 S S"]


@dataclass(frozen=True)
class Head:
    """The head inside ``box``.

    Attributes:
        drawn: by the network, over -1.
        weights: M_head as rendered, of the whole frame.
        box: in pixels of ``weights``.
        photo: the photograph's head over -1 and its opacity, of the whole frame; None without ``head_skip``.
        trust: share of ``photo`` in the head, at half the size of ``drawn``.
    """

    drawn: Float[Tensor, "b 3 h w"]
    weights: Float[Tensor, "b 1 r r"]
    box: Box
    photo: Float[Tensor, "b 4 S S"] | None = None
    trust: Float[Tensor, "b 1 hh ww"] | None = None


def laid_over(head: Head, behind: Layers, threshold: float) -> Float[Tensor, "b 3 S S"]:
    """The frame: photograph over drawn head over torso over background (``compose.fusion.over``)."""
    whole = behind.torso.shape == behind.background.shape
    if head.photo is not None and whole and compilable(head.drawn, head.photo, behind.torso, behind.background):
        from compose.layers_numba import laid_over_compiled

        return laid_over_compiled(head, behind, threshold)
    return laid_over_torch(head, behind, threshold)


def laid_over_torch(head: Head, behind: Layers, threshold: float) -> Float[Tensor, "b 3 S S"]:
    """``laid_over`` with gradients and on any device; ``layers_numba.laid_over_compiled`` is its compiled twin."""
    size, box = behind.background.shape[-1], head.box
    scale = size // head.weights.shape[-1]
    below = blend(resize(behind.torso, size), behind.background, resize(behind.mask, size))
    drawn, cover = head.drawn, box.cut(resize(head.weights, size), scale)
    if head.photo is not None and head.trust is not None:
        trust = F.interpolate(head.trust, scale_factor=2, mode="bilinear", align_corners=False)
        drawn, cover = blend(box.cut(head.photo, scale), torch.cat([drawn, cover], 1), trust).split([3, 1], 1)
    return box.paste(over(drawn, box.cut(below, scale), cover, threshold), below, scale)
