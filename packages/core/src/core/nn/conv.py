"""Convolutional parts shared by the image encoders: normalisation by name, a light residual network, atrous pyramid pooling."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

Norm = Literal["batch", "group", "none"]


def norm_layer(kind: Norm, channels: int) -> nn.Module:
    """A normalisation by name. ``group`` has groups of at least eight channels and does not depend on the batch size."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "group":
        return nn.GroupNorm(max(channels // 8, 1), channels)
    return nn.Identity()


def conv3x3(in_channels: int, out_channels: int, stride: int = 1, dilation: int = 1, bias: bool = True) -> nn.Conv2d:
    """3x3 convolution that keeps the size (divided by ``stride``)."""
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=dilation, dilation=dilation, bias=bias)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with normalisation, added to a (projected) copy of the input (He et al. 2016)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, dilation: int = 1, norm: Norm = "group") -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, out_channels, stride, dilation, bias=norm == "none")
        self.norm1 = norm_layer(norm, out_channels)
        self.conv2 = conv3x3(out_channels, out_channels, 1, dilation, bias=norm == "none")
        self.norm2 = norm_layer(norm, out_channels)
        same = stride == 1 and in_channels == out_channels
        self.skip = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1, stride)

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o hh ww"]:
        """Features of the same or, with a stride, a smaller size."""
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.skip(x))


class LightResNet(nn.Sequential):
    """Residual encoder of output stride 8, for networks trained from scratch in tiny batches.

    Args:
        in_channels: channels of the image.
        widths: of the stem (stride 2) and of every following stage; stages two and three halve the size too, later ones dilate.
        depth: residual blocks per stage.
        norm: normalisation in the blocks.
    """

    def __init__(self, in_channels: int, widths: tuple[int, ...], depth: int = 2, norm: Norm = "group") -> None:
        layers: list[nn.Module] = [conv3x3(in_channels, widths[0], 2), norm_layer(norm, widths[0]), nn.ReLU()]
        for i in range(1, len(widths)):
            stride, dilation = (2, 1) if i < 3 else (1, 2 ** (i - 2))
            layers.append(ResidualBlock(widths[i - 1], widths[i], stride, dilation, norm))
            layers.extend(ResidualBlock(widths[i], widths[i], 1, dilation, norm) for _ in range(depth - 1))
        super().__init__(*layers)


class AtrousPyramid(nn.Module):
    """Atrous spatial pyramid pooling of DeepLabV3 without normalisation (Chen et al. 2017; spec 4).

    Args:
        in_channels: channels of the features.
        channels: of every branch and of the result.
        rates: dilations of the 3x3 branches.
        dropout: on the joined branches while training.
    """

    def __init__(self, in_channels: int, channels: int, rates: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        self.point = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.atrous = nn.ModuleList(conv3x3(in_channels, channels, 1, rate, bias=False) for rate in rates)
        self.pooled = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.project = nn.Conv2d(channels * (2 + len(rates)), channels, 1, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.last = conv3x3(channels, channels, bias=False)

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h w"]:
        """Features of the same size that have seen the whole image."""
        branches = [F.relu(self.point(x)), *(F.relu(branch(x)) for branch in self.atrous)]
        pooled = F.relu(self.pooled(x.mean((2, 3), keepdim=True))).expand(-1, -1, *x.shape[2:])
        joined = self.dropout(F.relu(self.project(torch.cat([*branches, pooled], 1))))
        return F.relu(self.last(joined))
