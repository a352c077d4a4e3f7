"""Pictures for people who watch a training."""

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def contact_sheet(columns: dict[str, Tensor], rows: int, size: int) -> np.ndarray:
    """Columns of pictures ``b 3 h w`` in [-1, 1] (1-channel: grey) as one uint8 image ``(rows size, columns size, 3)``."""
    cells = []
    for images in columns.values():
        images = images[:rows].detach().float().cpu().clamp(-1, 1)
        images = images.expand(-1, 3, -1, -1)
        shrink = images.shape[-1] > size
        cells.append(F.interpolate(images, (size, size), mode="area" if shrink else "nearest"))
    sheet = rearrange(torch.stack(cells), "k b c h w -> (b h) (k w) c")
    return ((sheet + 1) * 127.5).round().to(torch.uint8).numpy()


def depth_picture(depth: Float[Tensor, "b 1 s s"], weights: Float[Tensor, "b 1 s s"]) -> Float[Tensor, "b 1 s s"]:
    """Depth as grey in [-1, 1], near is bright, stretched over the solid part (weight above one half) of each image; empty is -1."""
    solid = weights > 0.5
    low = depth.masked_fill(~solid, torch.inf).amin((1, 2, 3), keepdim=True)
    high = depth.masked_fill(~solid, -torch.inf).amax((1, 2, 3), keepdim=True)
    grey = 1 - 2 * (depth - low) / (high - low).clamp_min(1e-6)
    return torch.where(solid, grey, -1.0)
