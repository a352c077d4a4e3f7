"""PNCC of a clip; fitting of a still and of a clip to landmarks of generated faces."""

from collections.abc import Iterable
from functools import partial

import numpy as np
import torch
from core.camera import FIT_DISTANCE, FIT_FOCAL
from core.face import FaceCoeffs, FaceModel, pncc_clip, pose_points, project, render_pncc
from core.face.fitting import FitResult, fit_image, fit_video, reprojection_error
from torch import Tensor

from benchmarks.adam import fit_with_adam
from benchmarks.row import Case, Row

CLIP = 100
"""Frames of a clip, four seconds."""


def _model(device: torch.device) -> FaceModel:
    return FaceModel.load().to(device)


def talking(frames: int) -> FaceCoeffs:
    """One person whose head sways and whose face moves smoothly."""
    generator = torch.Generator().manual_seed(0)
    time = torch.linspace(0, frames / 25, frames)[:, None]
    id, start, change = (torch.randn(1, n, generator=generator) for n in (80, 64, 64))
    euler = torch.cat([0.1 * torch.sin(time), 0.3 * torch.cos(0.7 * time), 0.05 * torch.sin(1.3 * time)], 1)
    trans = torch.cat([0.2 * torch.sin(time), 0.1 * torch.cos(time), -2 + 0 * time], 1)
    return FaceCoeffs((0.7 * id).expand(frames, -1), 0.3 * start + 0.5 * torch.sin(5 * time) * change, euler, trans)


def landmarks(face: FaceModel, coeffs: FaceCoeffs) -> np.ndarray:
    """Points (t, 468, 3) as a detector with an error of half a pixel of 512 would find them."""
    points = pose_points(face.keypoints(coeffs.id, coeffs.exp), coeffs.euler, coeffs.trans)
    depth = (points[..., 2:].mean(1, keepdim=True) - points[..., 2:]) * FIT_FOCAL / (FIT_DISTANCE - coeffs.trans[:, None, 2:])
    noise = torch.randn(len(coeffs), points.shape[1], 2, generator=torch.Generator().manual_seed(1)) / 1024
    return torch.cat([project(points) + noise, depth], 2).numpy()


def _drain(parts: Iterable[Tensor]) -> None:
    for part in parts:
        del part


def _pncc(size: int, device: torch.device) -> Case:
    face, coeffs = _model(device), talking(CLIP).to(device)
    return Case(
        lambda: _drain(pncc_clip(face, coeffs.id[:1], coeffs.exp, size)),
        items=CLIP,
        baseline=lambda: _drain([render_pncc(face, coeffs.id, coeffs.exp, size)]),
        baseline_name="whole clip at once",
    )


def _still(device: torch.device) -> Case:
    face = _model(device)
    seen = landmarks(FaceModel.embedded(), talking(1))

    def error(coeffs: FaceCoeffs) -> str:
        return f"{100 * reprojection_error(face, coeffs, seen).item():.2f} %"

    return Case(
        lambda: fit_image(face, seen[0]),
        unit="still",
        baseline=lambda: fit_with_adam(face, seen),
        baseline_name="400 steps of Adam",
        note=lambda ours, theirs: f"reprojection error {error(ours)} of the eye distance, Adam {error(theirs)}",
    )


def _video(device: torch.device) -> Case:
    face = _model(device)
    seen = landmarks(FaceModel.embedded(), talking(CLIP))

    def note(fit: FitResult, _: object) -> str:
        return f"reprojection error {100 * fit.error:.2f} % of the eye distance"

    return Case(lambda: fit_video(face, seen), items=CLIP, note=note)


ROWS = (
    Row("pncc.256", partial(_pncc, 256), cuda=True),
    Row("pncc.512", partial(_pncc, 512), cuda=True),
    Row("fit.still", _still, bar=1 / 0.3, cuda=True),
    Row("fit.video", _video, bar=100, cuda=True),
)
