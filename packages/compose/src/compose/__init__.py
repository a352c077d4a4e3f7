"""Stage 3 of Real3D-Portrait (distribution ``real3d-compose``): head, torso and background become one image.

``HTBSR`` and its parts are plain PyTorch. ``ComposeModule`` and ``ComposeDataModule`` import Lightning when they are first used.
"""

from importlib import import_module
from typing import Any

from compose.config import HTBSRConfig
from compose.model import HTBSR, Composite, SourceFeatures

_LAZY = {"ComposeModule": "compose.module", "ComposeDataModule": "compose.data"}
__all__ = ["HTBSR", "ComposeDataModule", "ComposeModule", "Composite", "HTBSRConfig", "SourceFeatures"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
