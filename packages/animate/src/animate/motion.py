"""Which PNCCs a pair of frames needs: source, target, canonical (Eq. 1, 2)."""

from dataclasses import dataclass

import torch
from core.data.clips import PairBatch
from core.face.model import FaceModel
from core.face.pncc import render_pncc
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class PNCCs:
    """Position maps in [-1, 1], -1 where there is no face, all of the source's identity.

    Attributes:
        src: source expression.
        drv: driving expression.
        cano: neutral.
    """

    src: Float[Tensor, "b 3 p p"]
    drv: Float[Tensor, "b 3 p p"]
    cano: Float[Tensor, "b 3 p p"]


@torch.no_grad()
def draw_pnccs(face: FaceModel, batch: PairBatch, size: int) -> PNCCs:
    """PNCCs of a batch of pairs.

    Args:
        face: face model in which the coefficients are meant.
        batch: the source gives identity and source expression, the target the driving expression.
        size: side of the maps in pixels.
    """
    identity = batch.source.coeffs.id
    expressions = torch.cat([batch.source.coeffs.exp, batch.target.coeffs.exp, torch.zeros_like(batch.source.coeffs.exp)])
    return PNCCs(*render_pncc(face, identity.repeat(3, 1), expressions, size).chunk(3))
