"""Copies of networks for inference, with everything multiplied out that does not depend on the input."""

from copy import deepcopy

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.parametrize import is_parametrized

SHALLOW = 4
"""Deepest volume whose convolutions become planar ones; the deeper it is, the more of their weight is zeros (2/9 of it at depth 3)."""


@torch.no_grad()
def folded(network: nn.Module, depth: int | None = None, dtype: torch.dtype | None = None) -> nn.Module:
    """A copy that gives the same results up to rounding, in eval mode and without gradients.

    Parametrised weights (spectral norm) are worked out, batch norms that follow a convolution are merged into it, activations
    overwrite their input. Weights are channels-last, which makes features so: convolutions of CPUs are up to twice as fast at it.

    Args:
        network: what to copy; it stays as it is.
        depth: of the volumes that its 3-D convolutions see; shallow ones are then computed by planar convolutions.
        dtype: of the copy; whoever runs it converts what goes in and what comes out.
    """
    copy = deepcopy(network).eval().requires_grad_(False)
    for part in list(copy.modules()):
        for name, child in part.named_children():
            if is_parametrized(child):
                setattr(part, name, _plain(child))
    for part in [part for part in copy.modules() if isinstance(part, nn.Sequential)]:
        _merge_norms(part)
    if depth is not None and 1 < depth <= SHALLOW:
        _flatten(copy, depth)
    for tensor in [*copy.parameters(), *copy.buffers()]:
        if tensor.ndim == 4:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
    return copy.to(dtype)


def _plain(conv: nn.Conv2d) -> nn.Conv2d:
    """With its weight worked out. The library's way of removing a parametrisation would also remove it from what was copied."""
    plain = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, padding=conv.padding, device="meta")
    plain.weight = nn.Parameter(conv.weight.detach().clone(), requires_grad=False)
    plain.bias = conv.bias
    return plain.eval()


def _flatten(network: nn.Module, depth: int) -> None:
    """Planar convolutions in place of those over a shallow volume."""
    for part in list(network.modules()):
        for name, child in part.named_children():
            if isinstance(child, nn.Conv3d):
                setattr(part, name, ShallowConv3d(child, depth))


def _merge_norms(layers: nn.Sequential) -> None:
    """Merge norms into the convolutions before them; activations behind a layer of the sequence may then work in place."""
    for i in range(1, len(layers)):
        before, layer = layers[i - 1], layers[i]
        if isinstance(before, nn.Conv2d | nn.Conv3d) and isinstance(layer, nn.BatchNorm2d | nn.BatchNorm3d):
            layers[i - 1], layers[i] = fuse_conv_bn_eval(before, layer), nn.Identity()
        if isinstance(layer, nn.ReLU | nn.LeakyReLU):
            layer.inplace = True


class ShallowConv3d(nn.Module):
    """A 3-D convolution with "same" padding as a 2-D one whose channels are channels times depth.

    CPU libraries are an order of magnitude faster at it when the volume is shallow.
    """

    def __init__(self, conv: nn.Conv3d, depth: int) -> None:
        super().__init__()
        out, into, kernel = conv.weight.shape[:3]
        weight = conv.weight.new_zeros(out, depth, into, depth, *conv.weight.shape[3:])
        for at in range(depth):
            for tap in range(kernel):
                source = at + tap - kernel // 2
                if 0 <= source < depth:
                    weight[:, at, :, source] = conv.weight[:, :, tap]
        self.depth = depth
        self.register_buffer("weight", rearrange(weight, "o d i e h w -> (o d) (i e) h w").contiguous())
        self.register_buffer("bias", None if conv.bias is None else conv.bias.detach().repeat_interleave(depth))

    def forward(self, x: Float[Tensor, "b i d h w"]) -> Float[Tensor, "b o d h w"]:
        """Convolve."""
        x = F.conv2d(rearrange(x, "b i d h w -> b (i d) h w"), self.weight, self.bias, padding=self.weight.shape[-1] // 2)
        return rearrange(x, "b (o d) h w -> b o d h w", d=self.depth)
