"""AED and APD: does the result make the driver's face and follow the driver's head? Distances of fitted 3DMM coefficients.

The paper measures with the regressor of Deng et al. 2019, whose weights and face model are not free. Here both videos are fitted by
``core.face.fitting`` with the embedded model, so figures compare among results of this repository only.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from core.face.coeffs import FaceCoeffs
from core.metrics.running_mean import RunningMean


def expression_distance(exp: Float[Tensor, "t e"], target: Float[Tensor, "t e"]) -> Float[Tensor, " t"]:
    """Mean absolute difference of the expression codes per frame, in standard deviations of the face model."""
    return (exp - target).abs().mean(1)


def pose_distance(coeffs: FaceCoeffs, target: FaceCoeffs) -> Float[Tensor, " t"]:
    """Mean absolute difference of pitch, yaw, roll (radians, the short way round) and translation (3DMM units) per frame."""
    angle = torch.remainder(coeffs.euler - target.euler + torch.pi, 2 * torch.pi) - torch.pi
    return torch.cat([angle, coeffs.trans - target.trans], 1).abs().mean(1)


class AED(RunningMean):
    """Average expression distance: mean over frames of ``expression_distance``."""

    higher_is_better = False

    def update(self, exp: Float[Tensor, "t e"], target: Float[Tensor, "t e"]) -> None:
        """Take in the codes of the result and of the driver, frame by frame."""
        self.add(expression_distance(exp, target))


class APD(RunningMean):
    """Average pose distance: mean over frames of ``pose_distance``."""

    higher_is_better = False

    def update(self, coeffs: FaceCoeffs, target: FaceCoeffs) -> None:
        """Take in the poses of the result and of the driver, frame by frame."""
        self.add(pose_distance(coeffs, target))
