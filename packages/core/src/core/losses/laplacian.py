"""Steady motion planes: the Laplacian loss of Eq. 4 and the perturbation that the released code prefers (spec 9.2)."""

import torch
from jaxtyping import Float
from torch import Tensor


def laplacian(
    before: Float[Tensor, "b 3 c p p"], now: Float[Tensor, "b 3 c p p"], after: Float[Tensor, "b 3 c p p"], power: int = 2
) -> Float[Tensor, ""]:
    """Eq. 4: the diff-plane of frame t should be the mean of those of its neighbours.

    Args:
        before: ``MA(PNCC_t-1)``.
        now: ``MA(PNCC_t)``.
        after: ``MA(PNCC_t+1)``.
        power: 2 as in the paper, 1 as in the released code. The mean over all features is taken.
    """
    difference = now - (before + after) / 2
    return difference.square().mean() if power == 2 else difference.abs().mean()


def perturb(codes: Float[Tensor, "b d"], generator: torch.Generator | None = None, scale: float = 0.01) -> Float[Tensor, "b d"]:
    """Identity or expression codes with a little noise.

    The L1 distance of the diff-planes before and after is what the released code uses in place of Eq. 4.

    Args:
        codes: whitened coefficients.
        generator: of the noise; None uses torch's global one.
        scale: standard deviation.
    """
    device = codes.device if generator is None else generator.device
    return codes + scale * torch.randn(codes.shape, generator=generator, device=device).to(codes)
