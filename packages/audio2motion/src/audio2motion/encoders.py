"""The audio encoder that weights ask for."""

from pathlib import Path

from core.errors import PortraitError

from audio2motion.config import Audio2MotionConfig
from audio2motion.feature_cache import CachedEncoder
from audio2motion.features import AudioEncoder
from audio2motion.hubert import HubertEncoder
from audio2motion.logmel import LogMelEncoder


def encoder_for(config: Audio2MotionConfig, device: str = "cpu", cache: str | Path | None = None) -> AudioEncoder:
    """The encoder that a network's config names.

    Args:
        config: of the weights.
        device: where HuBERT runs.
        cache: folder that keeps HuBERT's features of sound that was heard before; None: none are kept.
    """
    if config.audio == "logmel":
        return LogMelEncoder(config.audio_width)
    encoder = HubertEncoder(config.audio_source, device)
    return encoder if cache is None else CachedEncoder(encoder, cache)


def require_encoder(config: Audio2MotionConfig, encoder: AudioEncoder) -> None:
    """See that features and weights belong together.

    Raises:
        PortraitError: ``E_FEATURES`` when kind, width or rate of the encoder is not the weights'.
    """
    if (encoder.kind, encoder.width, encoder.rate) != (config.audio, config.audio_width, config.audio_rate):
        wanted = f"{config.audio_width}-wide {config.audio} features at {config.audio_rate} Hz"
        found = f"{encoder.width}-wide {encoder.kind} at {encoder.rate} Hz"
        raise PortraitError("E_FEATURES", f"the weights expect {wanted}, not {found}", "Use the encoder named in the weights' config.json.")
