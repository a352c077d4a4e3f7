"""Everything that decides a clip before any frame is rendered; every channel may have a source of its own."""

from dataclasses import dataclass
from pathlib import Path

import torch
from audio2motion.prosody import Accents, brow_raise
from core.face.coeffs import FaceCoeffs
from core.face.model import FaceModel
from core.media.sound import Sound
from jaxtyping import Float
from torch import Tensor

from portrait.blink import blink_amounts, seen_blinks, timed_blinks
from portrait.channels import BLINK_MODES, TIME_FILES
from portrait.driving import Driving, ReadVideo
from portrait.gestures import fit_length, seen_brows
from portrait.pose import idle_pose, map_to_init_pose, ping_pong, smooth_pose, static_pose
from portrait.source import Source


@dataclass(frozen=True)
class Plan:
    """A clip in a few numbers per frame; ``len(plan)`` is the number of frames.

    Attributes:
        source: the prepared photograph.
        background: what the person is set on, in [-1, 1].
        motion: identity (of the source), expression and pose of every frame.
        sound: read from its file while the video is written, or None.
        gaze: yaw and pitch of the eyes away from where they look in the photograph, radians (``compose.gaze``); None: they do not move.
    """

    source: Source
    background: Float[Tensor, "1 3 s s"]
    motion: FaceCoeffs
    sound: Sound | None = None
    gaze: Float[Tensor, "t 2"] | None = None

    def __len__(self) -> int:
        return len(self.motion)


def plan_pose(
    source: FaceCoeffs, driving: Driving, pose: str | Path | None, seed: int, read: ReadVideo
) -> tuple[Float[Tensor, "t 3"], Float[Tensor, "t 3"]]:
    """Euler (radians) and trans (3DMM units) of every frame.

    Args:
        source: the fitted photograph.
        driving: what drives the face.
        pose: ``static``, ``idle``, a video file, or None for the driver's own pose (``static`` if it has none).
        seed: of the idle motion.
        read: reads videos.
    """
    frames = len(driving.exp)
    if pose == "idle":
        return idle_pose(source, frames, seed)
    if pose is None and driving.euler is not None and driving.trans is not None:
        return smooth_pose(*map_to_init_pose(source, driving.euler, driving.trans))
    if pose is None or pose == "static":
        return static_pose(source, frames)
    moved = read(pose)[ping_pong(len(read(pose)), frames)]
    return smooth_pose(*map_to_init_pose(source, moved.euler, moved.trans))


def plan_blinks(face: FaceModel, blink: str | Path, frames: int, seed: int, read: ReadVideo) -> Float[Tensor, " t"]:
    """How far the eyes are closed on top of what the driver does, 0..1.

    Args:
        face: the 3DMM.
        blink: one of ``BLINK_MODES``, a text file of times (`timed_blinks`), or a video whose blinks are taken.
        frames: length of the clip; a shorter video goes to and fro.
        seed: of the times.
        read: reads videos.
    """
    if isinstance(blink, str) and blink in BLINK_MODES:
        return blink_amounts(blink, frames, seed)
    if Path(blink).suffix.lower() in TIME_FILES:
        return timed_blinks(blink, frames)
    seen = seen_blinks(face, read(blink))
    return seen[ping_pong(len(seen), frames)]


def plan_brows(face: FaceModel, brows: str | Path, frames: int, accents: Accents | None, read: ReadVideo) -> Float[Tensor, " t"]:
    """How far the brows are raised on top of what the driver does; 1 is a clear emphasis.

    Args:
        face: the 3DMM.
        brows: ``prosody`` raises them on ``accents``, a video lends its own.
        frames: length of the clip; a shorter video goes to and fro.
        accents: of the sound; needed by ``prosody``.
        read: reads videos.
    """
    if brows == "prosody" and accents is not None:
        return fit_length(torch.from_numpy(brow_raise(accents)), frames)
    seen = seen_brows(face, read(brows))
    return seen[ping_pong(len(seen), frames)]


def still_plan(source: Source, frames: int = 1) -> Plan:
    """The photograph as it is: its own expression and pose, for comparing the result with the picture."""
    coeffs = source.coeffs[torch.zeros(frames, dtype=torch.long)]
    return Plan(source, source.background, coeffs)
