"""Live speech to expression codes: blocks of sound in, frames of motion out, a bounded time later and in bounded memory."""

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from core.errors import PortraitError
from jaxtyping import Float
from torch import Tensor

from audio2motion.encoders import encoder_for, require_encoder
from audio2motion.features import HOP, SAMPLE_RATE, AudioEncoder, Voice
from audio2motion.model import SQUEEZE, Audio2Motion, Controls
from audio2motion.predict import FPS, activity_gate, controls_from_audio, mono, rested

FRAME = 2 * HOP
"""Samples per frame of motion."""
MEMORY = 30 * SAMPLE_RATE
"""Samples by which a voice that was not measured before is judged while it speaks."""
PAUSE = 32
"""Frames of past and future that decide whether the face rests (`activity_gate`), in whole latent frames."""
FLOOR = 3e-3
"""Least RMS that is taken for speech (-50 dBFS) as long as no voice is known: a quiet room before the first word is no speech."""


def context_of(model: Audio2Motion) -> int:
    """Frames to either side with which a part is decoded as in the whole; a latent frame beyond its reach for the features."""
    return max(model.reach, PAUSE) + SQUEEZE


class StreamingAudio2Motion:
    """`motion_from_audio` for sound that is still being spoken.

    Every ``chunk`` frames are decoded once their ``lookahead`` is there, together with `context_of` the model in frames of the past. They
    do not depend on how the sound is cut into blocks. They equal those of `motion_from_audio` for the whole sound when the voice is known
    (``voice=encoder.measure(whole)``), ``temperature`` is 0 and ``lookahead`` is `context_of` the model; a shorter lookahead answers
    sooner and differs a little (docs/measurements.md). HuBERT's attention sees the same window only, so with it equality is approximate.

    Args:
        model: network in eval mode, on any device.
        encoder: of the kind that the weights were trained on; None: the one that they name.
        voice: of the speaker and microphone, measured on earlier sound; None: judged by the last 30 seconds, again and again.
        mouth_amplitude: as in `motion_from_audio`.
        temperature: as in `motion_from_audio`; the noise of a frame depends on ``seed`` and its number only.
        seed: of the noise.
        rest_in_silence: ease to rest in long pauses; how long a pause is cannot be known beyond ``lookahead``.
        chunk: frames decoded at a time, a multiple of 4.
        lookahead: frames of future that a chunk waits for, a multiple of 4.

    Raises:
        ValueError: ``chunk`` or ``lookahead`` is no multiple of 4, or chunk is 0.
        PortraitError: ``E_FEATURES`` as in `motion_from_audio`.
    """

    def __init__(
        self,
        model: Audio2Motion,
        encoder: AudioEncoder | None = None,
        voice: Voice | None = None,
        mouth_amplitude: float | None = None,
        temperature: float = 0.2,
        seed: int = 0,
        rest_in_silence: bool = True,
        chunk: int = 4,
        lookahead: int = 12,
    ) -> None:
        if chunk < SQUEEZE or chunk % SQUEEZE or lookahead % SQUEEZE or lookahead < 0:
            raise ValueError(f"chunk={chunk} and lookahead={lookahead} must be multiples of {SQUEEZE}, chunk above 0")
        self.model, self.encoder = model, encoder or encoder_for(model.config, str(model.device))
        require_encoder(model.config, self.encoder)
        self.voice = voice
        self.amplitude = model.config.mouth_amplitude if mouth_amplitude is None else mouth_amplitude
        self.temperature, self.rest_in_silence = temperature, rest_in_silence
        self.chunk, self.lookahead = chunk, lookahead
        self._generator = torch.Generator().manual_seed(seed)
        self._noise: deque[Tensor] = deque()
        """Of latent frames from ``_first`` on."""
        self._sound, self._recent = np.zeros(0, np.float32), np.zeros(0, np.float32)
        self._first = self._done = 0
        """Frame with which the held sound begins; frames given out."""
        self._blinks: set[int] = set()
        self._ended = False

    @property
    def latency(self) -> float:
        """Seconds of sound that must follow the beginning of a frame before it is given out, at most; computing comes on top."""
        return (self.chunk + self.lookahead) / FPS

    def blink(self) -> int:
        """Blink as soon as possible; the frame in whose middle the eyes are shut. The lids start to move 3 frames before it."""
        frame = self._done + SQUEEZE
        self._blinks.add(frame)
        return frame

    def push(self, wave: Float[np.ndarray, "*n"]) -> Float[Tensor, "t 64"]:
        """Hear more sound (mono 16 kHz in [-1, 1], any number of samples); the frames that are ready now, often none.

        Raises:
            PortraitError: ``E_AUDIO`` for sound that is not one channel, or after `flush`.
        """
        if self._ended:
            raise PortraitError("E_AUDIO", "this stream has ended", "Start another one.")
        block = mono(wave).numpy()
        made, wait = [torch.zeros(0, 64)], (self.chunk + self.lookahead) * FRAME
        # In steps of a chunk: what a frame knows must not depend on how the sound was cut.
        while (missing := (self._done - self._first) * FRAME + wait - len(self._sound)) <= len(block):
            self._hear(block[: max(missing, 0)])
            block = block[max(missing, 0) :]
            made.append(self._decode(self._done + self.chunk))
        self._hear(block)
        return torch.cat(made)

    def flush(self) -> Float[Tensor, "t 64"]:
        """The sound has ended: the frames that are left, so that there are ceil(n / 640) in all."""
        self._ended = True
        stop = self._first + -(-len(self._sound) // FRAME)
        return self._decode(stop) if stop > self._done else torch.zeros(0, 64)

    def stream(self, blocks: Iterable[Float[np.ndarray, "_"]]) -> Iterator[Float[Tensor, "t 64"]]:
        """`push` every block and `flush`; yields what is not empty."""
        for block in blocks:
            if len(made := self.push(block)):
                yield made
        if len(rest := self.flush()):
            yield rest

    def _hear(self, block: Float[np.ndarray, "n"]) -> None:
        self._sound = np.concatenate([self._sound, block])
        if self.voice is None:
            self._recent = np.concatenate([self._recent, block])[-MEMORY:]

    @torch.no_grad()
    def _decode(self, stop: int) -> Float[Tensor, "t 64"]:
        """Frames from ``_done`` to ``stop``, with everything around them that is held; then forget what is too long ago."""
        sound = torch.from_numpy(self._sound)
        voice = self.voice or self.encoder.measure(torch.from_numpy(self._recent), FLOOR)
        heard = -(-len(sound) // FRAME)
        blink = np.array([frame in self._blinks for frame in range(self._first, self._first + heard)], np.int64)
        controls = controls_from_audio(sound, self.encoder, self.amplitude, blink, voice)
        frames = controls.mask.shape[1]
        noise = self._noise_of(frames // SQUEEZE) * self.temperature

        def decode(given: Controls) -> Float[Tensor, "t 64"]:
            return self.model.decode_prior(given.to(self.model.device), noise.to(self.model.device))[0].cpu()

        gate = activity_gate(sound, frames, voice=voice) if self.rest_in_silence else None
        made = rested(decode, controls, gate)[self._done - self._first : stop - self._first]
        self._done = stop
        self._forget(max(0, stop - context_of(self.model)) // SQUEEZE * SQUEEZE)
        return made

    def _noise_of(self, count: int) -> Float[Tensor, "1 z s"]:
        while len(self._noise) < count:
            self._noise.append(torch.randn(self.model.config.latent, generator=self._generator))
        return torch.stack(list(self._noise)[:count], 1)[None]

    def _forget(self, first: int) -> None:
        self._sound = self._sound[(first - self._first) * FRAME :]
        for _ in range((first - self._first) // SQUEEZE):
            self._noise.popleft()
        self._blinks = {frame for frame in self._blinks if frame >= first}
        self._first = first
