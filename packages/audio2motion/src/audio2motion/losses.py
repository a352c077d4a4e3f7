"""Objectives of stage 4 as pure functions (Eq. 6, spec 8.3). Masks are 1 on real frames, 0 on padding."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms; the defaults are the released recipe without the sync term, which is not in the paper."""

    kl: float = 0.02
    """Peak of the cyclic KL weight."""
    kl_ramp: int = 2000
    """Steps of each linear rise from 0, and of the flat part after it."""
    exp: float = 0.5
    """Expression codes."""
    landmark: float = 0.5
    """468 landmarks, at 10 times face units."""
    laplacian: float = 1.0
    """Second difference over time."""
    l2: float = 0.1
    """Size of the codes."""
    sync: float = 0.0
    """What a trained sync expert finds wrong (``model.sync_expert``); 0 in the paper, 0.2 in the release."""
    prior: float = 0.0
    """Expression and landmark terms again on motion decoded from the prior, as inference does; 0 in the paper."""
    lips: float = 0.0
    """Distance of the lips, not squared: its optimum in doubt is one of the mouths, not the mean of all; 0 in the paper."""
    viseme: float = 0.0
    """Which kind of sound is said, asked of what the network hears (`viseme_classes`); needs a corpus that tells; 0 in the paper."""


def cyclic_weight(step: int, peak: float, ramp: int) -> float:
    """Rises linearly from 0 to ``peak`` in ``ramp`` steps, stays as long, starts again."""
    return peak * min(1.0, (step % (2 * ramp)) / ramp)


def masked_mean(values: Float[Tensor, "b t *rest"], mask: Float[Tensor, "b t"]) -> Float[Tensor, ""]:
    """Mean over the real frames (and over everything else)."""
    per_frame = values.flatten(2).mean(2) if values.ndim > 2 else values
    return (per_frame * mask).sum() / mask.sum().clamp(min=1)


def expression_loss(made: Float[Tensor, "b t 64"], true: Float[Tensor, "b t 64"], mask: Float[Tensor, "b t"]) -> Float[Tensor, ""]:
    """Mean squared error of the codes."""
    return masked_mean((made - true).square(), mask)


def landmark_metric(basis: Float[Tensor, "n 3 64"], weights: Float[Tensor, "n"]) -> Float[Tensor, "64 64"]:
    """The symmetric matrix G with d^T G d = weighted mean squared motion of the key points, 10 x face units, for a code difference d.

    The face model is linear and the identity cancels because both faces share it, so 468 points cost no more than 64 numbers.
    """
    rows = (10 * weights.sqrt()[:, None, None] * basis).flatten(0, 1)
    return rows.T @ rows / rows.shape[0]


def landmark_loss(
    made: Float[Tensor, "b t 64"], true: Float[Tensor, "b t 64"], mask: Float[Tensor, "b t"], metric: Float[Tensor, "64 64"]
) -> Float[Tensor, ""]:
    """Weighted mean squared distance of the key points; ``metric`` from `landmark_metric`."""
    return masked_mean(_squared_distance(made, true, metric), mask)


def lip_loss(
    made: Float[Tensor, "b t 64"], true: Float[Tensor, "b t 64"], mask: Float[Tensor, "b t"], metric: Float[Tensor, "64 64"]
) -> Float[Tensor, ""]:
    """Mean over time of the root mean squared distance of the lips; ``metric`` from `landmark_metric` with weights on the lips only.

    Squared distances are least at the mean of all mouths that a sound may have, which is half open and half round; distances are least at
    their (geometric) median, so a closure or a rounding that is likelier than not is made in full.
    """
    return masked_mean((_squared_distance(made, true, metric) + 1e-5).sqrt(), mask)


def _squared_distance(made: Float[Tensor, "b t 64"], true: Float[Tensor, "b t 64"], metric: Float[Tensor, "64 64"]) -> Float[Tensor, "b t"]:
    error = made - true
    return ((error @ metric) * error).sum(-1)


def laplacian_loss(exp: Float[Tensor, "b t 64"], mask: Float[Tensor, "b t"]) -> Float[Tensor, ""]:
    """Mean of (e_t - (e_{t-1} + e_{t+1}) / 2)^2 with zeros beyond the ends (Eq. 4 in time)."""
    padded = F.pad(exp * mask[..., None], (0, 0, 1, 1))
    return masked_mean((exp - 0.5 * (padded[:, :-2] + padded[:, 2:])).square(), mask)


def viseme_loss(scores: Float[Tensor, "b t k"], viseme: Int[Tensor, "b t"]) -> Float[Tensor, ""]:
    """Cross-entropy over the frames whose class is known (not negative); 0 when there are none."""
    known = viseme >= 0
    return F.cross_entropy(scores[known], viseme[known], reduction="sum") / known.sum().clamp(min=1)


def sync_loss(agreement: Float[Tensor, "k"], together: Float[Tensor, "k"]) -> Float[Tensor, ""]:
    """Binary cross-entropy of the sync expert's agreement in [0, 1]; 0 when there are no pairs."""
    if agreement.numel() == 0:
        return agreement.sum()
    return F.binary_cross_entropy(agreement.float().clamp(1e-6, 1 - 1e-6), together.float())
