"""Synthetic speech with phoneme times: espeak-ng through ctypes, from the library inside the ``espeakng-loader`` wheel."""

import _ctypes
import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from core.errors import PortraitError
from jaxtyping import Float

_PHONEME_EVENT, _RETRIEVAL, _UTF8 = 7, 2, 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_PHONEME_EVENTS, _AS_IPA = 1, 2


@dataclass(frozen=True)
class Phoneme:
    """One sound: its IPA symbol (empty for silence) and where it lies, in seconds."""

    symbol: str
    start: float
    end: float


@dataclass(frozen=True)
class Utterance:
    """A spoken text.

    Attributes:
        wave: mono sound in [-1, 1].
        rate: samples per second (22,050).
        phonemes: what is said when, without gaps.
    """

    wave: Float[np.ndarray, "n"]
    rate: int
    phonemes: tuple[Phoneme, ...]


def say(text: str, voice: str = "en-us", rate: int = 165, pitch: int = 50, pitch_range: int = 50) -> Utterance:
    """Speak ``text``; deterministic.

    Args:
        text: any text in the language of the voice.
        voice: espeak name, with an optional speaker variant: ``de``, ``en-us+f3``.
        rate: words per minute, 80 to 450.
        pitch: 0 to 99.
        pitch_range: liveliness of the melody, 0 to 99.

    Raises:
        PortraitError: ``E_ESPEAK`` without the package, ``E_VOICE`` for a voice that does not exist.
    """
    samples: list[np.ndarray] = []
    events: list[tuple[float, str]] = []
    callback = _collector(samples, events)
    with _espeak() as (library, sample_rate):
        if library.espeak_SetVoiceByName(voice.encode()):
            raise PortraitError("E_VOICE", f"espeak has no voice {voice!r}", "Use a language code such as de or en-us, perhaps with +f2.")
        for name, value in ((_RATE, rate), (_PITCH, pitch), (_RANGE, pitch_range)):
            library.espeak_SetParameter(name, value, 0)
        library.espeak_SetSynthCallback(callback)
        data = text.encode()
        library.espeak_Synth(data, len(data) + 1, 0, 0, 0, _UTF8, None, None)
        library.espeak_Synchronize()
    wave = np.concatenate(samples).astype(np.float32) / 32768 if samples else np.zeros(0, np.float32)
    return Utterance(wave, sample_rate, _spans(events, len(wave) / sample_rate))


def _spans(events: list[tuple[float, str]], end: float) -> tuple[Phoneme, ...]:
    starts = [time for time, _ in events]
    spans = zip(events, [*starts[1:], end], strict=True)
    return tuple(Phoneme(symbol, start, stop) for (start, symbol), stop in spans if stop > start)


class _EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int), ("uid", ctypes.c_uint), ("text_position", ctypes.c_int), ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int), ("sample", ctypes.c_int), ("user_data", ctypes.c_void_p), ("id", _EventId),
    ]  # fmt: skip


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


def _collector(samples: list[np.ndarray], events: list[tuple[float, str]]) -> Any:
    def collect(wave: Any, count: int, event: Any) -> int:
        if count > 0:
            samples.append(np.ctypeslib.as_array(wave, (count,)).copy())
        index = 0
        while event[index].type:
            if event[index].type == _PHONEME_EVENT:
                symbol = bytes(event[index].id.string).split(b"\0")[0].decode("utf8", "ignore")
                events.append((event[index].audio_position / 1000, symbol))
            index += 1
        return 0

    return _Callback(collect)


@contextmanager
def _espeak() -> Iterator[tuple[ctypes.CDLL, int]]:
    """The library, freshly loaded, and its sample rate.

    Its oscillators and random numbers keep running from one text to the next; only unloading it resets them, and without
    that a clip would depend on what was said before. Not for concurrent threads.
    """
    try:
        import espeakng_loader
    except ImportError as error:
        raise PortraitError("E_ESPEAK", "synthetic speech needs espeak-ng", "Install real3d-audio2motion[speech].") from error
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    try:
        rate = library.espeak_Initialize(_RETRIEVAL, 0, espeakng_loader.get_data_path().encode(), _PHONEME_EVENTS | _AS_IPA)
        if rate <= 0:
            raise PortraitError("E_ESPEAK", "espeak-ng could not start", "Reinstall espeakng-loader.")
        library.espeak_ng_SetRandSeed(ctypes.c_long(0))
        yield library, rate
        library.espeak_Terminate()
    finally:
        _ctypes.dlclose(library._handle)
