"""Features on disk, found again by what was heard: HuBERT costs more than all that comes after it."""

from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Protocol, runtime_checkable

from core.errors import PortraitError
from core.media.files import atomic_path
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from audio2motion.features import AudioEncoder, Voice


@runtime_checkable
class Fingerprinted(AudioEncoder, Protocol):
    """An encoder that can say which weights it has."""

    fingerprint: str
    """Equal for equal features."""


class CachedEncoder:
    """Another encoder with a memory in ``folder``; what cannot be kept or read is computed, never an error.

    The name of a file is the hash of the samples, of the voice that they belong to, and of the encoder's kind and weights. Files appear
    only when complete, so several processes may share a folder. Features are kept in float16.

    Args:
        encoder: does the work.
        folder: of the files; made when first needed.
    """

    def __init__(self, encoder: Fingerprinted, folder: str | Path) -> None:
        self.encoder, self.folder = encoder, Path(folder)
        self.kind, self.width, self.rate = encoder.kind, encoder.width, encoder.rate

    def measure(self, wave: Float[Tensor, "n"], floor: float = 0.0) -> Voice:
        """As the encoder does."""
        return self.encoder.measure(wave, floor)

    def __call__(self, wave: Float[Tensor, "n"], voice: Voice | None = None) -> Float[Tensor, "u c"]:
        """Features, rounded to float16 also when they are new: the same sound gives the same motion."""
        path = self._path(wave, voice)
        with suppress(OSError, SafetensorError, KeyError):
            return load_file(path)["audio"].float()
        features = self.encoder(wave, voice).half()
        with suppress(PortraitError), atomic_path(path) as temporary:
            save_file({"audio": features.contiguous()}, temporary)
        return features.float()

    def _path(self, wave: Float[Tensor, "n"], voice: Voice | None) -> Path:
        digest = sha256(f"{self.kind} {self.width} {self.rate} {self.encoder.fingerprint}".encode())
        if voice is not None:
            digest.update(f"{voice.offset!r} {voice.gain!r} {voice.deviation!r} {voice.colour.tolist()}".encode())
        digest.update(wave.detach().cpu().float().contiguous().numpy())
        name = digest.hexdigest()
        return self.folder / name[:2] / f"{name[2:]}.safetensors"
