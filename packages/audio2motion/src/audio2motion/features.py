"""Audio features at 50 Hz behind one protocol: HuBERT (paper) and log-mel (runs without a download).

Every encoder maps a mono 16 kHz waveform of n samples to ceil(n / 320) rows; row i belongs to samples 320 i .. 320 (i + 1).
"""

from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from core.errors import PortraitError
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from audio2motion.config import Audio2MotionConfig

SAMPLE_RATE = 16_000
HOP = 320
FRAME_RATE = 50
SPEECH_LEVEL = 0.1
"""RMS to which the loud frames of a clip are brought (-20 dBFS)."""
SILENT_LEVEL = 1e-4
"""A clip whose loud frames stay below this RMS (-80 dBFS) has no speech; it is not amplified."""


@runtime_checkable
class AudioEncoder(Protocol):
    """Turns a waveform into the features that one kind of weights was trained on."""

    kind: str
    """``hubert`` or ``logmel``; must equal `Audio2MotionConfig.audio`."""
    width: int
    """Channels of the feature."""

    def __call__(self, wave: Float[Tensor, "n"]) -> Float[Tensor, "u c"]:
        """Features at 50 Hz of mono 16 kHz sound in [-1, 1]."""
        ...


def encoder_for(config: Audio2MotionConfig) -> AudioEncoder:
    """The encoder that a network's config names."""
    return HubertEncoder(config.audio_source) if config.audio == "hubert" else LogMelEncoder(config.audio_width)


