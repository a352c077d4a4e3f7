"""Fitting the morphable face to MediaPipe landmarks, of a still or of a clip (spec 1.3; Real3D-Portrait B.1, with a solver of our own).

Minimises the weighted squared distance between projected and measured points plus ``|id|^2`` and ``|exp|^2`` (codes are whitened) with
Gauss-Newton steps instead of the reference's Adam. A clip has one identity; poses and expressions are smoothed lightly without delay.
All of it runs on the device of the face model, where the coefficients stay.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from core.camera import euler_from_rotation, rotation_from_euler
from core.errors import PortraitError
from core.face.coeffs import FaceCoeffs
from core.face.model import FaceModel
from core.face.regions import LEFT_EYE, LIPS_INNER, LIPS_OUTER, OUTER_EYE_CORNERS, POINTS, RIGHT_EYE
from core.face.solver import Basis, Evidence, State, affine_pose, gauss_newton, posed, residuals

NOISE = 0.02
"""Standard deviation of a landmark in 3DMM units (2 % of the eye distance): how much the priors count."""
DEPTH_NOISE = 0.15
"""The same for MediaPipe's guess of depth."""
FEATURE_WEIGHT = 2.0
"""Factor on 1 / noise of lips and lids (4 on the squares)."""
IDENTITY_FRAMES = 24
_CHUNK = 32


@dataclass(frozen=True)
class FitResult:
    """Fit of a clip.

    Attributes:
        coeffs: one row per frame; all rows have the same identity.
        lost: frames without landmarks, whose pose and expression were interpolated.
        error: median over frames of the mean reprojection error, in units of the (three-dimensional) outer eye distance.
    """

    coeffs: FaceCoeffs
    lost: int
    error: float


def _basis(face: FaceModel) -> Basis:
    index = face.keypoints468[face.matched468]
    return Basis(face.mean[index], face.id_basis[index], face.exp_basis[index])


def _normals(face: FaceModel) -> Float[Tensor, "n 3"]:
    """Unit normals of the mean face at the matched points."""
    corners = face.mean[face.triangles]
    normal = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = torch.zeros_like(face.mean)
    for corner in range(3):
        total.index_add_(0, face.triangles[:, corner], normal)
    return torch.nn.functional.normalize(total[face.keypoints468[face.matched468]], dim=1)


def _evidence(face: FaceModel, landmarks: Float[np.ndarray, "t n d"]) -> Evidence:
    """Landmarks of the image with the camera's axes, those that the model has, and weights that do not know the pose yet."""
    points = torch.from_numpy(np.ascontiguousarray(landmarks[:, :POINTS], np.float32)).to(face.mean)
    has_depth = points.shape[2] > 2
    depth = -points[..., 2:3] if has_depth else torch.zeros_like(points[..., :1])
    weights = points.new_ones(POINTS)
    weights[list({*LIPS_INNER, *LIPS_OUTER, *RIGHT_EYE, *LEFT_EYE})] = FEATURE_WEIGHT
    noise = points.new_tensor([1 / NOISE, 1 / NOISE, 1 / DEPTH_NOISE if has_depth else 0.0])
    columns = torch.cat([points[..., :1] - 0.5, 0.5 - points[..., 1:2], depth], 2)
    matched = face.matched468
    columns = columns[:, matched]
    return Evidence(columns, (weights[matched, None] * noise).expand_as(columns).contiguous())


def _trust_visible(evidence: Evidence, normals: Float[Tensor, "n 3"], rotation: Float[Tensor, "b 3 3"]) -> Evidence:
    """Weigh points by how much they face the camera: MediaPipe invents those on the far side of a turned head."""
    facing = (rotation[:, 2] @ normals.T).clamp_min(0)  # (b, n)
    return Evidence(evidence.points, evidence.weights * (0.3 + 0.7 * (facing / 0.5).clamp_max(1))[..., None])


def _start(face: FaceModel, landmarks: Float[np.ndarray, "t n d"], identity: Float[Tensor, "1 80"]) -> tuple[Evidence, State]:
    evidence = _evidence(face, landmarks)
    rotation, trans = affine_pose(_basis(face).mean, evidence)
    state = State(identity, identity.new_zeros(len(landmarks), 64), rotation, trans)
    return _trust_visible(evidence, _normals(face), rotation), state


def _check(landmarks: np.ndarray, dimensions: int) -> None:
    if landmarks.ndim != dimensions or landmarks.shape[-2] < POINTS or landmarks.shape[-1] not in (2, 3):
        raise ValueError(f"landmarks of shape {landmarks.shape}: expected {POINTS} points or more with 2 or 3 coordinates")


