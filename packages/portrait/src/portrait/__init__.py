"""Real3D-Portrait for people who have a photograph and a voice (distribution ``real3d-portrait``).

``Portrait.from_pretrained("tiny").animate(source="me.jpg", audio="hello.wav")`` yields frames one by one.
"""

from typing import Any

__all__ = ["Frame", "Plan", "Portrait", "Source"]

_HOMES = {"Frame": "rendering", "Plan": "plan", "Portrait": "pipeline", "Source": "source"}


def __getattr__(name: str) -> Any:
    """Import on first use: ``import portrait`` alone loads no network."""
    if name not in _HOMES:
        raise AttributeError(f"module 'portrait' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"portrait.{_HOMES[name]}"), name)
