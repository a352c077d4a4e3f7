"""Non-causal WaveNet of gated 1-D convolutions, conditioned on another sequence (as in WaveGlow and VITS; own code)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm


class WaveNet(nn.Module):
    """``layers`` gated residual convolutions of dilation 1; every layer sees its own slice of one projection of the condition.

    Gate: tanh(a) * sigmoid(b) with (a, b) = conv(x) + cond. The last layer feeds the skip sum only.
    """

    def __init__(self, hidden: int, cond: int, layers: int, kernel: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.cond = weight_norm(nn.Conv1d(cond, 2 * hidden * layers, 1))
        self.gates = nn.ModuleList(weight_norm(nn.Conv1d(hidden, 2 * hidden, kernel, padding=kernel // 2)) for _ in range(layers))
        widths = [2 * hidden] * (layers - 1) + [hidden]
        self.outs = nn.ModuleList(weight_norm(nn.Conv1d(hidden, width, 1)) for width in widths)

    def forward(self, x: Float[Tensor, "b h t"], cond: Float[Tensor, "b c t"], mask: Float[Tensor, "b 1 t"]) -> Float[Tensor, "b h t"]:
        """Sum of the layers' skip outputs; frames where ``mask`` is 0 neither give nor receive."""
        skip = torch.zeros_like(x)
        conditions = self.cond(cond).chunk(len(self.gates), dim=1)
        for gate, out, condition in zip(self.gates, self.outs, conditions, strict=True):
            content, opening = (gate(x) + condition).chunk(2, dim=1)
            result = out(torch.tanh(content) * torch.sigmoid(opening))
            if result.shape[1] > self.hidden:
                x = (x + result[:, : self.hidden]) * mask
            skip = skip + result[:, -self.hidden :]
        return skip * mask
