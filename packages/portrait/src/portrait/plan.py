"""Everything that decides a clip before any frame is rendered."""

from dataclasses import dataclass
from pathlib import Path

import torch
from core.face.coeffs import FaceCoeffs
from core.face.model import FaceModel
from core.media.sound import Sound
from jaxtyping import Float
from torch import Tensor

from portrait.driving import Driving, track_pose
from portrait.pose import idle_pose, map_to_init_pose, ping_pong, smooth_pose, static_pose
from portrait.source import Source
from portrait.stream import Progress, silently


@dataclass(frozen=True)
class Plan:
    """A clip in a few numbers per frame; ``len(plan)`` is the number of frames.

    Attributes:
        source: the prepared photograph.
        background: what the person is set on, in [-1, 1].
        motion: identity (of the source), expression and pose of every frame.
        sound: read from its file while the video is written, or None.
    """

    source: Source
    background: Float[Tensor, "1 3 s s"]
    motion: FaceCoeffs
    sound: Sound | None = None

    def __len__(self) -> int:
        return len(self.motion)


def plan_pose(
    face: FaceModel, source: FaceCoeffs, driving: Driving, pose: str | Path | None, seed: int, progress: Progress = silently
) -> tuple[Float[Tensor, "t 3"], Float[Tensor, "t 3"]]:
    """Euler (radians) and trans (3DMM units) of every frame.

    Args:
        face: the 3DMM.
        source: the fitted photograph.
        driving: what drives the face.
        pose: ``static``, ``idle``, a video file, or None for the driver's own pose (``static`` if it has none).
        seed: of the idle motion.
        progress: shows how far reading a video is.
    """
    frames = len(driving.exp)
    if pose == "idle":
        return idle_pose(source, frames, seed)
    if pose is None and driving.euler is not None and driving.trans is not None:
        return smooth_pose(*map_to_init_pose(source, driving.euler, driving.trans))
    if pose is None or pose == "static":
        return static_pose(source, frames)
    euler, trans = track_pose(pose, face, progress)
    order = ping_pong(len(euler), frames)
    return smooth_pose(*map_to_init_pose(source, euler[order], trans[order]))


def still_plan(source: Source, frames: int = 1) -> Plan:
    """The photograph as it is: its own expression and pose, for comparing the result with the picture."""
    coeffs = source.coeffs[torch.zeros(frames, dtype=torch.long)]
    return Plan(source, source.background, coeffs)
