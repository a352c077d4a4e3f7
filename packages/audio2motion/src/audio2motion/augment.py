"""Makes clean synthetic speech sound like recordings of people: vocal tract, emphasis, room, microphone, noise.

All functions take mono sound and a numpy generator; lengths are kept unless stated.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from audio2motion.speech import Phoneme, Utterance


def change_tract(speech: Utterance, ratio: float, to_rate: int = 16_000) -> Utterance:
    """Resample to ``to_rate`` as if played ``ratio`` times as fast: pitch and formants rise by ``ratio``, times shrink by it."""
    from scipy.signal import resample_poly

    down = round(speech.rate * ratio / 50)
    wave = resample_poly(speech.wave, to_rate // 50, down).astype(np.float32)
    exact = len(wave) / to_rate / (len(speech.wave) / speech.rate)
    phonemes = tuple(Phoneme(p.symbol, p.start * exact, p.end * exact) for p in speech.phonemes)
    return Utterance(wave, to_rate, phonemes)


def emphasis(count: int, rate: int, rng: np.random.Generator, depth_db: float = 6.0) -> Float[np.ndarray, "n"]:
    """Slow gain curve (about 1 Hz, +- ``depth_db`` at two sigma): people stress and mumble, synthesisers hardly do."""
    knots = rng.normal(0.0, depth_db / 2, size=max(2, int(count / rate * 1.5) + 2))
    curve = np.interp(np.arange(count), np.linspace(0, count, len(knots)), knots)
    return (10 ** (curve / 20)).astype(np.float32)


def warp_envelope(wave: Float[np.ndarray, "n"], rng: np.random.Generator, rate: int = 16_000) -> Float[np.ndarray, "n"]:
    """Shift formants apart from the pitch: the smooth spectral envelope of each frame is stretched along frequency by 0.82..1.25.

    The excitation is roughened too (random phase mixed in above 2 kHz), as breath does in a human voice.
    """
    window, hop = 512, 256
    taper = np.sqrt(np.hanning(window + 1)[:-1]).astype(np.float32)
    padded = np.pad(wave, (window, window + hop))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop] * taper
    spectrum = np.fft.rfft(frames)
    envelope = _smooth_log(np.log(np.abs(spectrum) + 1e-4))
    bins = np.arange(envelope.shape[1])
    factor, tilt = rng.uniform(0.82, 1.25), rng.normal(0, 0.5)
    source = np.clip(bins / factor, 0, len(bins) - 1)
    low = np.floor(source).astype(int)
    part = source - low
    high = np.minimum(low + 1, len(bins) - 1)
    gain = np.exp(np.clip(envelope[:, low] * (1 - part) + envelope[:, high] * part - envelope, -3, 3))
    breath = rng.uniform(0, 0.6) * np.clip((bins * rate / window - 1500) / 3000, 0, 1)
    phase = np.exp(1j * rng.uniform(-np.pi, np.pi, spectrum.shape) * breath)
    frames = np.fft.irfft(spectrum * gain * phase * np.linspace(1, np.exp(tilt), len(bins))) * taper
    halves = np.zeros((len(frames) + 1, hop), np.float32)
    halves[:-1] += frames[:, :hop]
    halves[1:] += frames[:, hop:]
    return halves.reshape(-1)[window : window + len(wave)]


def _smooth_log(log_magnitude: Float[np.ndarray, "t f"], order: int = 30) -> Float[np.ndarray, "t f"]:
    cepstrum = np.fft.irfft(log_magnitude)
    cepstrum[:, order:-order] = 0
    return np.fft.rfft(cepstrum).real.astype(np.float32)


def room(wave: Float[np.ndarray, "n"], rng: np.random.Generator, rate: int = 16_000) -> Float[np.ndarray, "n"]:
    """Exponentially decaying noise as impulse response: reverberation time 0.1-0.6 s, direct sound 3-20 dB above the tail."""
    from scipy.signal import fftconvolve

    decay = rng.uniform(0.1, 0.6)
    count = int(decay * rate)
    tail = rng.normal(size=count) * 10 ** (-3 * np.arange(count) / count)
    tail *= 10 ** (-rng.uniform(3, 20) / 20) / max(float(np.linalg.norm(tail)), 1e-6)
    tail[: int(0.002 * rate)] = 0
    tail[0] = 1.0
    return fftconvolve(wave, tail)[: len(wave)].astype(np.float32)


def microphone(wave: Float[np.ndarray, "n"], rng: np.random.Generator, rate: int = 16_000) -> Float[np.ndarray, "n"]:
    """Random smooth colour (+- 8 dB), high-pass, sometimes a telephone's or a codec's upper limit, sometimes soft clipping."""
    size = _fft_size(len(wave))
    spectrum = np.fft.rfft(wave, size)
    frequencies = np.fft.rfftfreq(size, 1 / rate)
    octaves = np.log2(np.maximum(frequencies, 50) / 50)
    knots = rng.normal(0, 4.0, 9)
    gain = 10 ** (np.interp(octaves, np.arange(9), knots) / 20)
    gain *= 1 / np.sqrt(1 + (rng.uniform(20, 200) / np.maximum(frequencies, 1)) ** 4)
    if rng.random() < 0.4:
        gain *= 1 / np.sqrt(1 + (frequencies / rng.uniform(3400, 7600)) ** 12)
    out = np.fft.irfft(spectrum * gain, size)[: len(wave)]
    if rng.random() < 0.2:
        drive = rng.uniform(1, 3) / max(float(np.abs(out).max()), 1e-6)
        out = np.tanh(out * drive)
    return out.astype(np.float32)


def noise(wave: Float[np.ndarray, "n"], rng: np.random.Generator, snr_db: float) -> Float[np.ndarray, "n"]:
    """Add coloured noise (spectrum 1 / f^0..2) at a signal-to-noise ratio measured over the whole clip."""
    spectrum = np.fft.rfft(rng.normal(size=_fft_size(len(wave))))
    shape = np.maximum(np.arange(len(spectrum)), 20.0) ** -rng.uniform(0, 1)
    hiss = np.fft.irfft(spectrum * shape)[: len(wave)]
    level = np.sqrt(np.mean(wave**2)) * 10 ** (-snr_db / 20) / max(float(np.sqrt(np.mean(hiss**2))), 1e-9)
    return (wave + hiss * level).astype(np.float32)


def pad_silence(speech: Utterance, before: float, after: float) -> Utterance:
    """Silence of ``before`` and ``after`` seconds around a speech."""
    left, right = (np.zeros(round(seconds * speech.rate), np.float32) for seconds in (before, after))
    wave = np.concatenate([left, speech.wave, right])
    end = before + (speech.phonemes[-1].end if speech.phonemes else 0.0)
    inner: Sequence[Phoneme] = [Phoneme(p.symbol, p.start + before, p.end + before) for p in speech.phonemes]
    return Utterance(wave, speech.rate, (Phoneme("", 0.0, before), *inner, Phoneme("", end, len(wave) / speech.rate)))


def _fft_size(count: int) -> int:
    """The next power of two: transforms of arbitrary lengths are ten times slower."""
    return 1 << max(count - 1, 1).bit_length()
