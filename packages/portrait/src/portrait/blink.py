"""When the eyes close. Blinks edit the expression code and nothing else: the head cannot shake."""

import numpy as np
import torch
from core.face.expression import close_eyes
from core.face.model import FaceModel
from jaxtyping import Float
from torch import Tensor

BLINK_MODES = ("natural", "none", "period")
PERIOD_SECONDS = 5.0


def natural_blinks(frames: int, seed: int, fps: float = 25.0) -> Float[Tensor, " t"]:
    """How far the eyes are closed in every frame, in [0, 1], like a person at rest.

    Pauses are log-normal around 3.2 s (1.2 to 9 s), every eighth blink is a double one, lids fall in about 0.1 s and rise in about 0.2 s.

    Args:
        frames: length in frames.
        seed: the same seed gives the same blinks.
        fps: frames per second.
    """
    rng = np.random.default_rng([seed, 2])
    amount = np.zeros(frames, np.float32)
    start = rng.uniform(0.8, 2.5)
    while True:
        fall, rise = rng.uniform(0.08, 0.12), rng.uniform(0.16, 0.24)
        if start + fall + rise > frames / fps:
            return torch.from_numpy(amount)
        time = np.arange(frames) / fps - (round((start + fall) * fps) / fps)
        lids = np.where(time < 0, np.cos(np.clip(time / fall, -1, 0) * np.pi), np.cos(np.clip(time / rise, 0, 1) * np.pi))
        amount = np.maximum(amount, (0.5 + 0.5 * lids).astype(np.float32))
        double = rng.random() < 0.125
        pause = rng.uniform(0.1, 0.25) if double else float(np.clip(rng.lognormal(np.log(3.2), 0.45), 1.2, 9.0))
        start += fall + rise + pause


def periodic_blinks(frames: int, seed: int, fps: float = 25.0) -> Float[Tensor, " t"]:
    """A blink every five seconds: ``-4/T^2 t^2 + 4/T t`` over T = 8 to 12 frames (spec 11.8), in [0, 1]."""
    rng = np.random.default_rng([seed, 3])
    amount = np.zeros(frames, np.float32)
    for start in range(round(PERIOD_SECONDS * fps), frames, round(PERIOD_SECONDS * fps)):
        length = int(rng.integers(8, 13))
        time = np.arange(min(length + 1, frames - start))
        amount[start : start + len(time)] = 4 * time / length - 4 * (time / length) ** 2
    return torch.from_numpy(amount)


def blink_amounts(mode: str, frames: int, seed: int) -> Float[Tensor, " t"]:
    """Closure per frame for one of ``BLINK_MODES`` at 25 fps."""
    if mode not in BLINK_MODES:
        raise ValueError(f"blink={mode!r}; choose one of {', '.join(BLINK_MODES)}")
    if mode == "none":
        return torch.zeros(frames)
    return natural_blinks(frames, seed) if mode == "natural" else periodic_blinks(frames, seed)


def apply_blinks(
    face: FaceModel, id: Float[Tensor, "1 80"], exp: Float[Tensor, "t 64"], amount: Float[Tensor, " t"]
) -> Float[Tensor, "t 64"]:
    """Close the eyes of the frames whose ``amount`` is positive; the other frames are returned as they were."""
    closing = (amount > 0).nonzero()[:, 0]
    if not len(closing):
        return exp
    edited = exp.clone()
    edited[closing] = close_eyes(face, id.expand(len(closing), -1), exp[closing], amount[closing].to(exp))
    return edited
