"""Sizes and named presets of the audio-to-motion network."""

from dataclasses import dataclass
from typing import Any, Literal

from core.presets import from_preset

PRESETS: dict[str, dict[str, Any]] = {
    "debug": dict(audio="logmel", audio_width=40, hidden=16, cond_width=8, latent=4, encoder_layers=1, decoder_layers=1, flow_hidden=8,
                  flow_layers=1, flow_steps=2, downsample="mean"),
    "tiny": dict(audio="logmel", audio_width=40, hidden=96, cond_width=96, latent=8, encoder_layers=2, decoder_layers=4, flow_hidden=32,
                 flow_layers=2, downsample="mean"),
    "paper": dict(hidden=192, cond_width=256, downsample="lowpass"),
    "release": dict(),
}  # fmt: skip


@dataclass(frozen=True)
class Audio2MotionConfig:
    """Everything that shapes `Audio2Motion`; the defaults are the released pitch model (11.864 M, spec 8.2).

    ``paper`` keeps the two sizes that the paper's Table 6 states (10 M parameters, channel size 192); ``tiny`` is the
    model that ships with the package, ``debug`` is for tests.
    """

    audio: Literal["hubert", "logmel"] = "hubert"
    """Kind of audio feature; weights trained on one kind are useless with another."""
    audio_width: int = 1024
    """Channels of the audio feature: 1024 for HuBERT-large, the number of mel bands for ``logmel``."""
    audio_rate: int = 50
    """Rows of the audio feature per second: two per frame of motion."""
    audio_source: str = "facebook/hubert-large-ls960-ft"
    """Folder, hub id or fairseq ``.pt`` file of the HuBERT weights; unused by ``logmel``."""
    hidden: int = 256
    """Channels of the VAE's encoder and decoder."""
    cond_width: int = 128
    """Channels of the condition g (audio, pitch, blink and mouth amplitude together)."""
    latent: int = 16
    """Channels of the latent code; even, the flow splits it in halves."""
    kernel: int = 5
    """Kernel of the encoder's and decoder's WaveNets."""
    encoder_layers: int = 8
    """WaveNet layers of the posterior encoder."""
    decoder_layers: int = 4
    """WaveNet layers of the decoder."""
    flow_hidden: int = 64
    """Channels inside a coupling step."""
    flow_layers: int = 4
    """WaveNet layers of a coupling step."""
    flow_steps: int = 4
    """Coupling steps of the prior flow."""
    downsample: Literal["nearest", "mean", "lowpass"] = "nearest"
    """50 Hz audio to 25 fps: every other row (official weights), the mean of two, or an anti-aliasing filter (`audio2motion.halving`)."""
    mouth_amplitude: float = 0.45
    """Amplitude used when the caller gives none: 0.9-quantile over time of the L1 distance of lip points 51 and 57, face units."""
    face_model: str = ""
    """Fingerprint of the face model whose expression codes were learnt; empty when unknown."""

    def __post_init__(self) -> None:
        if self.latent % 2:
            raise ValueError(f"latent={self.latent} must be even: the flow splits it in halves")
        if self.audio_rate != 50:
            raise ValueError(f"audio_rate={self.audio_rate}: the network halves 50 rows a second to 25 frames")

    @classmethod
    def preset(cls, name: str) -> "Audio2MotionConfig":
        """``debug``, ``tiny``, ``paper`` (9.861 M) or ``release`` (11.864 M)."""
        return from_preset(cls, PRESETS, name)
