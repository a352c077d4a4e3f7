"""Volume rendering on a GPU through the kernels of ``core.render.march_triton``, with gradients of planes and decoder.

Planes stay in their own precision (float16 or bfloat16 halve what is read); everything is computed and added up in float32. Products
are of three parts for float32 planes (``tf32x3``) and of one for the others, whose own rounding is as large.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from core.render.bundle import Bundle
from core.render.decoder import PlaneDecoder
from core.render.march_triton import density_forward, march_backward, march_forward

BLOCK, RAYS, RAYS_BACK = 64, 64, 16
"""Samples of a program of densities, rays of a program that marches and of one that goes back: the fewest instructions for a sample
(``tools/kernel_sizes.py``) of those tried, 16 to 128 with 2 to 16 warps."""
STOP_TRAINING, STOP = 1e-7, 1e-5
"""Light at which a tile of rays is left, with and without gradients."""


@dataclass(frozen=True)
class Scene:
    """What rays run through: planes and decoder as the kernels read them.

    Attributes:
        table: planes with their channels last and one texel of zeros around each; channels are filled up to a power of two.
        net: ``decoder_row``.
        sizes: channels, hidden width and colour features, filled up to powers of two.
        silu: hidden activation; softplus otherwise.
        axes: (column, row) coordinate of the three planes, six numbers.
        scale: from world units to [-1, 1] within the box.
    """

    table: Float[Tensor, "b 3 hh ww c"]
    net: Float[Tensor, " p"]
    sizes: tuple[int, int, int]
    silu: bool
    axes: tuple[int, ...]
    scale: float

    @classmethod
    def of(cls, planes: Float[Tensor, "b 3 c h w"], decoder: PlaneDecoder, axes: tuple[tuple[int, int], ...], box: float) -> "Scene":
        """From planes and decoder; differentiable."""
        hidden, channels = decoder.hidden.weight.shape
        sizes = tuple(_filled(n) for n in (channels, hidden, decoder.out.weight.shape[0] - 1))
        table = F.pad(planes.permute(0, 1, 3, 4, 2), (0, sizes[0] - channels, 1, 1, 1, 1)).contiguous()
        net = decoder_row(decoder, sizes)
        return cls(table, net, sizes, decoder.activation == "silu", tuple(x for pair in axes for x in pair), 2 / box)

    def constants(self, size: int) -> tuple[Any, ...]:
        """The kernels' last arguments; ``size`` is the number of samples or rays of a program."""
        return *self.sizes, self.silu, self.axes, "tf32x3" if self.table.dtype == torch.float32 else "tf32", size

    def numbers(self, depths: Float[Tensor, "b n s"]) -> tuple[int | float, ...]:
        """Rays, samples, height, width, scale."""
        return *depths.shape[1:], self.table.shape[2] - 2, self.table.shape[3] - 2, self.scale


def decoder_row(decoder: PlaneDecoder, sizes: tuple[int, int, int]) -> Float[Tensor, " p"]:
    """All of the decoder with its gains in one row, filled up with zeros: hidden (c, h), (h); density (h), (1); colour (h, f), (f)."""
    channels, hidden, features = sizes
    w1, b1 = decoder.hidden.weight * decoder.hidden.gain, decoder.hidden.bias * decoder.hidden.lr_multiplier
    w2, b2 = decoder.out.weight * decoder.out.gain, decoder.out.bias
    missing = hidden - w1.shape[0]
    parts = (
        F.pad(w1, (0, channels - w1.shape[1], 0, missing)).T,
        F.pad(b1, (0, missing)),
        F.pad(w2[0], (0, missing)),
        b2[:1],
        F.pad(w2[1:], (0, missing, 0, features + 1 - len(w2))).T,
        F.pad(b2[1:], (0, features + 1 - len(b2))),
    )
    return torch.cat([part.flatten() for part in parts]).float()


def density(scene: Scene, bundle: Bundle, depths: Float[Tensor, "b n s"]) -> Float[Tensor, "b n s"]:
    """Raw density at depths along rays, without gradients."""
    depths, out = depths.contiguous(), torch.empty_like(depths, memory_format=torch.contiguous_format)
    grid = (-(-depths[0].numel() // BLOCK), len(depths))
    rays = (bundle.origins.contiguous(), bundle.directions.contiguous(), depths)
    with torch.cuda.device_of(depths):
        density_forward[grid](scene.table, scene.net, *rays, out, *scene.numbers(depths), *scene.constants(BLOCK))
    return out


def march(
    scene: Scene, bundle: Bundle, depths: Float[Tensor, "b n s"], density_scale: float
) -> tuple[Float[Tensor, "b n f"], Float[Tensor, "b n 1"], Float[Tensor, "b n 1"]]:
    """Weighted sums along rays with sorted depths: of the sigmoid of colours, of mid-depths, and of the weights themselves."""
    origins, directions = bundle.origins.contiguous(), bundle.directions.contiguous()
    sums, rest = _March.apply(scene.table, scene.net, origins, directions, depths.contiguous(), scene, density_scale)
    return sums, rest[..., :1], rest[..., 1:]


class _March(torch.autograd.Function):
    """Autograd around the two kernels."""

    @staticmethod
    def forward(
        ctx: Any, table: Tensor, net: Tensor, origins: Tensor, directions: Tensor, depths: Tensor, scene: Scene, density_scale: float
    ) -> tuple[Tensor, Tensor]:
        sums = depths.new_empty(*depths.shape[:2], scene.sizes[2])
        rest = depths.new_empty(*depths.shape[:2], 2)
        stop = STOP_TRAINING if any(ctx.needs_input_grad) else STOP
        grid, given = (-(-depths.shape[1] // RAYS), len(depths)), (table, net, origins, directions, depths)
        numbers = (*scene.numbers(depths), density_scale, stop)
        with torch.cuda.device_of(depths):
            march_forward[grid](*given, sums, rest, *numbers, *scene.constants(RAYS))
        ctx.save_for_backward(*given, sums, rest)
        ctx.last = (*numbers, *scene.constants(RAYS_BACK))
        return sums, rest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_sums: Tensor, grad_rest: Tensor) -> tuple[Tensor | None, ...]:
        table, net, *_, sums, _ = ctx.saved_tensors
        grid = (-(-sums.shape[1] // RAYS_BACK), len(sums))
        grad_table = torch.zeros_like(table, dtype=torch.float32)
        grad_net = net.new_empty(grid[0] * grid[1], len(net))
        with torch.cuda.device_of(table):
            march_backward[grid](*ctx.saved_tensors, grad_sums.contiguous(), grad_rest.contiguous(), grad_table, grad_net, *ctx.last)
        return grad_table.to(table.dtype), grad_net.sum(0), None, None, None, None, None


def _filled(count: int) -> int:
    """The power of two that the kernels use for a width; tensor cores want 16 at least."""
    return max(16, 1 << (count - 1).bit_length())
