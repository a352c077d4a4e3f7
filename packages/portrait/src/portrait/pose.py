"""Where the head looks, frame by frame: still, idle, or taken from a video (spec 11.5 and 11.6)."""

import math

import numpy as np
import torch
from core.camera import euler_from_rotation, rotation_from_euler
from core.face.coeffs import FaceCoeffs
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

NECK = (0.0, -1.0, -0.9)
"""The joint that a head turns about, in 3DMM units from the middle of the face: turning about it keeps the neck on the body."""

IDLE_EULER = (0.030, 0.055, 0.025)
"""Largest idle pitch, yaw and roll in radians (1.7, 3.2 and 1.4 degrees)."""

IDLE_BANDS = ((0.05, 0.15, 0.55), (0.15, 0.30, 0.30), (0.30, 0.50, 0.15))
"""Idle motion is a sum of three sines per angle: (lowest Hz, highest Hz, share of the amplitude)."""

SMOOTHING_WINDOW = 7


def static_pose(source: FaceCoeffs, frames: int) -> tuple[Float[Tensor, "t 3"], Float[Tensor, "t 3"]]:
    """The pose of the photograph, held: euler (radians) and trans (3DMM units)."""
    return source.euler.expand(frames, 3), source.trans.expand(frames, 3)


def idle_pose(source: FaceCoeffs, frames: int, seed: int, fps: float = 25.0) -> tuple[Float[Tensor, "t 3"], Float[Tensor, "t 3"]]:
    """Small slow head motion about the neck that starts from the pose of the photograph.

    Args:
        source: the fitted photograph, batch of one.
        frames: length in frames.
        seed: the same seed gives the same motion, whatever the length.
        fps: frames per second.

    Returns:
        euler (radians), within ``IDLE_EULER`` of the source, and the trans (3DMM units) that keeps the neck in place.
    """
    rng = np.random.default_rng([seed, 1])
    time = np.arange(frames) / fps
    offset = np.zeros((frames, 3))
    for axis, amplitude in enumerate(IDLE_EULER):
        for low, high, share in IDLE_BANDS:
            frequency, phase = rng.uniform(low, high), rng.uniform(0, 2 * math.pi)
            offset[:, axis] += amplitude * share * np.sin(2 * math.pi * frequency * time + phase)
    start = np.clip(time / 2.0, 0, 1)
    offset *= (start * start * (3 - 2 * start))[:, None]
    euler = source.euler + torch.from_numpy(offset.astype(np.float32)).to(source.euler)
    neck = torch.tensor(NECK).to(euler)
    shift = (rotation_from_euler(source.euler) - rotation_from_euler(euler)) @ neck
    return euler, source.trans + shift


def map_to_init_pose(
    source: FaceCoeffs, euler: Float[Tensor, "t 3"], trans: Float[Tensor, "t 3"]
) -> tuple[Float[Tensor, "t 3"], Float[Tensor, "t 3"]]:
    """Driver's motion, moved so that its first frame is the pose of the photograph; the distance to the camera stays (spec 11.5)."""
    drift = trans - trans[:1]
    drift = torch.cat([drift[:, :2], torch.zeros_like(drift[:, 2:])], 1)
    return source.euler + euler - euler[:1], source.trans + drift


def ping_pong(length: int, frames: int) -> Int[Tensor, " t"]:
    """Indices 0, 1, ..., length-1, length-2, ..., 0, 1, ...: a clip repeated to ``frames`` frames without a jump."""
    period = max(2 * length - 2, 1)
    index = torch.arange(frames) % period
    return torch.minimum(index, period - index) if length > 1 else torch.zeros(frames, dtype=torch.long)


def _moving_average(values: Float[Tensor, "t c"], window: int) -> Float[Tensor, "t c"]:
    rows = rearrange(values, "t c -> 1 c t")
    return rearrange(F.avg_pool1d(rows, window, stride=1, padding=window // 2, count_include_pad=False), "1 c t -> t c")


def smooth_pose(
    euler: Float[Tensor, "t 3"], trans: Float[Tensor, "t 3"], window: int = SMOOTHING_WINDOW
) -> tuple[Float[Tensor, "t 3"], Float[Tensor, "t 3"]]:
    """Zero-phase smoothing: mean of translations, chordal mean of rotations on SO(3) (spec 11.6), window cut at the ends.

    The pose is smoothed rather than the camera and the key points apart, so that head and torso stay together.

    Args:
        euler: radians.
        trans: 3DMM units.
        window: odd number of frames.
    """
    mean = _moving_average(rotation_from_euler(euler).flatten(1), window).unflatten(1, (3, 3))
    u, _, vh = torch.linalg.svd(mean)
    sign = torch.linalg.det(u @ vh)
    flip = torch.diag_embed(torch.stack([torch.ones_like(sign), torch.ones_like(sign), sign], -1))
    return euler_from_rotation(u @ flip @ vh), _moving_average(trans, window)
