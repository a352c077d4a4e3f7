"""The convolutions of the fusion, and for inference those of version 1 in another order (spec 13).

The first is 1x1, so it commutes with masks and resizing.
"""

from dataclasses import dataclass

import torch
from core.compilable import compilable
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from compose.box import Box
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


def blended_torch(
    head: Float[Tensor, "b n h w"],
    torso: Float[Tensor, "b n s s"],
    scenery: Float[Tensor, "b n f f"],
    masks: tuple[Float[Tensor, "b 1 h w"], Float[Tensor, "b 1 h w"]],
    bias: Float[Tensor, " n"],
    slope: float,
    box: Box,
) -> Float[Tensor, "b n h w"]:
    """Head over torso over background, then bias and activation; ``mixing_numba.blended`` is the compiled twin.

    Args:
        head: inside the box.
        torso: of the whole frame, at the torso's size.
        scenery: background of the whole frame, at the fusion size.
        masks: M_head and M_person inside the box.
        bias: of every channel.
        slope: of negative values.
        box: in pixels of half the fusion size.
    """
    head_mask, person = (mask.to(head) for mask in masks)
    layers = blend(head, box.cut(resize(torso, scenery.shape[-1]), 2), head_mask)
    return F.leaky_relu_(blend(layers, box.cut(scenery, 2), person) + bias[:, None, None], slope)


@dataclass(frozen=True)
class Mixer:
    """``mix(concat_layers(blend(head, torso, head_mask), background, person))`` with narrow layers under the masks.

    What it makes of the background depends on the source only; torso features are never drawn at the fusion size in full width.
    The bias comes last, because the masks of the three layers sum to one.

    Attributes:
        head, torso, background: weights of a 1x1 convolution each.
        offset: what the torso's features have in addition.
        bias: of the first convolution.
        rest: what follows the first activation.
        slope: of that activation.
    """

    head: Tensor
    torso: Tensor
    background: Tensor
    offset: Tensor
    bias: Tensor
    rest: nn.Module
    slope: float

    @classmethod
    @torch.no_grad()
    def of(cls, mix: nn.Sequential, torso_features: nn.Conv2d, dtype: torch.dtype | None = None) -> "Mixer":
        """From the fusion's convolutions and the 1x1 convolution that widens the torso's features; ``dtype`` of the features inside."""
        front, behind = mix[0].weight.detach().chunk(2, 1)
        narrow, wide = front[:, :, 0, 0], torso_features.weight.detach()[:, :, 0, 0]
        parts = front, (narrow @ wide)[:, :, None, None], behind, narrow @ torso_features.bias.detach(), mix[0].bias.detach()
        rest = nn.Sequential(*list(folded(mix, dtype=dtype))[2:])
        return cls(*(part.clone().to(dtype) for part in parts), rest, mix[1].negative_slope)

    def scenery(self, background: Float[Tensor, "b c f f"]) -> Float[Tensor, "b n f f"]:
        """The background's part; once per source."""
        return F.conv2d(background.to(self.background), self.background).contiguous(memory_format=torch.channels_last)

    def moving(self, hidden: Float[Tensor, "b k s s"]) -> Float[Tensor, "b n s s"]:
        """The torso's part, at its own size."""
        return F.conv2d(hidden.to(self.torso), self.torso, self.offset)

    def __call__(
        self,
        head: Float[Tensor, "b c h w"],
        torso: Float[Tensor, "b n s s"],
        scenery: Float[Tensor, "b n f f"],
        head_mask: Float[Tensor, "b 1 h w"],
        person: Float[Tensor, "b 1 h w"],
        box: Box,
    ) -> Float[Tensor, "b c h w"]:
        """The fused features inside ``box``; ``torso`` and ``scenery`` as the methods of those parts made them."""
        narrow = (head.to(self.head).permute(0, 2, 3, 1) @ self.head[:, :, 0, 0].T).permute(0, 3, 1, 2)
        layers = narrow, torso, scenery, (head_mask, person), self.bias, self.slope, box
        if compilable(head_mask, person) and narrow.dtype == torso.dtype == scenery.dtype in (torch.float32, torch.bfloat16):
            from compose.mixing_numba import blended

            return self.rest(blended(*layers))
        return self.rest(blended_torch(*layers))
