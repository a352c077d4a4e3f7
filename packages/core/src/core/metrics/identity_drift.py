"""Identity drift: how much of the likeness is lost between the first and the last frame of a clip."""

import torch
from jaxtyping import Float
from torch import Tensor

from core.metrics.running_mean import RunningMean


def identity_drift(similarity: Float[Tensor, " t"]) -> Float[Tensor, ""]:
    """Fall of the least-squares line through the CSIM of the frames, from the first to the last frame; NaN for fewer than two.

    Args:
        similarity: one number per frame, NaN where no face was found.
    """
    time = torch.arange(len(similarity), dtype=torch.float64)
    known = similarity.isfinite()
    if known.sum() < 2:
        return torch.tensor(torch.nan, dtype=torch.float64)
    t, value = time[known], similarity[known].double()
    centred = t - t.mean()
    return -(centred @ value) / centred.square().sum() * (len(similarity) - 1)


class IdentityDrift(RunningMean):
    """Mean over clips of ``identity_drift``."""

    higher_is_better = False

    def update(self, similarity: Float[Tensor, " t"]) -> None:
        """Take in one clip."""
        self.add(identity_drift(similarity)[None])
