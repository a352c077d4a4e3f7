"""The small network that turns tri-plane features into density and colour features (EG3D, Section 4.2; spec 3.2)."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from core.nn.stylegan import EqualLinear

Activation = Literal["softplus", "silu"]
COLOUR_SCALE, COLOUR_SHIFT = 1.002, -0.001


class PlaneDecoder(nn.Module):
    """Two equalised layers: ``channels -> hidden -> 1 + features``; 4,257 parameters at 32-64-33.

    Args:
        channels: channels of the planes.
        hidden: width of the hidden layer.
        features: colour features per point; the first three are RGB.
        activation: softplus as published, or silu, several times cheaper on a CPU, for networks trained from scratch.
        sigma_bias: initial bias of the raw density; negative values start with a more transparent volume.
    """

    def __init__(
        self, channels: int = 32, hidden: int = 64, features: int = 32, activation: Activation = "softplus", sigma_bias: float = 0.0
    ) -> None:
        super().__init__()
        self.hidden = EqualLinear(channels, hidden)
        self.out = EqualLinear(hidden, 1 + features)
        self.activation = activation
        with torch.no_grad():
            self.out.bias[0] = sigma_bias

    def embed(self, x: Float[Tensor, "*b c"]) -> Float[Tensor, "*b h"]:
        """The hidden layer."""
        x = self.hidden(x)
        if self.activation == "silu":
            return F.silu(x, inplace=not x.requires_grad)
        return fast_softplus(x)

    def forward(self, x: Float[Tensor, "*b c"]) -> tuple[Float[Tensor, "*b"], Float[Tensor, "*b f"]]:
        """Raw density and raw colour logits of points.

        Returns:
            sigma: raw density; what is rendered is ``softplus(mean of neighbours - 1)`` (see ``core.render.volume``).
            logits: colours before ``colour_of``. Two products rather than one: slices of a joint result would not be contiguous.
        """
        x = self.embed(x)
        weight = self.out.weight * self.out.gain
        return F.linear(x, weight[:1], self.out.bias[:1]).squeeze(-1), F.linear(x, weight[1:], self.out.bias[1:])

    def sigma(self, x: Float[Tensor, "*b c"]) -> Float[Tensor, "*b"]:
        """Raw density alone."""
        weight = self.out.weight[:1] * self.out.gain
        return F.linear(self.embed(x), weight, self.out.bias[:1]).squeeze(-1)


def colour_of(logits: Float[Tensor, "*b f"]) -> Float[Tensor, "*b f"]:
    """Colours in (-0.001, 1.001), so that 0 and 1 are within reach (MipNeRF's widened sigmoid)."""
    return torch.sigmoid(logits) * COLOUR_SCALE + COLOUR_SHIFT


def fast_softplus(x: Tensor) -> Tensor:
    """``softplus``, on a CPU without autograd as ``log1p(exp(x))`` in place, which is faster than the library's and equal within 1e-6."""
    if x.requires_grad or x.device.type != "cpu" or x.dtype != torch.float32:
        return F.softplus(x)
    # exp overflows at 88; beyond 20 softplus(x) is x to float32 precision, and max() keeps it so
    return torch.maximum(x.clamp(max=20.0).exp_().log1p_(), x)
