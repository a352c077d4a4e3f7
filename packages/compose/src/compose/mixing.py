"""The convolutions of the fusion, and for inference those of version 1 in another order (spec 13).

The first is 1x1, so it commutes with masks and resizing.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from compose.folding import folded
from compose.fusion import blend
from compose.warping import resize


class FuseConvs(nn.Sequential):
    """The convolutions that mix the masked layers: 1x1 to a narrow width, then two 3x3."""

    def __init__(self, in_channels: int, narrow: int, channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, narrow, 1),
            nn.LeakyReLU(0.01),
            nn.Conv2d(narrow, channels, 3, padding=1),
            nn.LeakyReLU(0.01),
            nn.Conv2d(channels, channels, 3, padding=1),
        )


class HeadTorsoConvs(nn.Sequential):
    """Version 2 of the fusion: two 3x3 convolutions over head and torso features before the background joins."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.Conv2d(2 * channels, channels, 3, padding=1),
            nn.LeakyReLU(0.01),
            nn.Conv2d(channels, channels, 3, padding=1),
        )


@dataclass(frozen=True)
class Mixer:
    """``mix(concat_layers(blend(head, torso, head_mask), background, person))`` with narrow layers under the masks.

    What it makes of the background depends on the source only; torso features are never drawn at the fusion size in full width.
    The bias is in all three layers, because their masks sum to one.

    Attributes:
        head, torso, background: (weight, bias) of a 1x1 convolution each.
        rest: what follows the first activation.
        slope: of that activation.
    """

    head: tuple[Tensor, Tensor]
    torso: tuple[Tensor, Tensor]
    background: tuple[Tensor, Tensor]
    rest: nn.Module
    slope: float

    @classmethod
    @torch.no_grad()
    def of(cls, mix: nn.Sequential, torso_features: nn.Conv2d, dtype: torch.dtype | None = None) -> "Mixer":
        """From the fusion's convolutions and the 1x1 convolution that widens the torso's features; ``dtype`` of the features inside."""
        first = mix[0]
        front, behind = first.weight.detach().chunk(2, 1)
        wide, offset = torso_features.weight.detach()[:, :, 0, 0], torso_features.bias.detach()
        narrow = front[:, :, 0, 0]
        torso = (narrow @ wide)[:, :, None, None], narrow @ offset + first.bias.detach()
        bias = first.bias.detach().clone()
        head, torso, background = ((w.to(dtype), b.to(dtype)) for w, b in ((front.clone(), bias), torso, (behind.clone(), bias)))
        return cls(head, torso, background, nn.Sequential(*list(folded(mix, dtype=dtype))[2:]), mix[1].negative_slope)

    def scenery(self, background: Float[Tensor, "b c f f"]) -> Float[Tensor, "b n f f"]:
        """The background's part; once per source."""
        return F.conv2d(background.to(self.background[0]), *self.background).contiguous(memory_format=torch.channels_last)

    def moving(self, hidden: Float[Tensor, "b k s s"], size: int) -> Float[Tensor, "b n f f"]:
        """The torso's part at the fusion size."""
        return resize(F.conv2d(hidden.to(self.torso[0]), *self.torso), size)

    def __call__(
        self,
        head: Float[Tensor, "b c h w"],
        torso: Float[Tensor, "b n h w"],
        scenery: Float[Tensor, "b n h w"],
        head_mask: Float[Tensor, "b 1 h w"],
        person: Float[Tensor, "b 1 h w"],
    ) -> Float[Tensor, "b c h w"]:
        """The fused features; ``torso`` and ``scenery`` as the methods of those parts made them."""
        head, head_mask, person = (x.to(torso) for x in (head, head_mask, person))
        layers = blend(blend(F.conv2d(head, *self.head), torso, head_mask), scenery, person)
        return self.rest(F.leaky_relu_(layers, self.slope))
