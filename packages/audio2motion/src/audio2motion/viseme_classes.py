# ruff: noqa: RUF001 - IPA symbols look like Latin letters
"""Sounds sorted by what lips and jaw do for them: classes that a listener can be asked for beside motion.

A network that learns motion alone may answer every doubt with the mean of all mouths; one that must also say which kind of sound it heard
has to hear it (the targets of speech recognition as an auxiliary task; the grouping is our own, along `audio2motion.visemes`).
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from audio2motion.speech import Phoneme
from audio2motion.visemes import CONSONANTS, VOWELS

SILENCE = 0
UNKNOWN = -1
"""Nobody says what is heard there: padding, recordings without phonemes."""
_CONSONANTS = ("pbmɓ", "fvɱɸβʋ", "wʍɥ", "θð", "szɕʑ", "ʃʒʂʐ", "tdnʈɖɳ", "lɫɭʎɬɮ", "ɹɻrɾʀʁɽ", "jɲçʝ", "kɡgŋxɣqχcɟɢɴhɦʔħʕ")
_VOWELS = ("iɪɨᵻ", "eɛεæɘ", "aɐɑäʌ", "əɜɚɝɤɯᵊ", "ɔɒœ", "oøɵ", "uʊyʏʉ")
CLASSES = (*_CONSONANTS, *_VOWELS)
"""The sounds of class 1, 2, ...; class 0 is silence."""
COUNT = 1 + len(CLASSES)
_CLASS_OF = {symbol: number for number, symbols in enumerate(CLASSES, 1) for symbol in symbols}


def class_of(symbol: str) -> int:
    """Class of one IPA letter of `VOWELS` or `CONSONANTS`."""
    return _CLASS_OF[symbol]


def viseme_track(phonemes: Sequence[Phoneme], frames: int, fps: int = 25) -> Int[np.ndarray, "t"]:
    """Class of the sound in the middle of every frame; silence where there is none.

    Diphthongs and affricates are two sounds of equal length, as in `audio2motion.visemes.gestures`.
    """
    track = np.full(frames, SILENCE, np.int64)
    middles = (np.arange(frames) + 0.5) / fps
    for phoneme in phonemes:
        symbols = [symbol for symbol in phoneme.symbol if symbol in VOWELS or symbol in CONSONANTS]
        edges = np.linspace(phoneme.start, phoneme.end, len(symbols) + 1)
        for symbol, start, end in zip(symbols, edges, edges[1:], strict=False):
            track[(middles >= start) & (middles < end)] = class_of(symbol)
    return track
