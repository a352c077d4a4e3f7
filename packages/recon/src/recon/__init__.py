"""Stage 1 of Real3D-Portrait (distribution ``real3d-recon``): one image of a head to a tri-plane, and the head renderer.

Networks are plain PyTorch. ``ReconModule`` and ``ReconDataModule`` import Lightning when first used.
"""

from importlib import import_module
from typing import Any

_LAZY = {
    "EG3DConfig": "recon.eg3d",
    "EG3DGenerator": "recon.eg3d",
    "EG3DTeacher": "recon.teacher",
    "HeadRenderer": "recon.renderer",
    "HeadRendererConfig": "recon.config",
    "HeadRendering": "recon.renderer",
    "I2P": "recon.model",
    "I2PConfig": "recon.config",
    "ReconDataModule": "recon.data",
    "ReconModule": "recon.module",
}
__all__ = [
    "I2P",
    "EG3DConfig",
    "EG3DGenerator",
    "EG3DTeacher",
    "HeadRenderer",
    "HeadRendererConfig",
    "HeadRendering",
    "I2PConfig",
    "ReconDataModule",
    "ReconModule",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
