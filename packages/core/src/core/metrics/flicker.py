"""Flicker: brightness that jumps to and fro between frames."""

from jaxtyping import Float
from torch import Tensor

from core.metrics.running_mean import RunningMean


def flicker(frames: Float[Tensor, "t 3 h w"]) -> Float[Tensor, " k"]:
    """Mean absolute second difference in time, in 8-bit levels, of every frame that has two neighbours (k = t - 2, at least 0).

    ``|I(t-1) - 2 I(t) + I(t+1)|``: a fade or a steady change counts nothing, a frame that is brighter than both neighbours counts twice.
    Real motion counts too, so compare with the driver's own value.
    """
    if len(frames) < 3:
        return frames.new_zeros(0)
    return 255 * (frames[:-2] - 2 * frames[1:-1] + frames[2:]).abs().flatten(1).mean(1)


class Flicker(RunningMean):
    """Mean over frames of ``flicker``."""

    higher_is_better = False

    def update(self, frames: Float[Tensor, "t 3 h w"]) -> None:
        """Take in successive frames of one clip; parts of a clip must overlap by two frames."""
        self.add(flicker(frames))