def frame_levels(wave: Float[Tensor, "n"]) -> Float[Tensor, "u"]:
    """RMS of each 20 ms about its own mean, so that an offset or rumble is not taken for speech."""
    rows = -(-wave.shape[0] // HOP)
    if rows == 0:
        return wave.new_zeros(0)
    # The last value fills the last row: zeros would be a step where the sound has an offset.
    frames = F.pad(wave, (0, rows * HOP - wave.shape[0]), value=float(wave[-1])).reshape(rows, HOP)
    return (frames - frames.mean(1, keepdim=True)).square().mean(1).sqrt()


def normalise_loudness(wave: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    """Replace NaN and infinity by silence, remove the offset and bring the loud frames to `SPEECH_LEVEL`; silence stays silence."""
    wave = torch.nan_to_num(wave.float(), nan=0.0, posinf=0.0, neginf=0.0)
    if wave.numel() == 0:
        return wave
    wave = wave - wave.mean()
    level = _loud_level(frame_levels(wave))
    return wave * (SPEECH_LEVEL / level) if level > SILENT_LEVEL else wave


def speech_frames(levels: Float[Tensor, "u"], below_db: float = 30.0) -> Bool[Tensor, "u"]:
    """Frames within ``below_db`` of the loud frames: sound that may be speech."""
    return levels > max(_loud_level(levels) * 10 ** (-below_db / 20), SILENT_LEVEL)


def _loud_level(levels: Float[Tensor, "u"]) -> float:
    """RMS of the frames near the top of the clip (a robust "how loud is the speaker")."""
    top = float(np.quantile(levels.numpy(), 0.95))
    return float(levels[levels >= 0.1 * top].square().mean().sqrt()) if top > 0 else 0.0


class LogMelEncoder:
    """Log-mel spectrogram whose bands are centred on their mean over the clip's speech, so that microphone and voice colour drop out.

    Args:
        width: number of triangular mel bands between 80 and 7600 Hz.
        window: analysis window in samples.
    """

    kind = "logmel"

    def __init__(self, width: int = 40, window: int = 512) -> None:
        self.width = width
        self.window = window

    def __call__(self, wave: Float[Tensor, "n"]) -> Float[Tensor, "u c"]:
        """Features about in [-3, 2]: log10 power against the mean of speech; -3 is silence."""
        wave = normalise_loudness(wave.cpu())
        if wave.numel() == 0:
            return torch.zeros(0, self.width)
        spectrum = torch.log10(self._mel_power(wave) + 1e-6)
        speech = speech_frames(frame_levels(wave))
        reference = spectrum[speech].mean(0) if speech.any() else torch.zeros(self.width)
        return (spectrum - reference).clamp(-3.0, 3.0)

    def _mel_power(self, wave: Float[Tensor, "n"], piece: int = 4096) -> Float[Tensor, "u c"]:
        rows = -(-wave.shape[0] // HOP)
        side = (self.window - HOP) // 2
        padded = F.pad(wave, (side, rows * HOP - wave.shape[0] + side))
        frames = padded.unfold(0, self.window, HOP)
        taper = torch.hann_window(self.window)
        bank = mel_bank(self.width, self.window, 80.0, 7600.0)
        power = [torch.fft.rfft(part * taper).abs().square() @ bank.T for part in frames.split(piece)]
        return torch.cat(power) / self.window


@lru_cache(maxsize=8)
def mel_bank(bands: int, window: int, low: float, high: float) -> Float[Tensor, "c f"]:
    """Triangular filters, equally spaced on the HTK mel scale, each of unit sum."""
    frequencies = torch.fft.rfftfreq(window, 1 / SAMPLE_RATE)
    edges_mel = torch.linspace(2595 * np.log10(1 + low / 700), 2595 * np.log10(1 + high / 700), bands + 2)
    edges = 700 * (10 ** (edges_mel / 2595) - 1)
    rising = (frequencies - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - frequencies) / (edges[2:] - edges[1:-1])[:, None]
    bank = torch.minimum(rising, falling).clamp(min=0)
    # The lowest bands can be narrower than a bin: give those the nearest bin instead of nothing.
    nearest = F.one_hot((frequencies[None] - edges[1:-1, None]).abs().argmin(1), frequencies.shape[0]).float()
    bank = torch.where(bank.sum(1, keepdim=True) > 0, bank, nearest)
    return bank / bank.sum(1, keepdim=True)


class HubertEncoder:
    """Last hidden state of HuBERT through ``transformers`` (spec 8.1).

    Args:
        source: folder or hub id of the weights.
        device: where HuBERT runs.
        piece: rows per forward pass (1000 = 20 s, the reference's).
        context: rows of overlap on each side of a piece; 0 reproduces the reference, which loses context at the joints.
    """

    kind = "hubert"

    def __init__(self, source: str = "facebook/hubert-large-ls960-ft", device: str = "cpu", piece: int = 1000, context: int = 50) -> None:
        self.piece, self.context, self.device = piece, context, device
        self._network = _load_hubert(source).to(device)
        self.width = int(self._network.config.hidden_size)

    @torch.no_grad()
    def __call__(self, wave: Float[Tensor, "n"]) -> Float[Tensor, "u c"]:
        """Features of the standardised waveform."""
        wave = torch.nan_to_num(wave.float(), nan=0.0, posinf=0.0, neginf=0.0).to(self.device)
        rows = -(-wave.shape[0] // HOP)
        wave = (wave - wave.mean()) / (wave.var(correction=0) + 1e-7).sqrt() if rows else wave
        wave = F.pad(wave, (0, rows * HOP - wave.shape[0]))
        parts = []
        for start in range(0, rows, self.piece):
            stop, begin = min(start + self.piece, rows), max(start - self.context, 0)
            end = min(stop + self.context, rows)
            # 40 samples on each side make the network's window of 400 centred on its row and the row count exact.
            piece = F.pad(wave[begin * HOP : end * HOP], (40, 40))
            hidden = rearrange(self._network(piece[None]).last_hidden_state, "1 u c -> u c")
            parts.append(hidden[start - begin : stop - begin].cpu())
        return torch.cat(parts) if parts else torch.zeros(0, self.width)


def _load_hubert(source: str) -> Any:
    try:
        from transformers import HubertModel
    except ImportError as error:
        raise PortraitError("E_HUBERT", "HuBERT features need the package transformers",
                            "Install real3d-audio2motion[hubert], or use weights made for log-mel.") from error  # fmt: skip
    try:
        return HubertModel.from_pretrained(source).eval()
    except (OSError, ValueError) as error:
        raise PortraitError("E_HUBERT", f"no HuBERT weights in {source}",
                            "Give a folder with config.json and the weights, or a hub id and a network.") from error  # fmt: skip
