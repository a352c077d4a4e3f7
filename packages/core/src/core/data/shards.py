"""Stores as LitData shards: many clips in a few large files, which object storage can serve and machines keep a cache of.

The first item of the shards is the store's index and the others are its clips, each as the bytes of its own file, so that a store is the
same whether it is read from its folder or from shards. LitData is optional: ``real3d-core[shards]``.
"""

import json
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from core.data.clips import LABELS, MORE_LABELS, ClipStore
from core.errors import PortraitError

if TYPE_CHECKING:
    from litdata import StreamingDataset

CHUNK = "64MB"
"""Size of one shard: large enough for object storage, small enough to wait for."""
INDEX = "index.json"
"""What LitData calls its table of contents; written last, so shards with one are complete."""


def open_store(root: str | Path) -> ClipStore:
    """A store, whatever it is kept in: a folder of clips, a folder of shards, or shards at an address of object storage (``s3://...``).

    Raises:
        PortraitError: ``E_STORE`` if it is neither, ``E_NO_LITDATA`` for shards without LitData.
    """
    return ShardStore(root) if is_sharded(root) else ClipStore(root)


def is_sharded(root: str | Path) -> bool:
    """Whether a place holds shards rather than clips; addresses always do."""
    return "://" in str(root) or ((Path(root) / INDEX).is_file() and not (Path(root) / "store.json").exists())


class ShardStore(ClipStore):
    """A store that is read from shards; those of object storage are fetched when first needed and kept in LitData's cache.

    Args:
        root: what ``write_shards`` wrote, or where it was copied to.

    Raises:
        PortraitError: ``E_STORE`` if these are not the shards of a store, ``E_NO_LITDATA``.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = str(root)
        try:
            self.info: dict = json.loads(bytes(_items(self.root)[0]))
            self.clips: list[dict] = self.info["clips"]
        except PortraitError:
            raise
        except Exception as error:  # whatever LitData, a storage service or foreign content raise
            raise _not_a_store(root, error) from error

    def file(self, clip: int) -> "ShardClip":  # type: ignore[override]
        """Reader of one clip."""
        return ShardClip(self.root, clip + 1)

    def labels(self, clip: int) -> dict[str, Tensor]:
        """See ``ClipStore.labels``."""
        return _labels(self.root, clip + 1)


class ShardClip:
    """Reader of one clip in shards, as ``core.data.clip_codec.ClipFile`` is of one in a file."""

    def __init__(self, root: str, item: int) -> None:
        self.root, self.item = root, item

    def read(self, *names: str) -> list[Tensor]:
        """The named tensors."""
        tensors = _clip(self.root, self.item)
        return [tensors[name] for name in names]


def write_shards(store: str | Path, out: str | Path, chunk: str = CHUNK, progress: bool = True) -> int:
    """Copy a store into shards; the same store gives the same bytes.

    Args:
        store: folder of clips.
        out: new or empty folder.
        chunk: size of a shard.
        progress: show a bar.

    Returns:
        Number of shards.

    Raises:
        PortraitError: ``E_STORE``, ``E_NO_LITDATA``, ``E_WRITE`` when ``out`` holds something or cannot be written.
    """
    from tqdm import tqdm

    source, folder = ClipStore(store), Path(out)
    _litdata()
    from litdata.streaming.writer import BinaryWriter

    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise PortraitError("E_WRITE", f"{out} is not empty", "Give a new folder.")
        writer = BinaryWriter(str(folder), chunk_bytes=chunk)
        writer[0] = json.dumps(source.info).encode()
        for clip in tqdm(range(len(source)), disable=not progress, unit="clip", file=sys.stderr):
            writer[clip + 1] = source.file(clip).path.read_bytes()
        writer.done()
        writer.merge(1)
    except OSError as error:
        raise PortraitError("E_WRITE", f"{out} could not be written ({error.strerror or error})", "Choose another folder.") from error
    return len(list(folder.glob("*.bin")))


def _litdata() -> Any:
    """The package.

    Raises:
        PortraitError: ``E_NO_LITDATA``.
    """
    os.environ.setdefault("DISABLE_LITDATA_UPDATE_CHECK", "1")
    try:
        import litdata
    except ImportError as error:
        raise PortraitError("E_NO_LITDATA", "shards need the package litdata", "Install real3d-core[shards], or give a store.") from error
    return litdata


@lru_cache(maxsize=8)
def _items(root: str) -> "StreamingDataset":
    """The raw items of shards; what is pickled in them is not read."""
    litdata = _litdata()
    from litdata.streaming.serializers import PickleSerializer

    class Refusing(PickleSerializer):
        def deserialize(self, data: object) -> object:
            raise ValueError("it holds pickled objects, which may run code")

    return litdata.StreamingDataset(root, serializers={"pickle": Refusing()})


@lru_cache(maxsize=4)
def _clip(root: str, item: int) -> dict[str, Tensor]:
    from safetensors.torch import load

    return load(bytes(_items(root)[item]))


@lru_cache(maxsize=4096)
def _labels(root: str, item: int) -> dict[str, Tensor]:
    tensors = _clip(root, item)
    names = (*LABELS, *(name for name in MORE_LABELS if name in tensors))
    small = {name: tensors[name].clone() for name in names}  # copies, so that the pictures beside them can go
    return small | {"has_depth": torch.tensor("depth.0" in tensors)}


def _not_a_store(root: str | Path, error: Exception) -> PortraitError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return PortraitError(
        "E_STORE", f"{root} does not hold the shards of a store ({reason})", "Write some: python -m core.people shards --help."
    )
