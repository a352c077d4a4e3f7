"""Layers of StyleGAN2 (Karras et al. 2020) as EG3D uses them: equalised layers, FIR resampling, modulated convolution, synthesis block.

Written from the papers; tensors are laid out so that published weights load after renaming. There is no noise input: Real3D-Portrait
always renders without it (spec 3.4). Layers are *equalised*: the stored weight has unit variance and is scaled by ``1/sqrt(fan_in)``
when used, so raw checkpoints must be scaled to compare them with ordinary layers.

Where the style is the same for the whole batch (Real3D-Portrait feeds ``w = ones``), modulation is a constant scaling of the weight:
``SynthesisBlock`` then runs plain convolutions, and ``fold()`` stores the scaled weights once and for all.
"""

import math
from itertools import pairwise

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

FIR = (1.0, 3.0, 3.0, 1.0)
UP_GAIN = 4.0
"""What the filter's taps sum to after doubling the size, which fills three of four places with zeros."""
SLOPE = 0.2
"""Of negative values after an activation."""


def lrelu(x: Tensor) -> Tensor:
    """Leaky ReLU 0.2 times sqrt(2), which keeps unit variance."""
    return F.leaky_relu(x, SLOPE) * math.sqrt(2)


def fir_kernel(channels: int, gain: float, like: Tensor) -> Float[Tensor, "c 1 4 4"]:
    """The separable low-pass [1, 3, 3, 1], normalised to sum ``gain``, once per channel."""
    taps = torch.tensor(FIR, dtype=like.dtype, device=like.device)
    return (torch.outer(taps, taps) * (gain / taps.sum() ** 2)).expand(channels, 1, 4, 4)


