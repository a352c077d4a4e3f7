"""Made training clips: a seed becomes a spoken sentence, a recording of it, and the motion of the face that says it."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import Dataset

from audio2motion import augment
from audio2motion.corpus import MotionClip
from audio2motion.features import HOP, AudioEncoder, normalise_loudness
from audio2motion.mouth import MouthRig, mouth_amplitude
from audio2motion.pitch import coarse_pitch, track_pitch
from audio2motion.prosody import brow_raise, find_accents, nod_angle
from audio2motion.sentences import make_text, pick_language
from audio2motion.speech import Phoneme, Utterance, say
from audio2motion.viseme_classes import viseme_track
from audio2motion.visemes import mouth_track

SPEAKERS = tuple(f"m{n}" for n in range(1, 9)) + tuple(f"f{n}" for n in range(1, 6)) + (
    "klatt", "klatt2", "klatt3", "klatt4", "klatt6", "steph", "linda", "adam", "grandma", "grandpa", "Annie", "Alex", "Andy", "Gene",
    "belinda", "ed", "john", "quincy", "travis", "zac", "iven", "paul", "victor", "anika", "aunty", "michael", "croak", "whisper",
)  # fmt: skip
"""Voice variants of espeak that sound like different people."""


@dataclass(frozen=True)
class SpeechOptions:
    """How varied the made clips are; ranges are (low, high), drawn evenly."""

    words: tuple[int, int] = (4, 12)
    """Words per clip."""
    rate: tuple[int, int] = (100, 230)
    """Words per minute."""
    tract: tuple[float, float] = (0.88, 1.14)
    """Vocal tract factor, see `augment.change_tract`."""
    warp: float = 0.7
    """Probability of `augment.warp_envelope`."""
    reverb: float = 0.5
    """Probability of `augment.room`."""
    snr_db: tuple[float, float] = (10.0, 50.0)
    """Signal-to-noise ratio."""
    emphasis_db: float = 6.0
    """Depth of `augment.emphasis`; the mouth follows with its 0.6th power."""
    opening: tuple[float, float] = (0.6, 1.4)
    """How far different speakers open the mouth."""
    pause: tuple[float, float] = (0.0, 0.35)
    """Gap in which the lips of different speakers wait between phrases."""
    consonants: tuple[float, float] = (0.6, 1.1)
    """How far they part their lips in consonants, see `audio2motion.visemes.mouth_track`."""
    spread: tuple[float, float] = (0.9, 1.9)
    """Reach of co-articulation, see `audio2motion.visemes.mouth_track`."""
    blinks: float = 0.3
    """Mean blinks per second."""
    brows: float = 0.0
    """How far the brows rise on accents (`audio2motion.prosody`); 1 is a clear emphasis."""
    nods: float = 0.0
    """How far the head nods on accents; 1 is 3.4 degrees for the strongest."""


@dataclass(frozen=True)
class Performance:
    """A sentence as it is heard and seen: rows of 25 fps and 640 samples each belong together.

    Attributes:
        wave: the recording, mono, 16 kHz, 640 samples a frame.
        phonemes: what is said when.
        track: what the lips do, `audio2motion.visemes.CHANNELS`.
        exp: expression codes: lips, lids and brows.
        blink: 1 on the centre frame of each blink.
        brows: how far the brows are raised, 0..1.
        nods: how far the head is bowed, radians.
    """

    wave: Float[np.ndarray, "n"]
    phonemes: tuple[Phoneme, ...]
    track: Float[np.ndarray, "t 5"]
    exp: Float[Tensor, "t 64"]
    blink: Int[np.ndarray, "t"]
    brows: Float[np.ndarray, "t"]
    nods: Float[np.ndarray, "t"]


class Speech(Dataset[MotionClip]):
    """Endless supply of made clips, the data source of stage 4: clip ``index`` depends on ``seed`` and ``index`` only.

    Args:
        count: length reported.
        encoder: audio features to compute.
        rig: turns mouth tracks into codes of one face model.
        seed: of all clips.
        options: variety.
    """

    def __init__(self, count: int, encoder: AudioEncoder, rig: MouthRig, seed: int = 0, options: SpeechOptions | None = None) -> None:
        self.count, self.encoder, self.rig, self.seed = count, encoder, rig, seed
        self.options = options or SpeechOptions()

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> MotionClip:
        """Perform and listen: features and codes as training wants them."""
        made = self.perform(index)
        sound = torch.from_numpy(made.wave)
        pitch = coarse_pitch(track_pitch(normalise_loudness(sound).numpy()))
        pitch = vary_pitch(pitch, np.random.default_rng([self.seed, index, 1]))
        amplitude = mouth_amplitude(self.rig.face, made.exp)
        viseme = torch.from_numpy(viseme_track(made.phonemes, len(made.exp)))
        return MotionClip(self.encoder(sound), torch.from_numpy(pitch), made.exp, torch.from_numpy(made.blink), amplitude, viseme)

    def perform(self, index: int) -> Performance:
        """Synthesise, articulate, record."""
        rng = np.random.default_rng([self.seed, index])
        speech, gain = self._speak(rng)
        frames = -(-len(speech.wave) // (8 * HOP)) * 4
        wave = np.pad(speech.wave, (0, frames * 2 * HOP - len(speech.wave)))
        gain = np.pad(gain, (0, len(wave) - len(gain)), mode="edge")
        manner = {name: float(rng.uniform(*getattr(self.options, name))) for name in ("spread", "pause", "consonants")}
        track = mouth_track(speech.phonemes, frames, **manner)
        # A louder syllable is a wider mouth; the power is our guess between none and proportional.
        track[:, [0, 4]] *= np.clip(gain.reshape(frames, -1).mean(1), 0.4, 1.8)[:, None] ** 0.6
        blink = blink_units(frames, self.options.blinks / 25, rng)
        loud = wave * gain
        accents = find_accents(loud)
        brows, nods = self.options.brows * brow_raise(accents), self.options.nods * nod_angle(accents)
        exp = self.rig.codes(
            torch.from_numpy(track), float(rng.uniform(*self.options.opening)), torch.from_numpy(blink), torch.from_numpy(brows)
        )
        return Performance(self._record(loud, rng), speech.phonemes, track, exp, blink, brows, nods)

    def _speak(self, rng: np.random.Generator) -> tuple[Utterance, Float[np.ndarray, "n"]]:
        language, voice = pick_language(rng)
        text = make_text(language, rng, int(rng.integers(self.options.words[0], self.options.words[1] + 1)))
        speaker = f"{voice}+{rng.choice(SPEAKERS)}"
        speech = say(text, speaker, int(rng.integers(*self.options.rate)), int(rng.integers(15, 85)), int(rng.integers(30, 95)))
        speech = augment.change_tract(speech, float(rng.uniform(*self.options.tract)))
        if rng.random() < self.options.warp:
            speech = replace(speech, wave=augment.warp_envelope(speech.wave, rng))
        speech = augment.pad_silence(speech, float(rng.uniform(0.0, 0.8)), float(rng.uniform(0.0, 0.8)))
        return speech, augment.emphasis(len(speech.wave), speech.rate, rng, self.options.emphasis_db)

    def _record(self, wave: Float[np.ndarray, "n"], rng: np.random.Generator) -> Float[np.ndarray, "n"]:
        if rng.random() < self.options.reverb:
            wave = augment.room(wave, rng)
        wave = augment.microphone(wave, rng)
        return augment.noise(wave, rng, float(rng.uniform(*self.options.snr_db)))


def vary_pitch(pitch: Int[np.ndarray, "u"], rng: np.random.Generator) -> Int[np.ndarray, "u"]:
    """Move all voiced bins by one random offset, and one clip in ten to unvoiced: how high a voice is says nothing about its lips."""
    if rng.random() < 0.1:
        return np.ones_like(pitch)
    return np.where(pitch > 1, np.clip(pitch + round(rng.normal(0, 20)), 2, 255), pitch)


def blink_units(frames: int, chance: float, rng: np.random.Generator) -> np.ndarray:
    """Centre frames of random blinks (int64 zeros and ones), at least 12 frames apart and away from the ends."""
    units, next_free = np.zeros(frames, np.int64), 4
    for frame in range(4, frames - 4):
        if frame >= next_free and rng.random() < chance:
            units[frame], next_free = 1, frame + 12
    return units
