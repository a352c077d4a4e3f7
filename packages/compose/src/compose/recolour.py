"""Training pairs before other backgrounds (ours, not in the paper).

Official portraits have much the same background. A network that always sees it behind uncertain edges of heads paints them in its colour.
"""

from dataclasses import replace

import torch
from core.data.clips import FrameBatch, PairBatch
from core.nn.morphology import dilate
from jaxtyping import Float
from torch import Tensor

from compose.warping import smooth

TORSO_CLASSES, HEAD_CLASSES = (2, 4, 5), (1, 3)  # body skin, clothes, other; hair, face (spec 10)
EDGE = 6
"""Pixels of a 512 picture by which a head's soft edge reaches into what counts as head."""
GAIN, SHIFT = 0.5, 0.6
"""Contrast down to which, and brightness up to which (either way), a background changes."""


def recoloured(batch: PairBatch, generator: torch.Generator) -> PairBatch:
    """Every background with its channels exchanged, with less contrast and other brightness; people stay as they are.

    Args:
        batch: the background behind both frames of a pair is ``batch.background``.
        generator: of the colours, on the CPU.
    """
    plate, count = batch.background, len(batch)
    order = torch.rand(count, 3, generator=generator).argsort(1).to(plate.device)
    gain = 1 - (1 - GAIN) * torch.rand(count, 1, 1, 1, generator=generator).to(plate)
    shift = SHIFT * (2 * torch.rand(count, 3, 1, 1, generator=generator) - 1).to(plate)
    other = (plate.gather(1, order[:, :, None, None].expand_as(plate)) * gain + shift).clamp(-1, 1)
    source, target = (_before(frame, plate, other) for frame in (batch.source, batch.target))
    return replace(batch, source=source, target=target, background=other)


def _before(frame: FrameBatch, plate: Float[Tensor, "b 3 s s"], other: Float[Tensor, "b 3 s s"]) -> FrameBatch:
    """The frame with another plate where neither head nor torso covers it; the torso's outline is softened by a pixel.

    Through the head's soft edge a plate shows only near the background: at the neck it is the torso that shows.
    """
    behind, torso, head = (frame.segmap[:, classes].sum(1, keepdim=True) for classes in ((0,), TORSO_CLASSES, HEAD_CLASSES))
    plate_share = head * dilate(behind, max(1, round(EDGE * plate.shape[-1] / 512))) + (1 - head) * (1 - smooth(torso, 1))
    return replace(frame, image=frame.image + (1 - frame.head_mask) * plate_share * (other - plate))
