"""Packs: the people of a folder of photographs as one small file, to be rebuilt where there is no detector.

Meshes and textures follow from a photograph and from what detectors saw in it, so only these are stored: the photograph as WebP, fitted
coefficients, landmarks as 16-bit fractions of the side, and the parsing as one lossless picture. 700 people of 320 pixels take 22 MB.
"""

import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8

from core.errors import PortraitError
from core.face.coeffs import FaceCoeffs
from core.media.files import atomic_path
from core.people.lifted import fit_photograph, lift_observed
from core.people.person import Person
from core.people.photos import PhotoSource, split_of, varied
from core.perception.parts import Parsing

KIND = "real3d people 1"
QUALITY = 94
"""Of the photographs, 0..100."""
_STEPS = 65535
_CLASS = 40
"""Grey level per class: the parsing is stored as a picture that one can look at."""


@dataclass(frozen=True)
class Observed:
    """A photograph and what detectors saw in it.

    Attributes:
        name: unique name.
        image: RGB.
        landmarks: photograph coordinates.
        coeffs: fitted to them, batch of one.
        parsing: parts of the image.
    """

    name: str
    image: UInt8[np.ndarray, "s s 3"]
    landmarks: Float[np.ndarray, "n 2"]
    coeffs: FaceCoeffs
    parsing: Parsing

    def lifted(self) -> Person:
        """The person.

        Raises:
            PortraitError: ``E_BAD_PHOTO`` with the reason.
        """
        return lift_observed(self.image, self.name, fit_photograph(self.landmarks, self.coeffs), self.parsing)

    def resized(self, size: int) -> "Observed":
        """The same in a smaller picture."""
        import cv2

        if len(self.image) == size:
            return self

        def small(picture: np.ndarray, method: int = cv2.INTER_AREA) -> np.ndarray:
            return cv2.resize(np.asarray(picture), (size, size), interpolation=method)

        labels, head, whole = self.parsing.labels, self.parsing.head_alpha, self.parsing.person_alpha
        parsing = Parsing(small(labels, cv2.INTER_NEAREST), small(head), small(whole))
        return Observed(self.name, small(self.image), self.landmarks, self.coeffs, parsing)


def observe_photograph(source: PhotoSource, size: int) -> Observed:
    """Look at a photograph, in its own size, and shrink what was seen.

    Raises:
        PortraitError: it cannot be read or lifted.
    """
    from core.media.image import read_image
    from core.people.lifted import check, observe, square

    image = square(read_image(source.path), source.name, source.size)
    landmarks, parsing = observe(image, source.name)
    fit = fit_photograph(landmarks)
    check(fit, np.asarray(parsing.labels), source.name)
    return Observed(source.name, image, landmarks[:, :2], fit.coeffs, parsing).resized(size)


@dataclass(frozen=True)
class _Entry:
    """One person as arrays of a pack."""

    name: str
    photo: bytes
    parts: bytes
    landmarks: np.ndarray
    coeffs: np.ndarray


def _webp(image: np.ndarray, **options: object) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "WEBP", method=4, **options)
    return buffer.getvalue()


def _picture(data: UInt8[np.ndarray, " n"]) -> UInt8[np.ndarray, "s s 3"]:
    from PIL import Image

    return np.array(Image.open(io.BytesIO(data.tobytes())).convert("RGB"))


def _packed(seen: Observed) -> _Entry:
    head, whole = (np.round(np.clip(alpha, 0, 1) * 255).astype(np.uint8) for alpha in (seen.parsing.head_alpha, seen.parsing.person_alpha))
    parts = np.stack([seen.parsing.labels * np.uint8(_CLASS), head, whole], -1)
    codes = torch.cat([seen.coeffs.id, seen.coeffs.exp, seen.coeffs.euler, seen.coeffs.trans], 1)[0].numpy()
    return _Entry(
        seen.name,
        _webp(seen.image, quality=QUALITY, use_sharp_yuv=True),
        _webp(parts, lossless=True, quality=60),
        np.round(np.clip(seen.landmarks, 0, 1) * _STEPS).astype(np.uint16),
        codes.astype(np.float32),
    )


def _try(job: tuple[PhotoSource, int]) -> _Entry | str:
    """One person, or why not."""
    torch.set_num_threads(1)
    source, size = job
    try:
        return _packed(observe_photograph(source, size))
    except PortraitError as error:
        return f"{error.code}: {error.message}"


def _in_order(jobs: Sequence[tuple[PhotoSource, int]], workers: int) -> Iterator[_Entry | str]:
    if workers <= 1:
        yield from map(_try, jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_try, jobs)


