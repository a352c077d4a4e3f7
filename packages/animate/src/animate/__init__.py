"""Stage 2 of Real3D-Portrait (distribution ``real3d-animate``): PNCC images move the reconstructed head.

``MotionAdapter`` and ``HeadAvatar`` are plain PyTorch. ``AnimateModule`` and ``AnimateDataModule`` import Lightning when first used.
"""

from importlib import import_module
from typing import Any

from animate.avatar import HeadAvatar
from animate.config import MotionAdapterConfig
from animate.model import MotionAdapter

_LAZY = {"AnimateModule": "animate.module", "AnimateDataModule": "animate.data"}
__all__ = ["AnimateDataModule", "AnimateModule", "HeadAvatar", "MotionAdapter", "MotionAdapterConfig"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
