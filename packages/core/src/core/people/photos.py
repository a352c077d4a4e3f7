"""Folders of photographs as sources of people."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from core.data.clip_writer import ClipSource
from core.errors import PortraitError
from core.people.person import Person

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
VAL_PERMILLE = 135
"""Share of a folder that is kept out of training."""


def split_of(name: str) -> str:
    """``val`` for about one file name in seven, always the same ones, whatever else is in the folder."""
    number = int.from_bytes(sha256(name.encode()).digest()[:4], "big")
    return "val" if number % 1000 < VAL_PERMILLE else "train"


@runtime_checkable
class Varying(Protocol):
    """What says how a photograph's light and colours are varied; see ``PhotoSource``."""

    split: str
    vary: bool
    relit: float
    toned: float
    aged: float


@dataclass(frozen=True)
class PhotoSource:
    """One photograph (a ``core.data.clips.ClipSource``).

    Attributes:
        path: of the file.
        size: side that it is brought to.
        vary: change its light and colours at random.
        relit: share of people who are put under another lamp, training people only.
        toned: share of people who get skin of another tone, training people only.
        aged: share of people who look older or younger, training people only.
    """

    path: Path
    size: int = 512
    vary: bool = True
    relit: float = 0.0
    toned: float = 0.0
    aged: float = 0.0

    @property
    def name(self) -> str:
        """File name without suffix."""
        return self.path.stem

    @property
    def split(self) -> str:
        """``train`` or ``val``."""
        return split_of(self.name)

    def make(self, rng: np.random.Generator) -> Person:
        """Lift it."""
        from core.media.image import read_image
        from core.people.lifted import lift, square

        return varied(lift(square(read_image(self.path), self.name, self.size), self.name), self, rng)


def varied(person: Person, source: Varying, rng: np.random.Generator) -> Person:
    """The person under another light and in other colours, if the source says so and it is for training."""
    from core.people.augment import vary_light, vary_person

    if not source.vary or source.split != "train":
        return person
    return vary_light(vary_person(person, rng, source.relit, source.toned, source.aged), rng)


def find_photos(folder: str | Path) -> list[ClipSource]:
    """All photographs of a folder, or everyone in a pack (``core.people.packing``), by name.

    Raises:
        PortraitError: ``E_NO_PHOTOS``; ``E_PACK`` for a file that is no pack.
    """
    if Path(folder).is_file():
        from core.people.packing import open_pack

        return open_pack(folder)
    files = sorted(p for p in Path(folder).iterdir() if p.suffix.lower() in SUFFIXES) if Path(folder).is_dir() else []
    if not files:
        raise PortraitError("E_NO_PHOTOS", f"no photographs in {folder}", f"Give a folder with {', '.join(SUFFIXES)} files to --photos.")
    return [PhotoSource(path) for path in files]
