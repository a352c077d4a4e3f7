"""Real3D-Portrait stage 4: speech to facial motion (distribution ``real3d-audio2motion``)."""

from importlib import import_module
from typing import Any

from audio2motion.config import Audio2MotionConfig
from audio2motion.encoders import encoder_for
from audio2motion.features import AudioEncoder, Voice
from audio2motion.hubert import HubertEncoder
from audio2motion.logmel import LogMelEncoder
from audio2motion.model import Audio2Motion, Controls
from audio2motion.predict import motion_from_audio
from audio2motion.streaming import StreamingAudio2Motion

_LAZY = {
    "Audio2MotionModule": "audio2motion.module",
    "Audio2MotionDataModule": "audio2motion.data",
}
__all__ = [
    "Audio2Motion",
    "Audio2MotionConfig",
    "AudioEncoder",
    "Controls",
    "HubertEncoder",
    "LogMelEncoder",
    "StreamingAudio2Motion",
    "Voice",
    "encoder_for",
    "motion_from_audio",
    *_LAZY,
]


def __getattr__(name: str) -> Any:
    """Training classes on first use: importing the package must not import Lightning."""
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
