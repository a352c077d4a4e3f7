"""Sizes and options of the motion adapter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from core.nn.conv import Norm
from core.presets import from_preset


@dataclass(frozen=True)
class MotionAdapterConfig:
    """Every size of ``MotionAdapter`` (paper 3.2, Table 6; spec 5). The defaults are the paper's network, 5.706 M parameters."""

    pncc_inputs: Literal["cano+src+drv", "src+drv"] = "cano+src+drv"
    """Which PNCCs are stacked: nine channels as in the published weights, or six as in Eq. 2."""
    image_size: int = 512
    """Side of the PNCC images; a multiple of 32."""
    widths: Sequence[int] = (32, 64, 160, 256)
    """Token width of every MiT stage (MiT-B0)."""
    depths: Sequence[int] = (2, 2, 2, 2)
    """Transformer blocks of every MiT stage."""
    heads: Sequence[int] = (1, 2, 5, 8)
    """Attention heads of every MiT stage."""
    head_channels: int = 256
    """Width of the head that joins the stages and of the convolutions after it."""
    plane_channels: int = 32
    """Channels of one plane."""
    plane_size: int = 256
    """Side of a plane."""
    drop_path: float = 0.1
    """Stochastic depth of the last transformer block, while training."""
    dropout: float = 0.1
    """Share of the head's channels dropped while training."""
    plain_norm: Norm = "none"
    """Normalisation after the convolutions of the head (none in the paper); small networks trained from scratch need it to stay alive."""
    relative: bool = False
    """Subtract what the network says when the driver wears the source's expression: equal expressions then change nothing, and only what
    depends on the driver can be learnt. Without it a small network spends itself on a constant correction of the planes."""
    start_still: bool = False
    """Start with small residual planes and with ``stack`` showing what differs between driver and source. Expressions change a few
    percent of the PNCC's pixels; a random start hardly sees them."""
    face_model: str = ""
    """Fingerprint of the face model whose PNCCs the weights were trained on; empty while untrained."""

    def __post_init__(self) -> None:
        for name in ("widths", "depths", "heads"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # JSON knows lists only
        if self.image_size % 32:
            raise ValueError(f"image_size {self.image_size} is not a multiple of 32")

    @property
    def in_channels(self) -> int:
        """Channels of the stacked PNCCs."""
        return 3 * len(self.pncc_inputs.split("+"))

    @classmethod
    def preset(cls, name: str) -> "MotionAdapterConfig":
        """``debug``, ``tiny`` or ``paper``."""
        return from_preset(cls, PRESETS, name)


PRESETS = {
    "debug": {
        "image_size": 64,
        "widths": (8, 8, 16, 16),
        "depths": (1, 1, 1, 1),
        "heads": (1, 1, 2, 2),
        "head_channels": 16,
        "plane_channels": 8,
        "plane_size": 16,
        "plain_norm": "group",
        "start_still": True,
    },
    "tiny": {
        "image_size": 192,
        "widths": (16, 32, 80, 160),
        "heads": (1, 2, 5, 5),
        "head_channels": 48,
        "plane_channels": 16,
        "plane_size": 96,
        "plain_norm": "group",
        "relative": True,
        "drop_path": 0.0,
        "dropout": 0.0,
        "start_still": True,
    },
    "paper": {},
}
