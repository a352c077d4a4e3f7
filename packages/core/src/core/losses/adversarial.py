"""Non-saturating GAN losses with the R1 penalty (spec 6.2)."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def generator_loss(fake: Float[Tensor, "b 1"]) -> Float[Tensor, ""]:
    """``softplus(-D(fake))``: small where the discriminator takes the image for real."""
    return F.softplus(-fake).mean()


def discriminator_loss(real: Float[Tensor, "b 1"], fake: Float[Tensor, "b 1"]) -> Float[Tensor, ""]:
    """``softplus(-D(real)) + softplus(D(fake))``."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def r1_penalty(real: Float[Tensor, "b 1"], images: list[Tensor]) -> Float[Tensor, ""]:
    """Half the squared gradient of the logits with respect to real images (Mescheder et al. 2018); EG3D's gamma multiplies it.

    Args:
        real: logits computed from ``images``.
        images: inputs that require gradients, batch first; their penalties add up.
    """
    gradients = torch.autograd.grad(real.sum(), images, create_graph=True)
    return 0.5 * sum(gradient.square().flatten(1).sum(1).mean() for gradient in gradients)
