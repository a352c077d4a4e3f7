"""When the eyes close. Blinks edit the expression code and nothing else: the head cannot shake."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from core.errors import PortraitError
from core.face.coeffs import FaceCoeffs
from core.face.expression import close_eyes, eye_opening
from core.face.model import FaceModel
from core.media.files import check_input
from jaxtyping import Float, Int
from torch import Tensor

from portrait.channels import BLINK_MODES

PERIOD_SECONDS = 5.0


def natural_blinks(frames: int, seed: int, fps: float = 25.0) -> Float[Tensor, " t"]:
    """How far the eyes are closed in every frame, in [0, 1], like a person at rest.

    Pauses are log-normal around 3.2 s (1.2 to 9 s), every eighth blink is a double one, lids fall in about 0.1 s and rise in about 0.2 s:
    about 17 blinks a minute, double ones counted twice.

    Args:
        frames: length in frames.
        seed: the same seed gives the same blinks, whatever the length (the last one is left out rather than cut).
        fps: frames per second.
    """
    amount = np.zeros(frames, np.float32)
    for start, fall, rise in _natural_times(frames / fps, seed):
        _close_lids(amount, start + fall, fall, rise, fps)
    return torch.from_numpy(amount)


def blink_units(frames: int, seed: int, fps: float = 25.0) -> Int[np.ndarray, " t"]:
    """The blinks of ``natural_blinks`` for `Audio2Motion`: 1 on the frame where the eyes are shut, else 0."""
    units = np.zeros(frames, np.int64)
    for start, fall, _ in _natural_times(frames / fps, seed):
        units[round((start + fall) * fps)] = 1
    return units


def _natural_times(seconds: float, seed: int) -> Iterator[tuple[float, float, float]]:
    """(start, duration of closing, of opening) of blinks that are over in time, in seconds."""
    rng = np.random.default_rng([seed, 2])
    start = rng.uniform(0.8, 2.5)
    while True:
        fall, rise = rng.uniform(0.08, 0.12), rng.uniform(0.16, 0.24)
        if start + fall + rise > seconds:
            return
        yield start, fall, rise
        double = rng.random() < 0.125
        pause = rng.uniform(0.1, 0.25) if double else float(np.clip(rng.lognormal(np.log(3.2), 0.45), 1.2, 9.0))
        start += fall + rise + pause


def _close_lids(amount: Float[np.ndarray, " t"], shut: float, fall: float, rise: float, fps: float) -> None:
    """Add one blink to ``amount`` whose eyes are shut ``shut`` seconds from the start; only the frames that it touches are visited."""
    middle = round(shut * fps)
    near = np.arange(max(middle - int(fall * fps), 0), min(middle + int(rise * fps) + 1, len(amount)))
    time = (near - middle) / fps
    lids = np.cos(np.pi * time / np.where(time < 0, fall, rise))
    amount[near] = np.maximum(amount[near], (0.5 + 0.5 * lids).astype(np.float32))


def periodic_blinks(frames: int, seed: int, fps: float = 25.0) -> Float[Tensor, " t"]:
    """A blink every five seconds: ``-4/T^2 t^2 + 4/T t`` over T = 8 to 12 frames (spec 11.8), in [0, 1]."""
    rng = np.random.default_rng([seed, 3])
    amount = np.zeros(frames, np.float32)
    for start in range(round(PERIOD_SECONDS * fps), frames, round(PERIOD_SECONDS * fps)):
        length = int(rng.integers(8, 13))
        time = np.arange(min(length + 1, frames - start))
        amount[start : start + len(time)] = 4 * time / length - 4 * (time / length) ** 2
    return torch.from_numpy(amount)


def timed_blinks(path: str | Path, frames: int, fps: float = 25.0) -> Float[Tensor, " t"]:
    """Blinks at the times that a text file names: seconds from the start at which the eyes are shut, one or more on a line.

    Args:
        path: the file; what follows a ``#`` is a remark, times beyond the end are left out.
        frames: length in frames.
        fps: frames per second.

    Raises:
        PortraitError: ``E_BLINK_READ`` when something in it is not a time; as ``check_input``.
    """
    amount = np.zeros(frames, np.float32)
    try:
        lines = check_input(path, "BLINK").read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise PortraitError("E_BLINK_READ", f"{path} is not text", "Give a text file of times in seconds, or a video.") from None
    for number, line in enumerate(lines, 1):
        for word in line.partition("#")[0].replace(",", " ").replace(";", " ").split():
            try:
                shut = float(word)
            except ValueError:
                shut = float("nan")
            if not 0 <= shut < float("inf"):
                raise PortraitError(
                    "E_BLINK_READ", f"{path}, line {number}: {word!r} is not a time in seconds", "Write times such as 1.25."
                )
            if shut * fps < frames:
                _close_lids(amount, shut, 0.1, 0.2, fps)
    return torch.from_numpy(amount)


def seen_blinks(face: FaceModel, coeffs: FaceCoeffs) -> Float[Tensor, " t"]:
    """How far the eyes of a fitted video are closed against how open they usually are (the 0.75-quantile), in [0, 1].

    Lids that tremble by less than a sixth count as open.
    """
    opening = eye_opening(face, coeffs.id, coeffs.exp)
    closed = 1 - opening / torch.quantile(opening, 0.75).clamp(min=1e-3)
    return ((closed - 1 / 6) * 6 / 5).clamp(0, 1)


def blink_amounts(mode: str, frames: int, seed: int) -> Float[Tensor, " t"]:
    """Closure per frame for one of ``BLINK_MODES`` at 25 fps; ``model`` closes the eyes by `Audio2Motion` and adds nothing here."""
    if mode not in BLINK_MODES:
        raise ValueError(f"blink={mode!r}; choose one of {', '.join(BLINK_MODES)}")
    if mode in ("none", "model"):
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