def upsample2d(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c hh ww"]:
    """Twice the size through the FIR filter; outside the image is zero.

    [1, 3, 3, 1] at factor 2 weighs neighbours 3/4 and 1/4, which is bilinear interpolation of the zero-padded image.
    """
    return F.interpolate(F.pad(x, (1, 1, 1, 1)), scale_factor=2, mode="bilinear", align_corners=False)[:, :, 2:-2, 2:-2]


def downsample2d(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c hh ww"]:
    """Half the size through the FIR filter; outside the image is zero."""
    return F.conv2d(x, fir_kernel(x.shape[1], 1.0, x), stride=2, padding=1, groups=x.shape[1])


def blur2d(
    x: Float[Tensor, "b c h w"], padding: int, gain: float = 1.0, bias: Float[Tensor, " c"] | None = None
) -> Float[Tensor, "b c hh ww"]:
    """FIR filter at full resolution after zero padding of ``padding`` pixels on all sides (the result loses 3 pixels)."""
    return F.conv2d(x, fir_kernel(x.shape[1], gain, x), bias, padding=padding, groups=x.shape[1])


def transposed(x: Float[Tensor, "b i h w"], weight: Float[Tensor, "o i k k"]) -> Float[Tensor, "b o hh ww"]:
    """Transposed convolution of stride 2, before the FIR filter."""
    return F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)


class EqualLinear(nn.Module):
    """Equalised linear layer.

    Args:
        in_features: width of the input.
        out_features: width of the output.
        bias: initial value of the bias, or None for no bias.
        lr_multiplier: scales weight and bias at run time (and so their effective learning rate).
        activate: apply ``lrelu``.
    """

    def __init__(
        self, in_features: int, out_features: int, bias: float | None = 0.0, lr_multiplier: float = 1.0, activate: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = None if bias is None else nn.Parameter(torch.full((out_features,), float(bias)))
        self.gain = lr_multiplier / math.sqrt(in_features)
        self.lr_multiplier = lr_multiplier
        self.activate = activate

    def forward(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "*b o"]:
        """Map the last axis."""
        x = F.linear(x, self.weight * self.gain, None if self.bias is None else self.bias * self.lr_multiplier)
        return lrelu(x) if self.activate else x


class EqualConv2d(nn.Module):
    """Equalised convolution with 'same' padding, optionally FIR-filtered and halved in size, then ``lrelu``."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int = 3, bias: bool = True, down: bool = False, activate: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.gain = 1 / math.sqrt(in_channels * kernel**2)
        self.down = down
        self.activate = activate

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o hh ww"]:
        """Convolve; ``hh`` is ``h`` or, with ``down``, ``h / 2``."""
        weight = self.weight * self.gain
        pad = weight.shape[-1] // 2
        if self.down and pad == 0:
            x = F.conv2d(downsample2d(x), weight, self.bias)
        elif self.down:
            x = F.conv2d(blur2d(x, padding=2), weight, self.bias, stride=2)
        else:
            x = F.conv2d(x, weight, self.bias, padding=pad)
        return lrelu(x) if self.activate else x


class ModulatedConv2d(nn.Module):
    """Convolution whose input channels are scaled by a style and whose output channels are normalised again (StyleGAN2, Eq. 1-3).

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        w_dim: width of the latent that the style is an affine map of.
        kernel: 1 or 3.
        up: transposed convolution of stride 2 followed by the FIR filter.
        demodulate: normalise output channels (everywhere but in toRGB).
        activate: apply ``lrelu`` after the bias.
        clamp: largest magnitude of the result; None for no limit.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        kernel: int = 3,
        up: bool = False,
        demodulate: bool = True,
        activate: bool = True,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.affine = EqualLinear(w_dim, in_channels, bias=1.0)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.style_gain = 1.0 if demodulate else 1 / math.sqrt(in_channels * kernel**2)
        self.up = up
        self.demodulate = demodulate
        self.activate = activate
        self.clamp = clamp
        self.folded: Tensor | None = None

    @property
    def gain(self) -> float:
        """What ``lrelu`` multiplies by; it may as well scale weight and bias, which saves a pass over the features."""
        return math.sqrt(2) if self.activate else 1.0

    def constant_weight(self, w: Float[Tensor, "1 z"]) -> Float[Tensor, "o i k k"]:
        """The weight for one style; modulation, demodulation and the gain of the activation included."""
        weight = self.weight * rearrange(self.affine(w) * self.style_gain, "1 i -> 1 i 1 1")
        if self.demodulate:
            weight = weight * (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).rsqrt()
        return weight * self.gain

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Plain convolution at the same or twice the size."""
        if self.up:
            return blur2d(transposed(x, weight), 1, UP_GAIN, bias)
        if weight.shape[-1] == 1 and bias is not None and not torch.is_grad_enabled():  # planes of colours, which all that follows wants
            flat = x.flatten(2) if x.is_contiguous() else x.permute(0, 2, 3, 1).flatten(1, 2).transpose(1, 2)
            product = torch.baddbmm(bias[:, None].expand(len(x), -1, 1), weight[None, :, :, 0, 0].expand(len(x), -1, -1), flat)
            return product.unflatten(2, x.shape[2:])
        if weight.shape[-1] == 1:  # a matrix product; convolution libraries are slow at it for few channels
            return F.linear(x.permute(0, 2, 3, 1), weight[:, :, 0, 0], bias).permute(0, 3, 1, 2)
        return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)

    def forward(self, x: Float[Tensor, "b i h w"], w: Float[Tensor, "s z"] | None) -> Float[Tensor, "b o hh ww"]:
        """Convolve with the style of ``w``: one per sample, or a single row for the whole batch; None is all ones, folded or not."""
        if self.folded is not None and w is None:
            x = self._plain(x.to(self.folded.dtype), self.folded)
        elif w is None or w.shape[0] == 1:
            w = torch.ones(1, self.affine.weight.shape[1]).to(x) if w is None else w
            x = self._activated(self.convolve(x, self.constant_weight(w), self.bias * self.gain))
        else:
            x = self._activated(self._modulated(x, w) + (self.bias * self.gain)[:, None, None])
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)

    def _activated(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, SLOPE, inplace=not torch.is_grad_enabled()) if self.activate else x

    def _plain(self, x: Tensor, weight: Tensor) -> Tensor:
        """With a folded weight; on a CPU the FIR filter is compiled."""
        bias = (self.bias * self.gain).to(weight.dtype)
        if self.up:
            from core.nn.fir_numba import blur_and_activate
            from core.nn.rows_numba import fits

            wide = transposed(x, weight)
            if fits(wide):
                return blur_and_activate(wide, UP_GAIN, bias, SLOPE if self.activate else 1.0)
        return self._activated(self.convolve(x, weight, bias))

    def _modulated(self, x: Tensor, w: Float[Tensor, "b z"]) -> Tensor:
        """A style per sample: scale the input instead of the weight."""
        style = self.affine(w) * self.style_gain
        x = self.convolve(x * style[:, :, None, None], self.weight * self.gain, None)
        if not self.demodulate:
            return x
        energy = torch.einsum("oikl,bi->bo", self.weight.square(), style.square())
        return x * (energy + 1e-8).rsqrt()[:, :, None, None]


class SynthesisBlock(nn.Module):
    """Two modulated convolutions and a toRGB with a skip image; doubles the size unless it is the first block.

    Args:
        in_channels: channels of the features that come in; 0 makes the learned 4x4 constant of a first block.
        out_channels: channels of the features that go out.
        w_dim: width of the latent.
        image_channels: channels of the skip image.
        up: double the size.
        clamp: largest magnitude that any layer gives; None for no limit.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int = 512,
        image_channels: int = 3,
        up: bool = True,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.up = up
        self.const = nn.Parameter(torch.randn(out_channels, 4, 4)) if in_channels == 0 else None
        self.conv0 = ModulatedConv2d(in_channels, out_channels, w_dim, up=up, clamp=clamp) if in_channels else None
        self.conv1 = ModulatedConv2d(out_channels, out_channels, w_dim, clamp=clamp)
        self.to_rgb = ModulatedConv2d(out_channels, image_channels, w_dim, kernel=1, demodulate=False, activate=False, clamp=clamp)

    def forward(
        self,
        x: Float[Tensor, "b i h w"] | None,
        image: Float[Tensor, "b c h w"] | None,
        w: Float[Tensor, "s k d"] | None = None,
    ) -> tuple[Float[Tensor, "b o hh ww"], Float[Tensor, "b c hh ww"]]:
        """One step of the pyramid.

        Args:
            x: features; None for the first block.
            image: skip image at the size of ``x``; None if there is none yet.
            w: latents, one per layer (conv0, conv1, to_rgb; the first block has no conv0), either per sample or a single row for
                the whole batch; None means all ones, the constant of Real3D-Portrait.
        """
        styles = [None] * 3 if w is None else list(w.unbind(1))
        if self.const is not None:
            x = self.const.expand(1 if w is None else w.shape[0], -1, -1, -1)
        elif self.conv0 is not None:
            x = self.conv0(x.contiguous(memory_format=torch.channels_last), styles.pop(0))
        x = self.conv1(x, styles.pop(0))
        if w is None and image is not None and self._compiled_fits(x, image):
            from core.nn.rgb_numba import rgb_over

            return x, rgb_over(x, self.to_rgb.folded[:, :, 0, 0], self.to_rgb.bias, image)
        rgb = self.to_rgb(x, styles.pop(0))
        if image is not None:
            rgb = rgb.to(image.dtype) + (upsample2d(image) if self.up else image)
        return x, rgb

    def _compiled_fits(self, x: Tensor, image: Tensor) -> bool:
        """Whether ``core.nn.rgb_numba`` can draw the colours: once folded, of unlimited features on a CPU."""
        if self.to_rgb.folded is None or self.to_rgb.clamp is not None or not self.up or image.dtype != torch.float32:
            return False
        from core.nn.rows_numba import fits

        return fits(x)

    def fold(self, dtype: torch.dtype | None = None) -> "SynthesisBlock":
        """Fix ``w = ones`` for inference: store each layer's scaled weight (exact). ``train()`` takes it back.

        With ``dtype`` the features are computed in that type; what is added to the skip image is rounded to it, the skip image is not.
        """
        with torch.no_grad():
            for layer in self.children():
                ones = torch.ones(1, layer.affine.weight.shape[1]).to(layer.weight)
                weight = layer.constant_weight(ones).to(dtype)
                # in the order in which convolutions of channels-last features want it: up to twice as fast
                if layer.up:
                    layer.folded = weight.transpose(0, 1).contiguous().transpose(0, 1)
                else:
                    layer.folded = weight.contiguous(memory_format=torch.channels_last)
        return self

    def train(self, mode: bool = True) -> "SynthesisBlock":
        """Training needs the factors of the weights again."""
        if mode:
            for layer in self.children():
                layer.folded = None
        return super().train(mode)


class MappingNetwork(nn.Module):
    """Latent and/or condition to ``w`` (StyleGAN2 mapping with slow equalised layers).

    Args:
        z_dim: width of the latent; 0 for none.
        c_dim: width of the condition (25 for a camera); 0 for none.
        w_dim: width of the result and of all hidden layers.
        layers: number of hidden layers.
    """

    def __init__(self, z_dim: int, c_dim: int, w_dim: int, layers: int) -> None:
        super().__init__()
        self.embed = EqualLinear(c_dim, w_dim) if c_dim else None
        widths = [z_dim + (w_dim if c_dim else 0)] + [w_dim] * layers
        self.layers = nn.ModuleList(EqualLinear(i, o, lr_multiplier=0.01, activate=True) for i, o in pairwise(widths))
        self.register_buffer("w_mean", torch.zeros(w_dim))

    def forward(self, z: Float[Tensor, "b z"] | None, c: Float[Tensor, "b c"] | None, truncation: float = 1.0) -> Float[Tensor, "b w"]:
        """Normalise, embed, map; pull towards the stored mean by ``truncation`` < 1."""
        parts = [] if z is None else [unit_second_moment(z)]
        if self.embed is not None and c is not None:
            parts.append(unit_second_moment(self.embed(c)))
        w = torch.cat(parts, 1)
        for layer in self.layers:
            w = layer(w)
        return w if truncation == 1 else self.w_mean.lerp(w, truncation)


def unit_second_moment(x: Float[Tensor, "b c"]) -> Float[Tensor, "b c"]:
    """Scale every row to mean square one."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()
