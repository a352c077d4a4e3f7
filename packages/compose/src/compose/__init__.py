"""Stage 3 of Real3D-Portrait (distribution ``real3d-compose``): head, torso and background become one image.

``HTBSR`` and its parts are plain PyTorch; ``ComposeModule`` and ``ComposeDataModule`` need Lightning. Names load when first used.
"""

from importlib import import_module
from typing import Any

_LAZY = {
    "ComposeDataModule": "compose.data",
    "ComposeModule": "compose.module",
    "Composite": "compose.model",
    "HTBSR": "compose.model",
    "HTBSRConfig": "compose.config",
    "SourceFeatures": "compose.model",
}
__all__ = [
    "HTBSR",
    "ComposeDataModule",
    "ComposeModule",
    "Composite",
    "HTBSRConfig",
    "SourceFeatures",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