def pack_photos(photos: Sequence[PhotoSource], out: str | Path, size: int = 320, workers: int = 1, progress: bool = True) -> dict[str, str]:
    """Write a pack; the same photographs give the same bytes, whatever the number of processes.

    Args:
        photos: whom.
        out: the file; it appears when complete.
        size: side of the stored photographs.
        workers: processes.
        progress: show a bar, and who is rejected.

    Returns:
        Reasons of the rejected ones by name.

    Raises:
        PortraitError: ``E_NO_PHOTOS`` if nobody is left, ``E_WRITE``.
    """
    from tqdm import tqdm

    entries, rejected = [], {}
    bar = tqdm(photos, disable=not progress, unit="person", file=sys.stderr)
    for source, found in zip(bar, _in_order([(photo, size) for photo in photos], workers), strict=True):
        if isinstance(found, str):
            rejected[source.name] = found
            bar.write(f"rejected {source.name}: {found}", file=sys.stderr)
        else:
            entries.append(found)
    _write(entries, out, size)
    return rejected


def write_pack(people: Iterable[Observed], out: str | Path) -> None:
    """Write a pack of what was observed elsewhere, all of one size.

    Raises:
        PortraitError: ``E_NO_PHOTOS`` without people, ``E_WRITE``.
    """
    people = list(people)
    _write([_packed(seen) for seen in people], out, len(people[0].image) if people else 0)


def _write(entries: Sequence[_Entry], out: str | Path, size: int) -> None:
    from safetensors.numpy import save_file

    from core.face.model import FaceModel

    if not entries:
        raise PortraitError("E_NO_PHOTOS", f"no photograph is left for {out}", "The reasons above say what to change.")
    arrays = {name: np.stack([getattr(entry, name) for entry in entries]) for name in ("landmarks", "coeffs")}
    for name in ("photo", "parts"):
        blobs = [getattr(entry, name) for entry in entries]
        arrays[name] = np.frombuffer(b"".join(blobs), np.uint8)
        arrays[f"{name}_ends"] = np.cumsum([len(blob) for blob in blobs]).astype(np.int64)
    about = {"kind": KIND, "size": size, "face_model": FaceModel.embedded().fingerprint, "names": [entry.name for entry in entries]}
    with atomic_path(out) as part:
        save_file(arrays, part, {"about": json.dumps(about)})  # one entry: safetensors writes several in any order
        part.chmod(0o644)


@dataclass(frozen=True)
class PackedSource:
    """One person of a pack (a ``core.data.clips.ClipSource``).

    Attributes:
        pack: the file.
        number: of the person in it.
        name: as the photograph was called.
        vary, relit, toned, aged: as of ``core.people.photos.PhotoSource``.
    """

    pack: Path
    number: int
    name: str
    vary: bool = True
    relit: float = 0.0
    toned: float = 0.0
    aged: float = 0.0

    @property
    def split(self) -> str:
        """``train`` or ``val``, as for the photograph."""
        return split_of(self.name)

    def observed(self) -> Observed:
        """What the pack holds."""
        from safetensors import safe_open

        with safe_open(self.pack, framework="np") as file:
            codes = torch.from_numpy(file.get_slice("coeffs")[self.number : self.number + 1])
            landmarks = file.get_slice("landmarks")[self.number : self.number + 1][0]
            pictures = []
            for name in ("photo", "parts"):
                ends = file.get_tensor(f"{name}_ends")
                start = int(ends[self.number - 1]) if self.number else 0
                pictures.append(_picture(file.get_slice(name)[start : int(ends[self.number])]))
        labels, head, whole = np.moveaxis(pictures[1], -1, 0)
        alphas = (np.ascontiguousarray(alpha, np.float32) / 255 for alpha in (head, whole))
        parsing = Parsing(np.ascontiguousarray(labels // _CLASS), *alphas)
        return Observed(self.name, pictures[0], landmarks / _STEPS, FaceCoeffs(*codes.split([80, 64, 3, 3], 1)), parsing)

    def make(self, rng: np.random.Generator) -> Person:
        """Rebuild the person; the same pack gives the same person."""
        return varied(self.observed().lifted(), self, rng)


def open_pack(path: str | Path) -> list[PackedSource]:
    """Everyone in a pack, by name.

    Raises:
        PortraitError: ``E_PACK`` if the file is not a pack or was made with another face model.
    """
    from safetensors import SafetensorError, safe_open

    from core.face.model import FaceModel

    again = "Make it again: python -m core.people pack --help."
    try:
        with safe_open(path, framework="np") as file:
            about = json.loads((file.metadata() or {}).get("about", "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise PortraitError("E_PACK", f"{path} is not a pack of people ({error})", again) from error
    if about.get("kind") != KIND:
        raise PortraitError("E_PACK", f"{path} is not a pack of people of this version", again)
    if about["face_model"] != FaceModel.embedded().fingerprint:
        raise PortraitError("E_PACK", f"{path} was fitted with another face model", again)
    return [PackedSource(Path(path), number, name) for number, name in enumerate(about["names"])]
