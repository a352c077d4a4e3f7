"""The fit as the reference does it (spec 1.3): 200 steps of Adam on the pose, 200 on everything. A baseline for ``core.face.fitting``."""

import numpy as np
import torch
from core.camera import FIT_DISTANCE
from core.face import FaceCoeffs, FaceModel, pose_points, project
from core.face.regions import LEFT_EYE, LIPS_INNER, LIPS_OUTER, RIGHT_EYE
from torch import Tensor

RATE, STEPS = 0.1, 200
FRAME = 224
"""Pixels of the frame in which residuals are measured."""
ID_PRIOR, EXP_PRIOR = 0.3, 0.05
UPPER_LIDS = (161, 160, 159, 158, 157, 388, 387, 386, 385, 384)


def _weights(device: torch.device) -> Tensor:
    weights = torch.ones(468, 1, device=device)
    weights[list(RIGHT_EYE + LEFT_EYE)] = 3
    weights[list(LIPS_OUTER + LIPS_INNER)] = 5
    weights[list(UPPER_LIDS)] = 20
    return weights


def fit_with_adam(face: FaceModel, landmarks: np.ndarray) -> FaceCoeffs:
    """Fit stills, landmarks (b, 468, 2 or more) in [0, 1] across a square image, y down."""
    device, b = face.mean.device, len(landmarks)
    target = torch.from_numpy(landmarks[:, :468, :2]).to(face.mean)
    weights = _weights(device)
    id, exp, euler, trans = (torch.zeros(b, n, device=device, requires_grad=True) for n in (80, 64, 3, 3))

    def loss(priors: bool) -> Tensor:
        points = project(pose_points(face.keypoints(id, exp), euler, trans.clamp_max(FIT_DISTANCE - 1)))
        error = (weights * ((points - target) * FRAME).square()).mean()
        return error + ID_PRIOR * id.square().mean() + EXP_PRIOR * exp.square().mean() if priors else error

    for parameters in ([euler, trans], [id, exp, euler, trans]):
        optimiser = torch.optim.Adam(parameters, RATE)
        for _ in range(STEPS):
            optimiser.zero_grad()
            loss(len(parameters) > 2).backward()
            optimiser.step()
    return FaceCoeffs(id.detach(), exp.detach(), euler.detach(), trans.detach())
