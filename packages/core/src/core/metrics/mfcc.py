"""The cepstral coefficients that SyncNet hears (HTK's, as python_speech_features 0.6 computes them)."""

import numpy as np
from jaxtyping import Float

RATE = 16000
WINDOW, STEP, FFT = 400, 160, 512
FILTERS, CEPSTRA, LIFTER, EMPHASIS = 26, 13, 22, 0.97
_TINY = np.finfo(float).eps


def mel_filters() -> Float[np.ndarray, "26 257"]:
    """Triangles whose corners lie evenly on the mel scale from 0 Hz to 8 kHz, rounded down to FFT bins."""
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, top, FILTERS + 2) / 2595) - 1)
    corners = np.floor((FFT + 1) * hertz / RATE)
    left, middle, right = (corners[k : FILTERS + k, None] for k in range(3))
    bins = np.arange(FFT // 2 + 1)
    rise, fall = (bins - left) / np.maximum(middle - left, 1), (right - bins) / np.maximum(right - middle, 1)
    return np.where((bins >= left) & (bins < middle), rise, np.where((bins >= middle) & (bins < right), fall, 0.0))


def mfcc(samples: Float[np.ndarray, " n"]) -> Float[np.ndarray, "t 13"]:
    """100 vectors per second of sound in [-1, 1] at 16 kHz; the first coefficient is the logarithm of the energy."""
    from scipy.fft import dct

    wave = np.round(np.clip(samples, -1, 1).astype(np.float64) * 32767)
    wave = np.append(wave[:1], wave[1:] - EMPHASIS * wave[:-1])
    count = 1 + max(0, -(-(len(wave) - WINDOW) // STEP))
    wave = np.pad(wave, (0, max(0, (count - 1) * STEP + WINDOW - len(wave))))
    frames = np.lib.stride_tricks.sliding_window_view(wave, WINDOW)[::STEP][:count]
    power = np.abs(np.fft.rfft(frames, FFT)) ** 2 / FFT
    energy, bands = power.sum(1), power @ mel_filters().T
    cepstra = dct(np.log(np.where(bands == 0, _TINY, bands)), type=2, axis=1, norm="ortho")[:, :CEPSTRA]
    cepstra = cepstra * (1 + LIFTER / 2 * np.sin(np.pi * np.arange(CEPSTRA) / LIFTER))
    cepstra[:, 0] = np.log(np.where(energy == 0, _TINY, energy))
    return cepstra
