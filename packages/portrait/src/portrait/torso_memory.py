"""Torsos of one frame after the other: their networks look again only when the key points have moved noticeably.

For inference on CPUs. A person who speaks keeps the torso nearly still, and its networks cost a fifth of a frame.
"""

from dataclasses import dataclass

import torch
from compose import HTBSR
from compose.model import SourceFeatures
from compose.torso import Torso, TorsoDraft, TorsoFeatures
from jaxtyping import Float
from torch import Tensor

NEAR = 2 / 512
"""How far key points may be from those that the networks saw, in halves of a picture's side: one pixel of 512 (55 dB and more)."""


def near_by(keypoints: Float[Tensor, "n k 3"], chosen: list[int], near: float = NEAR) -> Float[Tensor, "n k 3"]:
    """For every frame the key points of the last frame that the networks shall look at: of itself if the chosen ones went too far."""
    looked, last = [], 0
    points = keypoints[:, chosen].cpu()
    for i in range(len(points)):
        if (points[i] - points[last]).norm(dim=-1).amax() > near:
            last = i
        looked.append(last)
    return keypoints[looked]


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