def reprojection_error(face: FaceModel, coeffs: FaceCoeffs, landmarks: Float[np.ndarray, "b n d"]) -> Float[Tensor, " b"]:
    """Mean distance between projected and measured points, in units of the outer eye distance as seen from the front at the same depth."""
    basis, evidence = _basis(face), _evidence(face, landmarks)
    _, points = posed(basis, State(coeffs.id, coeffs.exp, rotation_from_euler(coeffs.euler), coeffs.trans))
    places = face.matched468.cumsum(0) - 1
    right, left = (points[:, places[corner]] for corner in OUTER_EYE_CORNERS)
    return residuals(points, evidence)[..., :2].norm(dim=2).mean(1) / (left - right).norm(dim=1)


def _coeffs(state: State) -> FaceCoeffs:
    return FaceCoeffs(state.id.expand(len(state.exp), -1).contiguous(), state.exp, euler_from_rotation(state.rotation), state.trans)


@torch.no_grad()
def fit_image(face: FaceModel, landmarks: Float[np.ndarray, "n d"]) -> FaceCoeffs:
    """Fit a still.

    Args:
        face: the model.
        landmarks: MediaPipe's points (468 or more, further ones are ignored) in [0, 1] across a *square* image, y down; a third coordinate
            (MediaPipe's depth) is used as weak evidence.

    Returns:
        Coefficients of one frame.

    Raises:
        ValueError: not such an array.
        PortraitError: ``E_NO_FACE`` when coordinates are not finite.
    """
    _check(landmarks, 2)
    return fit_video(face, landmarks[None]).coeffs


@torch.no_grad()
def fit_video(face: FaceModel, landmarks: Float[np.ndarray, "t n d"], identity: Tensor | None = None) -> FitResult:
    """Fit a clip with one identity.

    Args:
        face: the model.
        landmarks: per frame as for ``fit_image``; rows of NaN where the face was lost.
        identity: the person's identity code (80 numbers) if it is known from elsewhere; estimated from up to 24 frames otherwise.

    Raises:
        ValueError: not such an array.
        PortraitError: ``E_NO_FACE`` when no frame has landmarks.
    """
    _check(landmarks, 3)
    seen = np.isfinite(landmarks).all((1, 2))
    if not seen.any():
        raise PortraitError("E_NO_FACE", f"no face in any of {len(seen)} frames", "Use a picture or video in which a face is seen.")
    basis, found = _basis(face), landmarks[seen]
    if identity is None:
        some = np.unique(np.linspace(0, len(found) - 1, IDENTITY_FRAMES).round().astype(int))
        evidence, state = _start(face, found[some], face.mean.new_zeros(1, 80))
        code = gauss_newton(basis, evidence, state, 6, 1.0, 1.0).id
    else:
        code = identity.detach().to(face.mean).reshape(1, 80)
    parts = []
    for chunk in np.array_split(found, -(-len(found) // _CHUNK)):
        evidence, state = _start(face, chunk, code)
        parts.append(_coeffs(gauss_newton(basis, evidence, state, 3, 1.0)))
    coeffs = FaceCoeffs.cat(parts)
    error = float(reprojection_error(face, coeffs, found).median())
    return FitResult(_smooth(_interpolate(coeffs, seen)), int((~seen).sum()), error)


def _interpolate(coeffs: FaceCoeffs, seen: np.ndarray) -> FaceCoeffs:
    """Fill lost frames linearly between their neighbours, or with the nearest one at the ends."""
    frames, known = np.arange(len(seen)), np.flatnonzero(seen)

    def fill(rows: Tensor) -> Tensor:
        columns = [np.interp(frames, known, column) for column in rows.T.cpu().numpy()]
        return torch.from_numpy(np.stack(columns, 1)).to(rows)

    id = coeffs.id[:1].expand(len(seen), -1).contiguous()
    return FaceCoeffs(id, fill(coeffs.exp), fill(coeffs.euler), fill(coeffs.trans))


def _smooth(coeffs: FaceCoeffs) -> FaceCoeffs:
    """Fit a parabola to 5 neighbouring frames of every number (Savitzky-Golay): no delay, blinks keep their depth; short clips stay."""
    if len(coeffs) < 5:
        return coeffs
    from scipy.signal import savgol_filter

    exp, euler, trans = (
        torch.from_numpy(savgol_filter(rows.cpu().numpy(), 5, 2, axis=0)).to(rows) for rows in (coeffs.exp, coeffs.euler, coeffs.trans)
    )
    return FaceCoeffs(coeffs.id, exp, euler, trans)
