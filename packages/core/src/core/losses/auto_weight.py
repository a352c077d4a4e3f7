"""A loss weight that steers its loss towards a target (spec 9.2)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


class AutoWeight(nn.Module):
    """``value += rate (log10 loss - log10 target)``, clamped: the weight grows while the loss is above its target and fades below it.

    The weight is a buffer: checkpoints hold it, and it stays on the device of the network. All ranks must report the same loss (their
    mean), then they keep the same weight.

    Args:
        target: wanted value of the unweighted loss, above 0.
        limit: largest weight.
        start: first weight.
        rate: change of the weight per power of ten.
    """

    def __init__(self, target: float, limit: float, start: float = 0.001, rate: float = 0.01) -> None:
        super().__init__()
        self.target, self.limit, self.rate = target, limit, rate
        self.register_buffer("value", torch.tensor(float(start)))
        self.value: Tensor

    @torch.no_grad()
    def update(self, loss: Float[Tensor, ""]) -> None:
        """Take note of an unweighted loss; one that is not finite changes nothing."""
        step = self.rate * (loss.double().clamp_min(1e-12).log10() - math.log10(self.target))
        moved = (self.value + step).clamp(0, self.limit).to(self.value)
        self.value.copy_(torch.where(torch.isfinite(loss), moved, self.value))
