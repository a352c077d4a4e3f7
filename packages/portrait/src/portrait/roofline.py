"""What a machine can do at best, and how near to it something comes (the roofline model: Williams et al. 2009)."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

SIDE, COPY, TRIES = 2048, 2**25, 5
"""Of the square matrices that are multiplied, numbers that are copied, and how often each; the best counts."""


@dataclass(frozen=True)
class Peaks:
    """Limits of a device, measured with the library's own products and copies.

    Attributes:
        flops: operations a second in products of matrices, two per multiplication.
        bytes: read and written a second.
    """

    flops: float
    bytes: float

    @classmethod
    def of(cls, device: torch.device, dtype: torch.dtype) -> "Peaks":
        """Measure; takes about a second on a CPU core."""
        matrix = torch.ones(SIDE, SIDE, device=device, dtype=dtype)
        row, other = torch.ones(2, COPY, device=device)
        product = _fastest(lambda: matrix @ matrix, device)
        copy = _fastest(lambda: other.copy_(row), device)
        return cls(2 * SIDE**3 / product, 8 * COPY / copy)

    def share(self, gflop: float, mib: float, milliseconds: float) -> float:
        """Least time for so many operations and so much memory, over the time taken."""
        return 1e3 * max(1e9 * gflop / self.flops, 2**20 * mib / self.bytes) / milliseconds


def traffic(networks: Iterable[nn.Module], tensors: Any, dtype: torch.dtype) -> float:
    """MiB that have to be moved at least: weights in the type that is computed in, what goes in and what comes out.

    Args:
        networks: whose weights are read.
        tensors: tensors, or lists, tuples and dataclasses of them.
        dtype: that products are computed in.
    """
    weights = sum(p.numel() for network in networks for p in network.parameters()) * dtype.itemsize
    return (weights + sum(x.numel() * x.element_size() for x in tensors_in(tensors))) / 2**20


def tensors_in(value: Any) -> list[Tensor]:
    """Those of nested lists, tuples and dataclasses; what else is there does not count."""
    if isinstance(value, Tensor):
        return [value]
    parts = value if isinstance(value, (list, tuple)) else vars(value).values() if hasattr(value, "__dataclass_fields__") else ()
    return [x for part in parts for x in tensors_in(part)]


def _fastest(run: Callable[[], Any], device: torch.device) -> float:
    """Seconds of the best of some runs."""
    best = float("inf")
    for _ in range(TRIES):
        start = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - start)
    return best
