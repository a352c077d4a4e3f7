"""AKD: average distance of 68 key points between the result and what was filmed."""

import torch
from jaxtyping import Float
from torch import Tensor

from core.face.regions import LM68
from core.metrics.running_mean import RunningMean

SIDE = 512
"""Distances are in pixels of a picture of this side."""


def akd(points: Float[Tensor, "t n d"], target: Float[Tensor, "t n d"]) -> Float[Tensor, " t"]:
    """Mean distance per frame of the 68 points in pixels at 512 x 512; NaN where a face was not found.

    Args:
        points: MediaPipe's 468 or more, x and y in [0, 1] across the square picture.
        target: the same of the wanted frame.
    """
    chosen = torch.tensor(LM68)
    return (points[:, chosen, :2] - target[:, chosen, :2]).norm(dim=2).mean(1) * SIDE


class AKD(RunningMean):
    """Mean over frames of ``akd``."""

    higher_is_better = False

    def update(self, points: Float[Tensor, "t n d"], target: Float[Tensor, "t n d"]) -> None:
        """Take in the points of the result and of the wanted frames."""
        self.add(akd(points, target))
