"""Named sizes of a network's config dataclass."""

from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")


def from_preset(config: type[T], table: Mapping[str, Mapping[str, Any]], name: str) -> T:
    """Build ``config`` from the fields that ``table[name]`` overrides.

    Raises:
        ValueError: ``name`` is not in the table; the message lists the names that are.
    """
    if name not in table:
        raise ValueError(f"{config.__name__} has no preset {name!r}; choose one of {', '.join(table)}")
    return config(**table[name])
