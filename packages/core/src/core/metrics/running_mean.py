"""What all averaging metrics have in common."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric


class RunningMean(Metric):
    """Mean of the numbers that subclasses hand in; its states are sums, so ranks may see different numbers of frames.

    Numbers that are not finite (frames without a face) are left out. Without any number the mean is NaN.
    """

    full_state_update = False
    is_differentiable = False
    total: Tensor
    count: Tensor

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def add(self, values: Float[Tensor, " n"]) -> None:
        """Take in one number per frame, or per clip."""
        known = values[values.isfinite()].double()
        self.total = self.total + known.sum()
        self.count = self.count + known.numel()

    def compute(self) -> Float[Tensor, ""]:
        """The mean of all numbers so far."""
        return self.total / self.count
