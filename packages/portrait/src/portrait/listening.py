"""Speech of any length to expression codes: piece by piece, so that memory does not grow with the length."""

import logging
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from audio2motion import Audio2Motion, AudioEncoder, motion_from_audio
from core.media.sound import Sound
from jaxtyping import Float, Int
from torch import Tensor

log = logging.getLogger(__name__)

FPS = 25
RATE = 16000
STEP = RATE // FPS
SILENCE = 1e-3
"""Peak below which sound counts as silent (-60 dB of full scale)."""
PIECE = 300 * FPS
"""Frames that are heard together; shorter sound is heard as a whole."""
SHARED = 4 * FPS
"""Frames that neighbouring pieces both hear: context for the seam in their middle."""
SEAM = 10
"""Frames over which one piece fades into the next."""


def motion_from_sound(
    sound: Sound, model: Audio2Motion, mouth_amplitude: float | None = None, seed: int = 0, encoder: AudioEncoder | None = None,
    blink: Int[np.ndarray, " k"] | None = None,
) -> Float[Tensor, "t 64"]:  # fmt: skip
    """Expression codes at 25 fps; silent sound gives a resting face and the warning ``W_SILENT``.

    Args:
        sound: speech of any length.
        model: stage 4.
        mouth_amplitude: how far the mouth opens; None is what the weights were made with.
        seed: of the model's noise.
        encoder: of the audio features, to load it once for many clips.
        blink: 1 on the frames where the model shall shut the eyes, also in silence; None: nowhere.
    """
    motion, silent = torch.zeros(0, 64), True
    for number, piece in enumerate(pieces(sound.blocks(RATE), PIECE * STEP, SHARED * STEP)):
        quiet = max(float(piece.max()), -float(piece.min())) < SILENCE
        silent = silent and quiet
        units = None if blink is None else blink[number * PIECE :]
        if quiet and (units is None or not units[: PIECE + SHARED].any()):
            exp = torch.zeros(-(-len(piece) // STEP), 64)
        else:
            exp = motion_from_audio(model, piece, mouth_amplitude, units, seed=seed + number, encoder=encoder)
        motion = exp if number == 0 else faded(motion, exp, SHARED)
    if silent:
        log.warning("W_SILENT: %s is silent; the face will rest.", sound.path)
    return motion


def pieces(blocks: Iterable[Float[np.ndarray, " _"]], length: int, shared: int) -> Iterator[Float[np.ndarray, " _"]]:
    """Cut a stream into pieces of ``length + shared`` samples, each beginning with the last ``shared`` of the one before."""
    held: list[np.ndarray] = []
    first = True
    for block in blocks:
        held.append(block)
        while sum(map(len, held)) > length + shared:
            whole = np.concatenate(held)
            yield whole[: length + shared]
            held, first = [whole[length:]], False
    rest = np.concatenate(held) if held else np.zeros(0, np.float32)
    if first or len(rest) > shared:
        yield rest


def faded(before: Float[Tensor, "a c"], after: Float[Tensor, "b c"], shared: int) -> Float[Tensor, "t c"]:
    """One after the other; in the middle of the ``shared`` rows that both have, the first fades into the second within ``SEAM`` rows."""
    weight = ((torch.arange(shared) - (shared - SEAM) / 2 + 0.5) / SEAM).clamp(0, 1)[:, None]
    middle = torch.lerp(before[-shared:], after[:shared], weight)
    return torch.cat([before[:-shared], middle, after[shared:]])
