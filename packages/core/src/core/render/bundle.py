"""The rays of one pass, and leaving out those that are not worth marching."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.render.sampling import Noise


@dataclass(frozen=True)
class Bundle:
    """Rays with their bounds and the noise of their samples (see ``core.render.sampling``)."""

    origins: Float[Tensor, "b n 3"]
    directions: Float[Tensor, "b n 3"]
    near: Float[Tensor, "b n"]
    far: Float[Tensor, "b n"]
    coarse_noise: Noise
    fine_noise: Noise

    def take(self, index: Int[Tensor, "b k"]) -> "Bundle":
        """The rays of ``index``, per sample."""
        return self._map(lambda x: take(x, index))

    def part(self, start: int, stop: int) -> "Bundle":
        """A range of the rays."""
        return self._map(lambda x: x[:, start:stop])

    def _map(self, function: Callable[[Tensor], Tensor]) -> "Bundle":
        values = (self.origins, self.directions, self.near, self.far, self.coarse_noise, self.fine_noise)
        return Bundle(*(function(x) if isinstance(x, Tensor) else x for x in values))


def worthwhile(mask: Bool[Tensor, "b n"]) -> Int[Tensor, "b k"] | None:
    """Indices of the marked rays, in order, as many for every sample as the fullest has (some unmarked ones fill up); None: all.

    Counting waits for the device, so call it on a CPU only.
    """
    most = int(mask.sum(1).max())
    return None if most == mask.shape[1] else mask.byte().sort(dim=1, descending=True, stable=True).indices[:, :most]


def take(x: Float[Tensor, "b n *c"], index: Int[Tensor, "b k"]) -> Float[Tensor, "b k *c"]:
    """Rows of ``x`` by index, per sample."""
    return x.gather(1, index.view(*index.shape, *(1,) * (x.ndim - 2)).expand(-1, -1, *x.shape[2:]))


def put_back(x: Float[Tensor, "b k c"], index: Int[Tensor, "b k"], whole: Float[Tensor, "b n c"]) -> Float[Tensor, "b n c"]:
    """``whole`` with the rows of ``index`` replaced."""
    return whole.scatter(1, index[..., None].expand_as(x), x)


def blank(like: Float[Tensor, "b k c"], rays: int, value: float | Float[Tensor, ""]) -> Float[Tensor, "b n c"]:
    """Rows for all rays, filled with one value."""
    return torch.zeros(like.shape[0], rays, like.shape[2]).to(like) + value
