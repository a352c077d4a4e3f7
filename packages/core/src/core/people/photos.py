"""Folders of photographs as sources of people."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from core.errors import PortraitError
from core.people.person import Person

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
VAL_PERMILLE = 135
"""Share of a folder that is kept out of training."""


def split_of(name: str) -> str:
    """``val`` for about one file name in seven, always the same ones, whatever else is in the folder."""
    number = int.from_bytes(sha256(name.encode()).digest()[:4], "big")
    return "val" if number % 1000 < VAL_PERMILLE else "train"


@dataclass(frozen=True)
class PhotoSource:
    """One photograph (a ``core.data.clips.ClipSource``).

    Attributes:
        path: of the file.
        size: side that it is brought to.
        vary: change its light and colours at random.
        relit: share of people who are put under another lamp, training people only.
        toned: share of people who get skin of another tone, training people only.
    """

    path: Path
    size: int = 512
    vary: bool = True
    relit: float = 0.0
    toned: float = 0.0

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
        from core.people.augment import vary_light, vary_person
        from core.people.lifted import lift, square

        person = lift(square(read_image(self.path), self.name, self.size), self.name)
        if not self.vary or self.split != "train":
            return person
        return vary_light(vary_person(person, rng, self.relit, self.toned), rng)


def find_photos(folder: str | Path) -> list[PhotoSource]:
    """All photographs of a folder, by name.

    Raises:
        PortraitError: ``E_NO_PHOTOS``.
    """
    files = sorted(p for p in Path(folder).iterdir() if p.suffix.lower() in SUFFIXES) if Path(folder).is_dir() else []
    if not files:
        raise PortraitError("E_NO_PHOTOS", f"no photographs in {folder}", f"Give a folder with {', '.join(SUFFIXES)} files to --photos.")
    return [PhotoSource(path) for path in files]
