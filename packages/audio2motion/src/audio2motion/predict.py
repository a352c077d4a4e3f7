"""Speech to expression codes with trained weights: any length, any loudness, still in silence."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from core.errors import PortraitError
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from audio2motion.encoders import encoder_for, require_encoder
from audio2motion.features import HOP, AudioEncoder, Voice, frame_levels, speech_frames
from audio2motion.model import SQUEEZE, Audio2Motion, Controls
from audio2motion.pitch import coarse_pitch, track_pitch

FPS = 25
CHUNK = 1000
"""Motion frames per forward pass (40 s)."""
CONTEXT = 96
"""Frames of context on both sides of a chunk; more than the receptive field, so chunks equal the whole."""


@torch.no_grad()
def motion_from_audio(
    model: Audio2Motion,
    wave: Float[np.ndarray, "*n"],
    mouth_amplitude: float | None = None,
    blink: Int[np.ndarray, "k"] | None = None,
    temperature: float = 0.2,
    seed: int = 0,
    encoder: AudioEncoder | None = None,
    rest_in_silence: bool = True,
    voice: Voice | None = None,
) -> Float[Tensor, "t 64"]:
    """Expression codes at 25 fps for mono 16 kHz speech; t = ceil(n / 640).

    Args:
        model: network in eval mode; it may live on any device.
        wave: sound in [-1, 1]; NaN counts as silence; the loudness does not matter.
        mouth_amplitude: how far the mouth opens (spec 8.1); None takes ``model.config.mouth_amplitude``, twice that is lively.
        blink: 1 on the centre frame of each blink; shorter or longer arrays are padded or cut. None: no blinks.
        temperature: 0 is the most likely motion, 1 the full variety.
        seed: of the latent noise.
        encoder: reuse one across calls; must be of the kind that the weights were trained on.
        rest_in_silence: ease to the expression 0 in silence longer than 0.8 s, so that the face is still.
        voice: of the recording (``encoder.measure``) when ``wave`` is a part of it; None: measured here.

    Returns:
        Codes on the CPU.

    Raises:
        PortraitError: ``E_AUDIO`` when the wave is not one channel; ``E_FEATURES`` when the encoder is not the weights'.
    """
    encoder = encoder or encoder_for(model.config, str(model.device))
    require_encoder(model.config, encoder)
    sound = mono(wave)
    frames = -(-sound.shape[0] // (2 * HOP))
    if frames == 0:
        return torch.zeros(0, 64)
    amplitude = model.config.mouth_amplitude if mouth_amplitude is None else mouth_amplitude
    controls = controls_from_audio(sound, encoder, amplitude, blink, voice)
    noise = torch.randn(1, model.config.latent, controls.mask.shape[1] // SQUEEZE, generator=torch.Generator().manual_seed(seed))
    gate = activity_gate(sound, controls.mask.shape[1], voice=voice) if rest_in_silence else None
    return rested(lambda given: _in_chunks(model, given, noise * temperature), controls, gate)[:frames]


def mono(wave: Float[np.ndarray, "*n"]) -> Float[Tensor, "n"]:
    """Sound as a tensor.

    Raises:
        PortraitError: ``E_AUDIO`` when it has not one dimension.
    """
    sound = torch.as_tensor(wave, dtype=torch.float32)
    if sound.ndim != 1:
        raise PortraitError("E_AUDIO", f"sound of shape {tuple(sound.shape)} is not one channel", "Average the channels first.")
    return sound


def rested(
    decode: Callable[[Controls], Float[Tensor, "t 64"]], controls: Controls, gate: Float[Tensor, "t"] | None
) -> Float[Tensor, "t 64"]:
    """Decoded motion that rests where ``gate`` is 0, its blinks excepted: they are what blinking adds to the motion without."""
    exp = decode(controls)
    if gate is None:
        return exp
    if not controls.blink.any():
        return exp * gate[:, None]
    lips = decode(replace(controls, blink=torch.zeros_like(controls.blink)))
    return lips * gate[:, None] + (exp - lips)


def controls_from_audio(wave: Float[Tensor, "n"], encoder: AudioEncoder, amplitude: float,
                        blink: Int[np.ndarray, "k"] | None = None, voice: Voice | None = None) -> Controls:  # fmt: skip
    """Features, pitch and controls of one clip as a batch of one, padded to whole latent frames; ``voice`` as in `motion_from_audio`."""
    frames = -(-wave.shape[0] // (2 * HOP))
    padded = -(-frames // SQUEEZE) * SQUEEZE
    wave = F.pad(wave, (0, padded * 2 * HOP - wave.shape[0]))
    voice = voice or encoder.measure(wave)
    pitch = torch.from_numpy(coarse_pitch(track_pitch(voice.levelled(wave).numpy(), peak=voice.peak)))
    units = torch.zeros(padded, dtype=torch.long)
    if blink is not None:
        count = min(len(blink), frames)
        units[:count] = torch.as_tensor(blink[:count], dtype=torch.long).clamp(0, 1)
    return Controls(encoder(wave, voice)[None], pitch[None], units[None], torch.tensor([amplitude]), torch.ones(1, padded))


def activity_gate(wave: Float[Tensor, "n"], frames: int, pause: float = 0.8, ease: float = 0.2,
                  voice: Voice | None = None) -> Float[Tensor, "t"]:  # fmt: skip
    """1 while somebody speaks, 0 in pauses longer than ``pause`` seconds, smooth over ``ease`` seconds on the pause's side."""
    voice = voice or Voice.of(wave)
    levels = frame_levels(voice.levelled(wave))
    active = speech_frames(levels, below_db=36.0, loud=voice.level).float()
    active = F.pad(active, (0, max(0, 2 * frames - levels.shape[0])))[: 2 * frames]
    active = active.reshape(frames, 2).amax(1)
    half = round(pause * FPS / 2)
    joined = _erode(_dilate(active, half), half)
    width = round(ease * FPS)
    spread = _dilate(joined, width)
    kernel = torch.hann_window(2 * width + 3, periodic=False)[1:-1]
    return F.conv1d(F.pad(spread[None, None], (width, width), mode="replicate"), (kernel / kernel.sum())[None, None])[0, 0]


def _dilate(x: Float[Tensor, "t"], half: int) -> Float[Tensor, "t"]:
    return F.max_pool1d(x[None], 2 * half + 1, stride=1, padding=half)[0]


def _erode(x: Float[Tensor, "t"], half: int) -> Float[Tensor, "t"]:
    return -_dilate(-x, half)


def _in_chunks(model: Audio2Motion, controls: Controls, noise: Float[Tensor, "1 z s"]) -> Float[Tensor, "t 64"]:
    total, parts = controls.mask.shape[1], []
    for start in range(0, total, CHUNK):
        stop, begin = min(start + CHUNK, total), max(start - CONTEXT, 0)
        end = min(stop + CONTEXT, total)
        part = Controls(controls.audio[:, 2 * begin : 2 * end], controls.pitch[:, 2 * begin : 2 * end], controls.blink[:, begin:end],
                        controls.mouth_amplitude, controls.mask[:, begin:end])  # fmt: skip
        exp = model.decode_prior(part.to(model.device), noise[..., begin // SQUEEZE : end // SQUEEZE].to(model.device))
        parts.append(exp[0, start - begin : stop - begin].cpu())
    return torch.cat(parts)
