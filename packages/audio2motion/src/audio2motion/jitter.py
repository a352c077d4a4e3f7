"""Fresh variation of log-mel features at every training step: what differs between voices and recordings, never what is said."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

STRETCH, BEND = 0.13, 0.04
"""Largest stretch of the band axis (vocal-tract length), and deviation of its bending at six places, as shares of its length: the formants
of two people do not differ by one factor."""
CONTRAST = 0.2
"""Largest share by which peaks and valleys of a frame grow or shrink: breath, room and microphone fill valleys."""
BLUR = 0.7
"""Largest weight of the two neighbouring rows: people glide where a synthesiser steps."""
FLOOR = (-3.0, -1.7)
"""Where a noisy room hides what is quieter."""

Draw = Callable[..., Tensor]


def jitter_features(audio: Float[Tensor, "b u c"], generator: torch.Generator) -> Float[Tensor, "b u c"]:
    """Bands stretched and bent, contrast, blur over time, smooth colour, a noise floor, a band blanked out, noise.

    The blank (SpecAugment, Park et al. 2019) keeps the network from trusting a single formant of a synthesiser.
    """

    def draw(*shape: int) -> Tensor:
        return torch.rand(len(audio), *shape, generator=generator).to(audio)

    def normal(*shape: int) -> Tensor:
        return torch.randn(len(audio), *shape, generator=generator).to(audio)

    varied = _warped(audio, 1 + STRETCH * (2 * draw(1) - 1), BEND * normal(6))
    level = varied.mean(2, keepdim=True)
    varied = level + (varied - level) * (1 + CONTRAST * (2 * draw(1, 1) - 1))
    varied = _blurred(varied, BLUR * draw(1, 1))
    varied = varied + _smooth(0.2 * normal(6), audio.shape[2])[:, None]
    varied = torch.maximum(varied, FLOOR[0] + (FLOOR[1] - FLOOR[0]) * draw(1, 1))
    away = (torch.linspace(0, 1, audio.shape[2], device=audio.device) - draw(1, 1)).abs()
    blank = (away < 0.06 * draw(1, 1)) & (draw(1, 1) < 0.5)
    varied = torch.where(blank, varied.mean(2, keepdim=True), varied)
    return varied + 0.15 * draw(1, 1) * torch.randn(audio.shape, generator=generator).to(audio)


def _warped(audio: Float[Tensor, "b u c"], stretch: Float[Tensor, "b 1"], bend: Float[Tensor, "b k"]) -> Float[Tensor, "b u c"]:
    """Band i from where the stretched and bent axis finds it, between two bands."""
    bands = audio.shape[2]
    axis = torch.linspace(0, 1, bands, device=audio.device) * stretch + _smooth(bend, bands)
    source = axis.clamp(0, 1) * (bands - 1)
    low = source.floor().long().clamp(max=bands - 2)
    part = (source - low)[:, None]
    rows = low[:, None].expand_as(audio)
    return torch.gather(audio, 2, rows) * (1 - part) + torch.gather(audio, 2, rows + 1) * part


def _blurred(audio: Float[Tensor, "b u c"], weight: Float[Tensor, "b 1 1"]) -> Float[Tensor, "b u c"]:
    """Each row with half of ``weight`` from either neighbour, at unit sum."""
    padded = torch.cat([audio[:, :1], audio, audio[:, -1:]], 1)
    return (audio + 0.5 * weight * (padded[:, :-2] + padded[:, 2:])) / (1 + weight)


def _smooth(knots: Float[Tensor, "b k"], length: int) -> Float[Tensor, "b l"]:
    return F.interpolate(knots[:, None], length, mode="linear", align_corners=True)[:, 0]
