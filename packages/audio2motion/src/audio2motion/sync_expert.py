"""A network that tells whether lips and sound belong together: the SyncNet of the released recipe (spec 8.3; not in the paper)."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from core.hub import Pretrained
from core.presets import from_preset
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from audio2motion.config import Audio2MotionConfig

FRAMES = 5
"""Frames of motion in a window (0.2 s); twice as many rows of sound."""
POINTS = 468
SIZES: dict[str, dict[str, Any]] = {
    "debug": dict(base=8, layers=1, out=16),
    "tiny": dict(base=48, layers=2, out=256),
    "paper": dict(),
    "release": dict(),
}


@dataclass(frozen=True)
class SyncExpertConfig:
    """Sizes of `SyncExpert` and what it was trained to compare."""

    audio: Literal["hubert", "logmel"] = "hubert"
    """Kind of audio feature."""
    audio_width: int = 1024
    """Its channels."""
    audio_rate: int = 50
    """Its rows per second."""
    base: int = 128
    """Channels of the first convolution of either tower; doubled by each of the two blocks."""
    layers: int = 3
    """Convolutions per block."""
    out: int = 1024
    """Length of the embeddings."""
    face_model: str = ""
    """Fingerprint of the face model whose key points it was shown; empty when unknown."""

    @classmethod
    def preset(cls, name: str, face_model: str = "") -> "SyncExpertConfig":
        """The expert for `Audio2Motion` of the same preset."""
        heard = Audio2MotionConfig.preset(name)
        features = {"audio": heard.audio, "audio_width": heard.audio_width, "audio_rate": heard.audio_rate, "face_model": face_model}
        return from_preset(cls, {size: fields | features for size, fields in SIZES.items()}, name)


class SyncExpert(nn.Module, Pretrained):
    """Embeds 0.2 s of moving key points and of sound; the cosine of both is near 1 when they belong together.

    Args:
        config: sizes; `SyncExpertConfig.preset`.
    """

    def __init__(self, config: SyncExpertConfig) -> None:
        super().__init__()
        self.config = config
        self.face = _tower(3 * POINTS, config)
        self.sound = _tower(config.audio_width, config)

    def forward(self, points: Float[Tensor, "b 5 468 3"], audio: Float[Tensor, "b 10 c"]) -> Float[Tensor, "b"]:
        """Agreement in [0, 1].

        Args:
            points: how far the key points are from the resting face, 10 x face units (`motion_of_points`).
            audio: features of the same time.
        """
        seen = self.face(rearrange(points, "b t n d -> b (n d) t")).mean(2)
        heard = self.sound(rearrange(audio, "b u c -> b c u")).mean(2)
        return F.cosine_similarity(F.relu(seen), F.relu(heard), dim=1)


def motion_of_points(exp: Float[Tensor, "*b 64"], basis: Float[Tensor, "468 3 64"]) -> Float[Tensor, "*b 468 3"]:
    """Key points less the resting face, 10 x face units: what the expert is shown. Linear, and the same for every identity."""
    return 10 * torch.einsum("...c,ndc->...nd", exp, basis)


def _tower(width: int, config: SyncExpertConfig) -> nn.Sequential:
    parts, channels = _convolution(width, config.base, 1), config.base
    for _ in range(2):
        parts += _convolution(channels, 2 * channels, 2)
        channels *= 2
        for _ in range(config.layers - 1):
            parts += _convolution(channels, channels, 1)
    return nn.Sequential(*parts, nn.Conv1d(channels, config.out, 1))


def _convolution(width: int, out: int, stride: int) -> list[nn.Module]:
    return [nn.Conv1d(width, out, 3, stride, padding=1), nn.BatchNorm1d(out), nn.ReLU()]
