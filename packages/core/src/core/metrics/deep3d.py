"""The 3DMM regressor of Deng et al. 2019 in PyTorch (Deep3DFaceRecon_pytorch), to load published weights into: the paper's AED and APD."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from core.face.coeffs import FaceCoeffs
from core.metrics.csim import five_points

WIDTHS = (80, 64, 80, 3, 27, 2, 1)
"""Identity, expression, texture, angles, light, shift in x and y, shift in z."""
STANDARD = (
    (-0.31148657, 0.29036078, 0.13377953),
    (0.30979887, 0.28972036, 0.13179526),
    (0.0032535, -0.04617932, 0.55244243),
    (-0.25216928, -0.38133916, 0.22405732),
    (0.2484662, -0.38128236, 0.22235769),
)
"""Eyes, nose tip and mouth corners of the mean face in 3DMM units, y up: the five points of its ``similarity_Lm3D_all.mat``."""
SIDE, UNIT = 224, 102
"""Side of its pictures, and the pixels that a 3DMM unit takes up in them."""


class Deep3D(nn.Module):
    """ResNet-50 and seven linear layers; names of tensors as under ``net_recon`` in its ``epoch_20.pth``."""

    def __init__(self) -> None:
        from torchvision.models import resnet50

        super().__init__()
        self.backbone = resnet50(weights=None)
        self.backbone.fc = nn.Identity()
        self.final_layers = nn.ModuleList(nn.Conv2d(2048, width, 1) for width in WIDTHS)
        self.eval().requires_grad_(False)

    def forward(self, face: Float[Tensor, "b 3 224 224"]) -> FaceCoeffs:
        """Coefficients of BFM 2009 (not of ``core.face``) of aligned faces, RGB in [0, 1]; angles in radians."""
        features = self.backbone(face)[:, :, None, None]
        identity, expression, _, angles, _, across, away = (layer(features).flatten(1) for layer in self.final_layers)
        return FaceCoeffs(identity, expression, angles, torch.cat([across, away], 1))


def weak_perspective(points: Float[np.ndarray, "5 2"]) -> tuple[Float[np.ndarray, "2"], float]:
    """Where ``STANDARD`` lies in a picture: the pixel of its origin, and the pixels of a unit.

    Least squares over all affine maps, whose two rows' lengths are averaged, as in its ``POS``.

    Args:
        points: the five points in pixels, y down.
    """
    equations = np.column_stack([np.array(STANDARD), np.ones(5)])
    rows = np.linalg.lstsq(equations, points * (1, -1), rcond=None)[0].T
    return rows[:, 3] * (1, -1), float(np.linalg.norm(rows[:, :3], axis=1).mean())


def regressor_faces(image: Float[Tensor, "t 3 s s"], points: Float[np.ndarray, "t n d"]) -> Float[Tensor, "t 3 224 224"]:
    """Faces as the regressor was shown them, from square frames in [0, 1] and MediaPipe's points; bilinear, black outside the frame."""
    side = image.shape[-1]
    ticks = (np.arange(SIDE) + 0.5 - SIDE / 2) / UNIT
    grids = []
    for corners in five_points(points) * side:
        centre, unit = weak_perspective(corners)
        grids.append(np.stack(np.meshgrid(centre[0] + unit * ticks, centre[1] + unit * ticks), -1))
    places = torch.from_numpy(np.stack(grids)).to(image)
    return F.grid_sample(image, places / side * 2 - 1, align_corners=False)


@torch.no_grad()
def regress(network: nn.Module, image: Float[Tensor, "t 3 s s"], points: Float[np.ndarray, "t n d"]) -> Float[Tensor, "t 150"]:
    """Coefficients of every frame: identity, expression, angles, translation; rows of NaN where no face was found (points of NaN)."""
    seen = torch.from_numpy(np.isfinite(points).all((1, 2)))
    found = image.new_full((len(image), 150), torch.nan)
    if seen.any():
        coeffs = network(regressor_faces(image[seen], points[seen.numpy()]))
        found[seen] = torch.cat([coeffs.id, coeffs.exp, coeffs.euler, coeffs.trans], 1)
    return found


def split_coefficients(rows: Float[Tensor, "t 150"]) -> FaceCoeffs:
    """Rows of ``regress`` by their meaning."""
    return FaceCoeffs(*rows.split((80, 64, 3, 3), 1))
