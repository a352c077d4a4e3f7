"""FID (Heusel et al. 2017): how far apart two sets of pictures are, as Gaussians in the feature space of Inception."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from core.errors import PortraitError


def fid(fake: Float[Tensor, "n d"], real: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
    """Frechet distance of two sets of features, from 0.

    ``|mu_a - mu_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2))``. With centred features ``A``, ``B`` over the square roots of their numbers
    less one, the last trace is the sum of the singular values of ``A B^T``: exact also for fewer pictures than features.

    Raises:
        PortraitError: ``E_FID`` for fewer than two pictures on either side.
    """
    if min(len(fake), len(real)) < 2:
        raise PortraitError("E_FID", "FID needs two pictures or more on either side", "Score more frames.")
    (mean_a, a), (mean_b, b) = (_centred(x.double()) for x in (fake, real))
    return (mean_a - mean_b).square().sum() + a.square().sum() + b.square().sum() - 2 * torch.linalg.svdvals(a @ b.T).sum()


def _centred(features: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " d"], Float[Tensor, "k d"]]:
    """Mean, and a root of the covariance: ``root^T root``."""
    mean = features.mean(0)
    root = (features - mean) / (len(features) - 1) ** 0.5
    return mean, torch.linalg.qr(root, mode="r").R if len(root) > root.shape[1] else root


class _Features(nn.Module):
    """Features that have been computed already, in the place of torchmetrics' network."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_features = width

    def forward(self, features: Tensor) -> Tensor:
        return features


class FID(FrechetInceptionDistance):
    """``fid`` of features that come in parts, from any number of ranks: ``update(features, real=True or False)``.

    Args:
        width: numbers per picture.
        options: of ``torchmetrics.Metric``.
    """

    def __init__(self, width: int = 2048, **options: Any) -> None:
        super().__init__(_Features(width), **options)
