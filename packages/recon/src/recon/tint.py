"""Other light and skin for the people of a batch: a change of colours that every view of a person shares."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from recon.views import HeadView, ViewBatch


def tinted(batch: ViewBatch, strength: float, generator: torch.Generator) -> ViewBatch:
    """Gain per channel and a common gamma, drawn once per person, so that the views still agree.

    Args:
        batch: views in [-1, 1] over -1; what is empty stays empty.
        strength: the logarithm of each gain and of gamma is uniform within so much of 0; 0 leaves the batch as it is.
        generator: of the draw.
    """
    if not strength:
        return batch
    draws = strength * (2 * torch.rand(len(batch), 4, generator=generator, device=generator.device) - 1).to(batch.source.head)
    gain, gamma = draws[:, :3, None, None].exp(), draws[:, 3:, None, None].exp()

    def change(view: HeadView) -> HeadView:
        return replace(view, head=_change(view.head, gain, gamma))

    return replace(batch, source=change(batch.source), targets=[change(view) for view in batch.targets])


def _change(head: Float[Tensor, "b 3 s s"], gain: Float[Tensor, "b 3 1 1"], gamma: Float[Tensor, "b 1 1 1"]) -> Float[Tensor, "b 3 s s"]:
    return 2 * (gain * ((head + 1) / 2).clamp(0, 1) ** gamma).clamp(0, 1) - 1
