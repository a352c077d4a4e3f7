"""Key points that a network finds by itself (Siarohin et al. 2019, Wang et al. 2021): the ablation "w/ unsup. KP." of Table 4.

They are looked for in the head, not in the torso or the whole person: of a frame that is still to be made, the rendered head is all there
is (paper 4.3, "from the predicted head image").
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from core.exact import exact
from core.nn.conv import norm_layer
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

TEMPERATURE = 0.1
"""Sharpens the heat maps, as published."""
MOVEMENT = 0.1
"""Standard deviation of the six numbers of a random affine map."""


@exact
def expected_place(logits: Float[Tensor, "b k h w"]) -> Float[Tensor, "b k 3"]:
    """Mean place under the softmax of each map: x and y in [-1, 1] (the border pixels' centres), z = 0 as for the face's key points."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    heat = rearrange(logits / TEMPERATURE, "b k h w -> b k (h w)").softmax(-1).unflatten(-1, logits.shape[-2:])
    rows, columns = (torch.linspace(-1, 1, side).to(logits) for side in logits.shape[-2:])
    x, y = heat.sum(2) @ columns, heat.sum(3) @ rows
    return torch.stack([x, y, torch.zeros_like(x)], -1)


class KeypointDetector(nn.Module):
    """A small hourglass that gives every key point a heat map.

    Args:
        count: key points.
        channels: widths on the way down; every level halves the side.
    """

    def __init__(self, count: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.down = nn.ModuleList(self._block(i, o) for i, o in pairwise((3, *channels)))
        ups = channels[::-1]
        self.up = nn.ModuleList(self._block(i, o) for i, o in pairwise((*ups, ups[-1])))
        self.heat = nn.Conv2d(ups[-1] + 3, count, 7, padding=3)

    def forward(self, head: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b k 3"]:
        """Key points of heads over -1 in [-1, 1]; the side must be divisible by 2 to the number of levels."""
        x = head
        for block in self.down:
            x = F.avg_pool2d(block(x), 2)
        for block in self.up:
            x = block(F.interpolate(x, scale_factor=2.0))
        return expected_place(self.heat(torch.cat([x, head], 1)))

    @staticmethod
    def _block(in_channels: int, out_channels: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, padding=1), norm_layer("group", out_channels), nn.ReLU())


@exact
def moved_points(points: Float[Tensor, "b k 2"], move: Float[Tensor, "b 2 3"]) -> Float[Tensor, "b k 2"]:
    """Points under affine maps."""
    return points @ move[:, :, :2].mT + move[:, None, :, 2]


def equivariance(detector: nn.Module, head: Float[Tensor, "b 3 s s"], generator: torch.Generator | None = None) -> Float[Tensor, ""]:
    """L1 between the key points of a picture that was moved and the moved key points of the picture: they shall stick to what they mark.

    The movements are random affine maps: turns and shears of about 6 degrees, 10 per cent in size, shifts of 5 per cent of the side.
    """
    device = head.device if generator is None else generator.device
    noise = torch.randn(len(head), 2, 3, generator=generator, device=device).to(head)
    move = torch.eye(2, 3).to(head) + MOVEMENT * noise
    # the moved picture shows at p what the picture shows at move(p), so its key points are those that `move` takes to the picture's
    moved = F.grid_sample(head + 1, F.affine_grid(move, list(head.shape), align_corners=True), align_corners=True) - 1
    found = moved_points(detector(moved)[..., :2], move)
    return F.l1_loss(found, detector(head)[..., :2])
