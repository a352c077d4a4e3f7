# ruff: noqa: RUF001 - IPA symbols look like Latin letters
"""What the lips do for each sound, and how neighbouring sounds pull at it (co-articulation).

A mouth track has five channels per frame, independent of any face model: ``gap`` between the lips (0 shut, 1 as for a loud
"ah"), ``width`` (-1 rounded as "oo", 1 spread as "ee"), ``tuck`` (lower lip under the upper teeth, "f"), ``press`` (lips
shut by force, "m") and ``jaw`` (the gap that the jaw alone would give: lips close over an open jaw in "ama", and part over
closed teeth in "see"). `audio2motion.mouth` turns it into expression codes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from audio2motion.speech import Phoneme

CHANNELS = ("gap", "width", "tuck", "press", "jaw")


@dataclass(frozen=True)
class Target:
    """Where a sound wants the lips, and how strongly it insists on each against its neighbours (0..1)."""

    gap: float
    width: float
    hold_gap: float = 0.6
    hold_width: float = 0.5
    tuck: float = 0.0
    narrow: float = 0.0
    """Share of the gap that is closed whatever the neighbours want, as by ``tuck`` 0.8 and by ``shut`` all."""
    shut: bool = False
    jaw: float | None = None
    """None: as far as ``gap``."""
    hold_jaw: float = 0.6


def _vowel(gap: float, width: float) -> Target:
    return Target(gap, width, hold_gap=1.0, hold_width=1.0 if abs(width) > 0.4 else 0.5, hold_jaw=1.0)


VOWELS = {
    "i": (0.16, 1.0), "ɪ": (0.34, 0.6), "e": (0.42, 0.7), "ɛ": (0.62, 0.5), "æ": (0.85, 0.5), "a": (0.92, 0.2), "ɐ": (0.65, 0.1),
    "ɑ": (1.00, 0.0), "ɒ": (0.85, -0.3), "ʌ": (0.72, 0.0), "ə": (0.42, 0.0), "ɜ": (0.48, -0.1), "ɚ": (0.40, -0.2), "ɝ": (0.48, -0.2),
    "ɔ": (0.70, -0.6), "o": (0.48, -0.9), "ʊ": (0.35, -0.7), "u": (0.28, -1.0), "y": (0.28, -1.0), "ʏ": (0.32, -0.8), "ø": (0.42, -0.9),
    "œ": (0.55, -0.6), "ɨ": (0.32, 0.4), "ɯ": (0.32, 0.2), "ɤ": (0.48, 0.0), "ɵ": (0.42, -0.6), "ᵻ": (0.36, 0.4), "ɘ": (0.42, 0.2),
    "ᵊ": (0.35, 0.0), "ä": (0.92, 0.2), "ε": (0.62, 0.5), "ʉ": (0.28, -0.9),
}  # fmt: skip
CONSONANTS = {
    **dict.fromkeys("pbmɓ", Target(0.0, 0.0, 1.0, 0.2, shut=True, jaw=0.15, hold_jaw=0.2)),
    **dict.fromkeys("fvɱ", Target(0.10, 0.0, 0.9, 0.3, tuck=1.0, jaw=0.15, hold_jaw=0.4)),
    **dict.fromkeys("wʍɥ", Target(0.04, -1.0, 0.9, 0.9, narrow=0.7, jaw=0.25, hold_jaw=0.4)),
    **dict.fromkeys("ɸβʋ", Target(0.12, -0.3, 0.8, 0.5, tuck=0.4, jaw=0.2, hold_jaw=0.4)),
    **dict.fromkeys("θð", Target(0.32, 0.1, 0.6, 0.3, jaw=0.2)),
    **dict.fromkeys("szɕʑ", Target(0.20, 0.3, 0.8, 0.4, jaw=0.05, hold_jaw=0.9)),
    **dict.fromkeys("ʃʒʂʐ", Target(0.28, -0.6, 0.8, 0.7, jaw=0.08, hold_jaw=0.9)),
    **dict.fromkeys("tdnʈɖɳ", Target(0.27, 0.1, 0.5, 0.2, jaw=0.12, hold_jaw=0.5)),
    **dict.fromkeys("lɫɭʎɬɮ", Target(0.40, 0.1, 0.5, 0.2, jaw=0.25, hold_jaw=0.4)),
    **dict.fromkeys("ɹɻrɾʀʁɽ", Target(0.33, -0.3, 0.5, 0.4, jaw=0.2, hold_jaw=0.4)),
    **dict.fromkeys("jɲçʝ", Target(0.30, 0.6, 0.5, 0.5, jaw=0.15, hold_jaw=0.4)),
    **dict.fromkeys("kɡgŋxɣqχcɟɢɴ", Target(0.42, 0.0, 0.35, 0.1, hold_jaw=0.2)),
    **dict.fromkeys("hɦʔħʕ", Target(0.50, 0.0, 0.15, 0.05, hold_jaw=0.1)),
}
PAUSE = 0.2
"""Gap in which most lips wait between two phrases; `audio2motion.predict` brings the face to rest in longer silence."""
PARTING = 0.3
"""Share of the width channel that is added to the gap: spread lips bare the teeth, rounded lips leave a small hole."""
LEAST_HOLE = 0.22
"""Gap that rounding leaves at least."""
STRESS = {"ˈ": 1.15, "ˌ": 1.0}
UNSTRESSED = 0.65
_VOICELESS_STOPS = "ptkqcʈ"
_NARROW = 0.15
"""Gap below which a consonant is made with the lips."""
READY = 0.15
"""Seconds by which the lips take their place before the first sound after a pause, at most."""
_CLOSURE = 0.05
"""Seconds of closure that espeak puts before the event of a voiceless stop."""
LEAD = 0.03
"""The lips run this far ahead of the sound, in seconds; little, for an "m" sounds while they are shut and neither before nor after."""


@dataclass(frozen=True)
class Gesture:
    """A target placed in time."""

    start: float
    end: float
    target: Target
    silent: bool = False


def gestures(phonemes: Sequence[Phoneme], pause: float = PAUSE, consonants: float = 1.0) -> list[Gesture]:
    """One gesture a sound; diphthongs and affricates give two; lips are ``pause`` apart in silence.

    ``consonants`` scales how far they are apart in consonants.
    """
    found: list[Gesture] = []
    for phoneme in phonemes:
        symbols = [s for s in phoneme.symbol if s in VOWELS or s in CONSONANTS]
        if not symbols:
            if not phoneme.symbol:
                found.append(Gesture(phoneme.start, phoneme.end, Target(pause, 0.0, 0.6, 0.3), silent=True))
            continue
        stress = next((gain for mark, gain in STRESS.items() if mark in phoneme.symbol), UNSTRESSED)
        length = (phoneme.end - phoneme.start) / len(symbols)
        for index, symbol in enumerate(symbols):
            start = phoneme.start + index * length
            end = start + length
            if symbol in _VOICELESS_STOPS:
                start, end = start - _CLOSURE, max(start + 0.01, end - 0.03)
            target = _stressed(symbol, stress, consonants)
            if found and target.gap < _NARROW and (before := found[-1]).silent:
                # Nobody hears lips that are ready too early: in a pause they wait as the next labial sound needs them.
                start -= min(READY, 0.5 * (before.end - before.start))
                found[-1] = replace(before, end=min(before.end, start))
            found.append(Gesture(start, end, target))
    return found


def _stressed(symbol: str, stress: float, consonants: float) -> Target:
    if symbol in CONSONANTS:
        return replace(CONSONANTS[symbol], gap=CONSONANTS[symbol].gap * consonants)
    gap, width = VOWELS[symbol]
    return _vowel(gap * stress, width * min(stress, 1.0))


def mouth_track(
    phonemes: Sequence[Phoneme], frames: int, fps: int = 25, oversample: int = 4, spread: float = 1.3,
    pause: float = PAUSE, consonants: float = 1.0,
) -> Float[np.ndarray, "t 5"]:  # fmt: skip
    """Mouth channels (see `CHANNELS`) at ``fps`` by dominance functions (Cohen and Massaro 1993, own constants).

    Each sound pulls with a strength that decays exponentially outside its span; lip closures and tucks then overrule the
    average, because a listener sees at once when an "m" leaves the lips apart.

    Args:
        phonemes: sounds with times.
        frames: length of the track.
        fps: frames per second.
        oversample: inner resolution; the result is the mean over a frame.
        spread: scales the reach of co-articulation: above 1 is a lazy speaker.
        pause: how far apart the lips of this speaker are between phrases.
        consonants: scales how far apart they are in consonants.
    """
    times = (np.arange(frames * oversample) + 0.5) / (fps * oversample) + LEAD
    found = gestures(phonemes, pause, consonants)
    if not found:
        return np.zeros((frames, len(CHANNELS)), np.float32)
    start, end = np.array([[g.start, g.end] for g in found]).T[..., None]
    early, late = np.maximum(start - times, 0), np.maximum(times - end, 0)
    pull = np.exp(-early / (0.026 * spread) - late / (0.022 * spread)) + 1e-6
    targets = [g.target for g in found]
    columns = [
        [t.gap, t.width, t.gap if t.jaw is None else t.jaw, t.hold_gap, t.hold_width, t.hold_jaw, t.tuck, t.narrow, t.shut] for t in targets
    ]
    gap, width, jaw, hold_gap, hold_width, hold_jaw, tuck, narrow, shut = np.array(columns).T[..., None]
    # Lips round early and stay round late; the jaw is the slowest of all.
    track_gap, track_width, track_jaw = (
        (hold * pull**reach * target).sum(0) / (hold * pull**reach).sum(0)
        for target, hold, reach in ((gap, hold_gap, 1.0), (width, hold_width, 0.7), (jaw, hold_jaw, 0.7))
    )
    # Closing takes about 50 ms and is complete within the sound's span.
    near = np.exp(-0.5 * ((early + late) / 0.018) ** 2)
    press, tucked, narrowed = ((near * amount).max(0) for amount in (shut, tuck, narrow))
    rounded = np.maximum(track_gap + PARTING * track_width, np.minimum(track_gap, LEAST_HOLE))
    track_gap = rounded * (1 - press) * (1 - 0.8 * tucked) * (1 - narrowed)
    track = np.stack([track_gap, track_width, tucked, press, track_jaw], 1)
    return track.reshape(frames, oversample, -1).mean(1).astype(np.float32)
