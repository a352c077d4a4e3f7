"""Made training clips: a seed becomes a spoken sentence, a recording of it, and the motion of the mouth that says it."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from audio2motion import augment
from audio2motion.corpus import MotionClip
from audio2motion.features import HOP, AudioEncoder, normalise_loudness
from audio2motion.mouth import MouthRig, mouth_amplitude
from audio2motion.pitch import coarse_pitch, track_pitch
from audio2motion.sentences import make_text, pick_language
from audio2motion.speech import Speech, say
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
    rate: tuple[int, int] = (120, 230)
    """Words per minute."""
    tract: tuple[float, float] = (0.88, 1.14)
    """Vocal tract factor, see `augment.change_tract`."""
    warp: float = 0.7
    """Probability of `augment.warp_envelope`."""
    reverb: float = 0.5
    """Probability of `augment.room`."""
    snr_db: tuple[float, float] = (8.0, 45.0)
    """Signal-to-noise ratio."""
    emphasis_db: float = 6.0
    """Depth of `augment.emphasis`; the mouth follows with its 0.6th power."""
    opening: tuple[float, float] = (0.6, 1.4)
    """How far different speakers open the mouth."""
    blinks: float = 0.3
    """Mean blinks per second."""


class SpeechDataset(Dataset[MotionClip]):
    """Endless supply of made clips: clip ``index`` depends on ``seed`` and ``index`` only.

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
        """Synthesise, record, articulate."""
        rng = np.random.default_rng([self.seed, index])
        speech, gain = self._speak(rng)
        frames = -(-len(speech.wave) // (8 * HOP)) * 4
        wave = np.pad(speech.wave, (0, frames * 2 * HOP - len(speech.wave)))
        gain = np.pad(gain, (0, len(wave) - len(gain)), mode="edge")
        track = mouth_track(speech.phonemes, frames, spread=float(rng.uniform(0.8, 1.6)))
        # A louder syllable is a wider mouth; the power is our guess between none and proportional.
        track[:, 0] *= np.clip(gain.reshape(frames, -1).mean(1), 0.4, 1.8) ** 0.6
        blink = blink_units(frames, self.options.blinks / 25, rng)
        exp = self.rig.codes(torch.from_numpy(track), opening=float(rng.uniform(*self.options.opening)), blink=torch.from_numpy(blink))
        sound = torch.from_numpy(self._record(wave * gain, rng))
        pitch = torch.from_numpy(coarse_pitch(track_pitch(normalise_loudness(sound).numpy())))
        return MotionClip(self.encoder(sound), pitch, exp, torch.from_numpy(blink), mouth_amplitude(self.rig.face, exp))

    def _speak(self, rng: np.random.Generator) -> tuple[Speech, Float[np.ndarray, "n"]]:
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


def blink_units(frames: int, chance: float, rng: np.random.Generator) -> np.ndarray:
    """Centre frames of random blinks (int64 zeros and ones), at least 12 frames apart and away from the ends."""
    units, next_free = np.zeros(frames, np.int64), 4
    for frame in range(4, frames - 4):
        if frame >= next_free and rng.random() < chance:
            units[frame], next_free = 1, frame + 12
    return units


def jitter_features(audio: Float[Tensor, "b u c"], generator: torch.Generator) -> Float[Tensor, "b u c"]:
    """Fresh variation of log-mel features at every step: the band axis stretched by +-12 %, smooth colour, a noise floor, noise.

    Stretching the bands is vocal-tract length perturbation; the floor hides what a noisy room would hide.
    """
    batch, _, bands = audio.shape

    def draw(*shape: int) -> Tensor:
        return torch.rand(batch, *shape, generator=generator).to(audio)

    source = (torch.linspace(0, 1, bands, device=audio.device) * (1 + 0.12 * (2 * draw(1) - 1))).clamp(0, 1) * (bands - 1)
    low = source.floor().long().clamp(max=bands - 2)
    part = (source - low)[:, None]
    rows = low[:, None].expand_as(audio)
    warped = torch.gather(audio, 2, rows) * (1 - part) + torch.gather(audio, 2, rows + 1) * part
    knots = 0.15 * torch.randn(batch, 1, 6, generator=generator).to(audio)
    coloured = warped + F.interpolate(knots, bands, mode="linear", align_corners=True)
    floored = torch.maximum(coloured, -3 + 1.5 * draw(1, 1))
    return floored + 0.15 * draw(1, 1) * torch.randn(audio.shape, generator=generator).to(audio)
