"""Where patch-wise training looks: a random square window per image, drawn towards what matters."""

import torch
from jaxtyping import Float
from torch import Tensor

from core.camera import Window


def draw_window(interest: Float[Tensor, "b 1 s s"], size: int, generator: torch.Generator | None) -> Window:
    """Draw one window per image, centred on a pixel that is chosen with probability proportional to ``interest``.

    Args:
        interest: non-negative weights on the raw image; a positive constant keeps every place reachable.
        size: side of the window in pixels of ``interest``.
        generator: source of randomness, on the device of ``interest``.

    Raises:
        ValueError: the window is larger than the image.
    """
    side = interest.shape[-1]
    if size > side:
        raise ValueError(f"window of {size} pixels does not fit into a raw image of {side}")
    centre = torch.multinomial(interest.flatten(1), 1, generator=generator)[:, 0]
    corner = torch.stack([centre // side, centre % side]) - size // 2
    top, left = corner.clamp(0, side - size)
    return Window(top, left, size)


def box_interest(centres: Float[Tensor, "b n 2"], side: int, radius: float) -> Float[Tensor, "b 1 s s"]:
    """1 within ``radius`` (in image sides, Chebyshev) of any centre (normalised, y down), 0 elsewhere."""
    ticks = (torch.arange(side, device=centres.device) + 0.5) / side
    near_x = (ticks - centres[..., :1]).abs() < radius  # (b, n, s)
    near_y = (ticks - centres[..., 1:]).abs() < radius
    return (near_y[..., :, None] & near_x[..., None, :]).any(1, keepdim=True).to(centres)
