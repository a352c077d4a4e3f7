"""Stage 2 of Real3D-Portrait (distribution ``real3d-animate``): PNCC images move the reconstructed head.

``MotionAdapter`` and ``HeadAvatar`` are plain PyTorch; ``AnimateModule`` and ``AnimateDataModule`` need Lightning.
Names load when first used.
"""

from importlib import import_module
from typing import Any

_LAZY = {
    "AnimateDataModule": "animate.data",
    "AnimateModule": "animate.module",
    "HeadAvatar": "animate.avatar",
    "MotionAdapter": "animate.model",
    "MotionAdapterConfig": "animate.config",
}
__all__ = [
    "AnimateDataModule",
    "AnimateModule",
    "HeadAvatar",
    "MotionAdapter",
    "MotionAdapterConfig",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
