"""Transformer parts of SegFormer (Xie et al. 2021, Section 3): overlapping patches, attention with reduced keys, Mix-FFN, the MiT encoder.

Written from the paper. No positional codes: the zero padding of the depth-wise convolution in the Mix-FFN tells where a token is.
Parameter names differ from the authors' code, whose licence is non-commercial.
"""

import math
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from core.nn.attention import attend


@dataclass(frozen=True)
class MiTConfig:
    """Sizes of a Mix Transformer encoder; the defaults are MiT-B0 (3.319 M parameters)."""

    in_channels: int = 3
    """Channels of the input image."""
    widths: tuple[int, ...] = (32, 64, 160, 256)
    """Token width of every stage."""
    depths: tuple[int, ...] = (2, 2, 2, 2)
    """Transformer blocks of every stage."""
    heads: tuple[int, ...] = (1, 2, 5, 8)
    """Attention heads of every stage."""
    reductions: tuple[int, ...] = (8, 4, 2, 1)
    """Keys and values are taken from maps this many times smaller, per stage."""
    patches: tuple[int, ...] = (7, 3, 3, 3)
    """Kernel of the overlapping patch embedding, per stage."""
    strides: tuple[int, ...] = (4, 2, 2, 2)
    """Stride of the overlapping patch embedding, per stage."""
    mlp_ratio: float = 4.0
    """Hidden width of the Mix-FFN over token width."""
    drop_path: float = 0.1
    """Stochastic depth of the last block; grows linearly from 0 at the first. Active in training mode only."""


class DropPath(nn.Module):
    """Stochastic depth: drop the whole residual branch of a sample with probability ``rate`` while training."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Float[Tensor, "b n c"]) -> Float[Tensor, "b n c"]:
        """Scale kept samples by ``1 / (1 - rate)`` so that the expectation stays."""
        if not self.training or self.rate == 0:
            return x
        keep = torch.rand(x.shape[0], 1, 1, device=x.device) >= self.rate
        return x * keep.to(x.dtype) / (1 - self.rate)


class OverlapPatchEmbed(nn.Module):
    """Strided convolution whose patches overlap, then layer normalisation of the tokens."""

    def __init__(self, in_channels: int, width: int, patch: int = 3, stride: int = 2) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, width, patch, stride, patch // 2)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b n d"], tuple[int, int]]:
        """Tokens in row-major order and the size (rows, columns) of their grid."""
        x = self.proj(x)
        size = (x.shape[2], x.shape[3])
        return self.norm(rearrange(x, "b d h w -> b (h w) d")), size


class ReducedAttention(nn.Module):
    """Multi-head self-attention whose keys and values come from a ``reduction`` times smaller map."""

    def __init__(self, width: int, heads: int, reduction: int = 1) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)
        self.reduce = nn.Conv2d(width, width, reduction, reduction) if reduction > 1 else None
        self.norm = nn.LayerNorm(width) if reduction > 1 else None

    def forward(self, x: Float[Tensor, "b n c"], size: tuple[int, int]) -> Float[Tensor, "b n c"]:
        """Attend over the whole grid of ``size`` (rows, columns)."""
        source = x
        if self.reduce is not None and self.norm is not None:
            small = self.reduce(rearrange(x, "b (h w) c -> b c h w", h=size[0]))
            source = self.norm(rearrange(small, "b c h w -> b (h w) c"))
        query = rearrange(self.query(x), "b n (h d) -> b h n d", h=self.heads)
        key, value = rearrange(self.key_value(source), "b m (two h d) -> two b h m d", two=2, h=self.heads)
        mixed = attend(query, key, value)
        return self.proj(rearrange(mixed, "b h n d -> b n (h d)"))


class MixFFN(nn.Module):
    """Feed-forward layer with a 3x3 depth-wise convolution between its two linear maps."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.expand = nn.Linear(width, hidden)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, 1, 1, groups=hidden)
        self.project = nn.Linear(hidden, width)

    def forward(self, x: Float[Tensor, "b n c"], size: tuple[int, int]) -> Float[Tensor, "b n c"]:
        """Apply to tokens of a grid of ``size`` (rows, columns)."""
        grid = rearrange(self.expand(x), "b (h w) c -> b c h w", h=size[0])
        return self.project(F.gelu(rearrange(self.depthwise(grid), "b c h w -> b (h w) c")))


class MixBlock(nn.Module):
    """Pre-norm transformer block: attention with reduced keys, then Mix-FFN.

    Args:
        width: token width.
        heads: attention heads; must divide ``width``.
        mlp_ratio: hidden over token width of the Mix-FFN.
        reduction: spatial reduction of keys and values (1 = none).
        drop_path: stochastic depth while training.
    """

    def __init__(self, width: int, heads: int, mlp_ratio: float = 4.0, reduction: int = 1, drop_path: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attention = ReducedAttention(width, heads, reduction)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.ffn = MixFFN(width, int(width * mlp_ratio))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Float[Tensor, "b n c"], size: tuple[int, int]) -> Float[Tensor, "b n c"]:
        """Tokens of a grid of ``size`` (rows, columns), unchanged in shape."""
        x = x + self.drop_path(self.attention(self.norm1(x), size))
        return x + self.drop_path(self.ffn(self.norm2(x), size))


class MiT(nn.Module):
    """Mix Transformer: a pyramid of feature maps, coarser from stage to stage."""

    def __init__(self, config: MiTConfig) -> None:
        super().__init__()
        rates = torch.linspace(0, config.drop_path, sum(config.depths), device="cpu").tolist()
        inputs = (config.in_channels, *config.widths[:-1])
        self.embeds = nn.ModuleList(
            OverlapPatchEmbed(*each) for each in zip(inputs, config.widths, config.patches, config.strides, strict=True)
        )
        self.stages = nn.ModuleList()
        for width, depth, heads, reduction in zip(config.widths, config.depths, config.heads, config.reductions, strict=True):
            blocks = [MixBlock(width, heads, config.mlp_ratio, reduction, rates.pop(0)) for _ in range(depth)]
            self.stages.append(nn.ModuleList(blocks))
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=1e-6) for width in config.widths)
        self.apply(init_segformer)

    def forward(self, x: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """Feature maps of all stages, finest first."""
        maps = []
        for embed, blocks, norm in zip(self.embeds, self.stages, self.norms, strict=True):
            tokens, size = embed(x)
            for block in blocks:
                tokens = block(tokens, size)
            x = rearrange(norm(tokens), "b (h w) c -> b c h w", h=size[0])
            maps.append(x)
        return maps


def init_segformer(module: nn.Module) -> None:
    """For ``Module.apply``: truncated normal 0.02 for linear maps, He (fan-out) for convolutions, zero biases (spec 4)."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
        nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / fan_out))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
