"""Volume-preserving normalising flow that turns the standard normal into the prior of the latent code (paper 3.4)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from audio2motion.wavenet import WaveNet


class Coupling(nn.Module):
    """Shifts the second half of the channels by a function of the first half and of the condition (mean only: no log-determinant)."""

    def __init__(self, latent: int, hidden: int, cond: int, layers: int) -> None:
        super().__init__()
        self.pre = nn.Conv1d(latent // 2, hidden, 1)
        self.net = WaveNet(hidden, cond, layers, kernel=3)
        self.post = nn.Conv1d(hidden, latent // 2, 1)
        nn.init.zeros_(self.post.weight)
        nn.init.zeros_(self.post.bias)

    def shift(self, half: Float[Tensor, "b k t"], cond: Float[Tensor, "b c t"], mask: Float[Tensor, "b 1 t"]) -> Float[Tensor, "b k t"]:
        """What is added to the second half going towards the normal distribution."""
        return self.post(self.net(self.pre(half) * mask, cond, mask)) * mask


class PriorFlow(nn.Module):
    """``steps`` couplings, the channels reversed after each."""

    def __init__(self, latent: int, hidden: int, cond: int, layers: int, steps: int) -> None:
        super().__init__()
        self.steps = nn.ModuleList(Coupling(latent, hidden, cond, layers) for _ in range(steps))

    def forward(self, z: Float[Tensor, "b z t"], cond: Float[Tensor, "b c t"], mask: Float[Tensor, "b 1 t"]) -> Float[Tensor, "b z t"]:
        """Latent code to (what training makes) standard normal noise."""
        for step in self.steps:
            first, second = z.chunk(2, dim=1)
            z = torch.cat([first, second + step.shift(first, cond, mask)], dim=1).flip(1)
        return z

    def inverse(self, z: Float[Tensor, "b z t"], cond: Float[Tensor, "b c t"], mask: Float[Tensor, "b 1 t"]) -> Float[Tensor, "b z t"]:
        """Noise to latent code: the exact inverse of `forward`."""
        for step in reversed(self.steps):
            first, second = z.flip(1).chunk(2, dim=1)
            z = torch.cat([first, second - step.shift(first, cond, mask)], dim=1)
        return z
