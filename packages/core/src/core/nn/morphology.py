"""Growing and shrinking masks."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def dilate(mask: Float[Tensor, "b c h w"], radius: int) -> Float[Tensor, "b c h w"]:
    """Largest value in the square of ``2 radius + 1`` around every pixel; rows, then columns, so that large squares cost little."""
    side = 2 * radius + 1
    return F.max_pool2d(F.max_pool2d(mask, (side, 1), 1, (radius, 0)), (1, side), 1, (0, radius))


def erode(mask: Float[Tensor, "b c h w"], radius: int) -> Float[Tensor, "b c h w"]:
    """Smallest value in the same square; the border of the image is no edge."""
    return -dilate(-mask, radius)
