"""CSIM: is it still the same person? Cosine of ArcFace embeddings (Deng et al. 2019)."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from core.face.regions import LEFT_EYE, RIGHT_EYE
from core.metrics.running_mean import RunningMean

TEMPLATE = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))
"""Where eyes, nose tip and mouth corners (left to right as seen) lie in the 112 x 112 faces that ArcFace was trained with, in pixels."""
SIDE = 112
NOSE_TIP, MOUTH_CORNERS = 4, (61, 291)


def five_points(points: Float[np.ndarray, "t n d"]) -> Float[np.ndarray, "t 5 2"]:
    """The points that ``TEMPLATE`` names: middles of the eye borders, nose tip, mouth corners."""
    eyes = [points[:, list(eye), :2].mean(1) for eye in (RIGHT_EYE, LEFT_EYE)]
    return np.stack([*eyes, points[:, NOSE_TIP, :2], *(points[:, corner, :2] for corner in MOUTH_CORNERS)], 1)


def similarity_to_template(points: Float[np.ndarray, "5 2"]) -> Float[np.ndarray, "2 3"]:
    """Least-squares shift, turn and scale that takes five pixel positions to ``TEMPLATE`` (Umeyama 1991, without mirroring)."""
    source, target = (np.asarray(p, np.float64) @ np.array([1, 1j]) for p in (points, TEMPLATE))
    centred = source - source.mean()
    turn = (centred.conj() @ (target - target.mean())) / (np.abs(centred) ** 2).sum()
    shift = target.mean() - turn * source.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def aligned_faces(image: Float[Tensor, "t 3 s s"], points: Float[np.ndarray, "t n d"]) -> Float[Tensor, "t 3 112 112"]:
    """Faces as ArcFace wants them, in [-1, 1], from square frames in [0, 1] and their points; bilinear, black outside the frame."""
    side = image.shape[-1]
    grid = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), -1).reshape(-1, 2)
    places = []
    for corners in five_points(points) * side - 0.5:
        matrix = similarity_to_template(corners)
        places.append((grid - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T)
    places = torch.from_numpy(np.stack(places)).to(image).reshape(-1, SIDE, SIDE, 2)
    return F.grid_sample(image, (places + 0.5) / side * 2 - 1, align_corners=False) * 2 - 1


@torch.no_grad()
def face_embeddings(network: nn.Module, image: Float[Tensor, "t 3 s s"], points: Float[np.ndarray, "t n d"]) -> Float[Tensor, "t 512"]:
    """Embedding of every frame; rows of NaN where no face was found (points of NaN)."""
    seen = torch.from_numpy(np.isfinite(points).all((1, 2)))
    found = image.new_full((len(image), 512), torch.nan)
    if seen.any():
        found[seen] = network(aligned_faces(image[seen], points[seen.numpy()]))
    return found


def csim(embedding: Float[Tensor, "t d"], reference: Float[Tensor, "#t d"]) -> Float[Tensor, " t"]:
    """Cosine of embeddings, -1 to 1; NaN where there is none."""
    return F.cosine_similarity(embedding, reference.expand_as(embedding), dim=1)


class CSIM(RunningMean):
    """Mean over frames of ``csim``."""

    higher_is_better = True

    def update(self, embedding: Float[Tensor, "t d"], reference: Float[Tensor, "#t d"]) -> None:
        """Take in the embeddings of frames and that of the photograph."""
        self.add(csim(embedding, reference))
