"""Torsos of one frame after the other: their networks look again only when the key points have moved noticeably.

For inference on CPUs. A person who speaks keeps the torso nearly still, and its networks cost a fifth of a frame.
"""

from dataclasses import dataclass

import numpy as np
import torch
from compose import HTBSR
from compose.model import SourceFeatures
from compose.torso import Torso, TorsoDraft, TorsoFeatures
from jaxtyping import Float, Int
from torch import Tensor

NEAR = 2 / 512
"""How far key points may be from those that the networks saw, in halves of a picture's side: one pixel of 512 (55 dB and more)."""


def near_by(keypoints: Float[Tensor, "n k 3"], near: float = NEAR) -> Int[Tensor, " n"]:
    """For every frame the last one before it that the networks shall look at; itself if its key points have gone too far from that."""
    points, looked, last = keypoints.cpu().numpy(), [], 0
    for i in range(len(points)):
        if np.linalg.norm(points[i] - points[last], axis=-1).max() > near:
            last = i
        looked.append(last)
    return torch.tensor(looked, dtype=torch.long)


@dataclass(frozen=True)
class _Last:
    """The last torso and what it was drawn from."""

    source: TorsoFeatures
    looked: Tensor
    draft: TorsoDraft
    keypoints: Tensor
    torso: Torso


class TorsoMemory:
    """Draws torsos; what the last frame needed is at hand for the next. Threads may share it.

    Args:
        compositor: stage 3.
    """

    def __init__(self, compositor: HTBSR) -> None:
        self.compositor = compositor
        self.last: _Last | None = None

    def __call__(
        self,
        features: SourceFeatures,
        origin: Float[Tensor, "b k 3"],
        keypoints: Float[Tensor, "b k 3"],
        looked: Float[Tensor, "b k 3"],
    ) -> Torso | None:
        """The torso of some frames; None where every frame needs the networks (``HTBSR.draft_torso``).

        Args:
            features: of the source, one per frame.
            origin: key points in the photograph.
            keypoints: of the frames.
            looked: key points near those, at which the networks look.
        """
        last = self.last
        same = last is not None and last.source.volume.data_ptr() == features.torso.volume.data_ptr() and torch.equal(last.looked, looked)
        draft = last.draft if same else self.compositor.draft_torso(features, origin, looked)
        if draft is None:
            return None
        if same and torch.equal(last.keypoints, keypoints):
            return last.torso
        torso = self.compositor.draw_torso(features, draft, None if torch.equal(looked, keypoints) else keypoints)
        self.last = _Last(features.torso, looked, draft, keypoints, torso)
        return torso
