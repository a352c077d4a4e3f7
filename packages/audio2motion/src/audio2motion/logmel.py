"""Log-mel features: what runs without a download."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from audio2motion.features import FRAME_RATE, HOP, SAMPLE_RATE, Voice, frame_levels, speech_frames


class LogMelEncoder:
    """Log-mel spectrogram whose bands are centred on their mean over the clip's speech, so that microphone and voice colour drop out.

    Args:
        width: number of triangular mel bands between 80 and 7600 Hz.
        window: analysis window in samples.
    """

    kind = "logmel"
    rate = FRAME_RATE

    def __init__(self, width: int = 40, window: int = 512) -> None:
        self.width = width
        self.window = window

    def measure(self, wave: Float[Tensor, "n"], floor: float = 0.0) -> Voice:
        """Level and colour of a recording."""
        voice = Voice.of(wave.cpu(), floor)
        levelled = voice.levelled(wave.cpu())
        return replace(voice, colour=self._colour(self._spectrum(levelled), levelled, voice))

    def __call__(self, wave: Float[Tensor, "n"], voice: Voice | None = None) -> Float[Tensor, "u c"]:
        """Features about in [-3, 2]: log10 power against the mean of speech; -3 is silence."""
        known = voice or Voice.of(wave.cpu())
        levelled = known.levelled(wave.cpu())
        spectrum = self._spectrum(levelled)
        colour = self._colour(spectrum, levelled, known) if voice is None else voice.colour
        return (spectrum - colour).clamp(-3.0, 3.0)

    def _spectrum(self, wave: Float[Tensor, "n"]) -> Float[Tensor, "u c"]:
        return torch.log10(self._mel_power(wave) + 1e-6) if wave.numel() else torch.zeros(0, self.width)

    def _colour(self, spectrum: Float[Tensor, "u c"], wave: Float[Tensor, "n"], voice: Voice) -> Float[Tensor, "c"]:
        speech = speech_frames(frame_levels(wave), loud=voice.level)
        return spectrum[speech].mean(0) if speech.any() else torch.zeros(self.width)

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
    """Triangular filters, equally spaced on the HTK mel scale, each of unit sum.

    Those of ``librosa.filters.mel(htk=True, norm=None)`` up to scale, without the seconds that importing librosa takes.
    """
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
