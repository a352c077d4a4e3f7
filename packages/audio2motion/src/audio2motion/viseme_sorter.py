"""Asks, in training only, which kind of sound is said."""

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from audio2motion.viseme_classes import COUNT


class VisemeSorter(nn.Module):
    """Scores the classes of `audio2motion.viseme_classes` from the condition; linear, so that the condition itself has to tell them.

    Args:
        width: channels of the condition.
        kernel: frames that are looked at together.
    """

    def __init__(self, width: int, kernel: int = 5) -> None:
        super().__init__()
        self.scores = nn.Conv1d(width, COUNT, kernel, padding=kernel // 2)

    def forward(self, heard: Float[Tensor, "b c t"]) -> Float[Tensor, "b t k"]:
        """A score (logit) for every class and frame."""
        return rearrange(self.scores(heard), "b k t -> b t k")
