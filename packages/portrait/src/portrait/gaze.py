"""Where the eyes look: at the viewer most of the time, elsewhere now and then, in quick jumps."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from portrait.driving import VideoReader
from portrait.pose import ping_pong
from portrait.watched_gaze import watched_gaze

SPREAD = np.radians([5.0, 2.0])
"""Standard deviation of the yaw and pitch of looks aside."""
FARTHEST = np.radians([9.0, 4.0])
TREMOR = np.radians([0.5, 0.3])
"""Standard deviation of the small jumps while the eyes stay where they are."""
BACK = 0.6
"""How often a look aside is followed by one at the viewer."""
HOLD = 0.6
"""Share of the head's turns that the eyes take back, to keep looking at the viewer."""
LIMIT = np.radians(15.0)
STEP = np.radians(0.25)
"""Gazes are multiples of this, a tenth of a pixel, so that eyes need not be turned anew for every frame."""


def natural_gaze(frames: int, seed: int, fps: float = 25.0) -> Float[Tensor, "t 2"]:
    """Yaw and pitch of the eyes away from where they look in the photograph, radians, like a person who talks.

    A fixation lasts log-normally around 1.1 s (0.3 to 4 s) at the viewer and half as long aside, a jump 80 ms (one frame lies between).
    Positive yaw looks to the right of the picture, positive pitch down.

    Args:
        frames: length in frames.
        seed: the same seed gives the same gaze, whatever the length.
        fps: frames per second.
    """
    rng, gaze = np.random.default_rng([seed, 5]), np.zeros((frames, 2))
    start, aside, at = 0, False, np.zeros(2)
    while start < frames:
        pause = float(np.clip(rng.lognormal(np.log(0.55 if aside else 1.1), 0.6), 0.3, 4.0))
        gaze[start : start + round(pause * fps)] = at
        start += round(pause * fps)
        aside = rng.random() > BACK if aside else rng.random() < BACK
        centre = np.clip(rng.normal(0, SPREAD), -FARTHEST, FARTHEST)
        towards = centre * aside + rng.normal(0, TREMOR)
        if start < frames:
            gaze[start] = 0.4 * at + 0.6 * towards
        start, at = start + 1, towards
    return torch.from_numpy(gaze.astype(np.float32))


def plan_gaze(mode: str | Path, turned: Float[Tensor, "t 3"], seed: int, read: VideoReader) -> Float[Tensor, "t 2"] | None:
    """Gaze of every frame; None where the eyes keep looking as they do in the photograph.

    Args:
        mode: ``still`` turns the eyes with the head; ``natural`` takes back a part of the head's turns and looks aside now and then; a
            video takes back the same and looks aside when its person does.
        turned: pitch, yaw and roll of the head away from the photograph's, radians.
        seed: of the looks aside.
        read: reads videos.
    """
    frames = len(turned)
    if mode == "still":
        return None
    if mode == "natural":
        looks = natural_gaze(frames, seed)
    else:
        seen = read.driver(mode)
        aside = watched_gaze(seen.irises, seen.coeffs.euler[:, 1])[ping_pong(len(seen.irises), frames)]
        looks = torch.stack([aside, torch.zeros_like(aside)], 1)
    return torch.round((looks - HOLD * turned[:, [1, 0]]).clamp(-LIMIT, LIMIT) / STEP) * STEP
