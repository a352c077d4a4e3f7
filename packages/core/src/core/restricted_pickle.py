"""Weights out of other projects' pickles, without running anything that the file brings along or asks for.

A pickle is a program that may call any function it names. Here every name goes through ``Reader.find_class``, which knows a short list:
containers, numbers, arrays, tensors, and the classes of NVIDIA's networks and of fairseq's checkpoints as inert records. NVIDIA's
"persistent" objects (``torch_utils.persistence`` of StyleGAN and EG3D) carry the source code of their class; it is dropped unread.
Everything else is refused by name. What the list hands to the file cannot be changed by it: ``Sealed`` classes refuse assignments.
"""

import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from core.errors import PortraitError

LEGACY_TORCH = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""How ``torch.save`` began its files before they were zip archives."""
REMEDY = "Use the file as its authors publish it; nothing was executed."


@dataclass(frozen=True)
class ForeignObject:
    """An instance of a class that we do not have.

    Attributes:
        kind: name of its class.
        state: its attributes.
    """

    kind: str
    state: dict[str, Any]

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments that the constructor was called with, as NVIDIA's persistent classes keep them."""
        return self.state.get("_init_kwargs") or {}

    def tensors(self) -> dict[str, Tensor]:
        """Parameters and buffers of a ``torch.nn.Module`` by their dotted names."""
        found = {}
        for group in ("_parameters", "_buffers"):
            found |= {name: value for name, value in self.state.get(group, {}).items() if value is not None}
        for name, part in self.state.get("_modules", {}).items():
            if isinstance(part, ForeignObject):
                found |= {f"{name}.{inner}": value for inner, value in part.tensors().items()}
        return found


def read_checkpoint(path: str | Path) -> Any:
    """Contents of a pickle, or of a file written by ``torch.save``: tensors on the CPU, arrays, plain values, ``ForeignObject``.

    Raises:
        PortraitError: ``E_WEIGHTS`` when the file is absent or damaged, or asks for something that is not data; the message names it.
    """
    file = Path(path)
    try:
        with file.open("rb") as stream:
            is_torch = stream.read(len(LEGACY_TORCH)).startswith((LEGACY_TORCH, b"PK"))
            stream.seek(0)
            return _plain(_load_tensors(stream) if is_torch else Reader(stream).load(), {})
    except OSError as error:
        raise PortraitError("E_WEIGHTS", f"cannot read {file}: {error.strerror or error}", "Check the path.") from error
    except Refused as error:
        raise PortraitError("E_WEIGHTS", f"{file} asks for {error}, which is not data and was refused", REMEDY) from error
    except Exception as error:  # a damaged program fails in any way
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise PortraitError("E_WEIGHTS", f"{file} is not a whole weights file ({reason})", "Download it again.") from error


class Refused(pickle.UnpicklingError):
    """The name that a file asked for."""


class Sealed(type):
    """A class that a pickle may call, but not change."""

    def __setattr__(cls, name: str, value: Any) -> NoReturn:
        raise Refused(f"a change of {cls.__name__}.{name}")


class Record(metaclass=Sealed):
    """Stands for an instance of an unknown class while the file is read; constructing it does nothing."""

    __slots__ = ("state",)
    kind = ""

    def __setstate__(self, state: Any) -> None:
        self.state = state


class Mapping(dict, metaclass=Sealed):
    """Stands for NVIDIA's ``EasyDict``."""


class ArrayRecord(metaclass=Sealed):
    """Stands for an array while the file is read."""

    __slots__ = ("array",)

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, is_fortran, data = state
        kind = dtype.resolved()
        flat = np.frombuffer(data if isinstance(data, bytes) else data.encode("latin1"), kind)
        self.array = flat.reshape(shape, order="F" if is_fortran else "C").copy()


class TypeRecord(metaclass=Sealed):
    """Stands for a data type: numbers and truth values only."""

    __slots__ = ("name", "order")

    def __setstate__(self, state: tuple) -> None:
        self.order = state[1]

    def resolved(self) -> np.dtype:
        """The data type with its byte order."""
        if not re.fullmatch(r"[biufc]\d+", self.name):
            raise Refused(f"an array of type {self.name}")
        return np.dtype(self.name).newbyteorder(getattr(self, "order", "="))


def _inert(kind: str, module: str = __name__) -> type:
    return Sealed(kind, (Record,), {"__slots__": (), "kind": kind, "__module__": module})


def _callable(function: Callable[..., Any]) -> type:
    return Sealed(function.__name__, (), {"__slots__": (), "__new__": lambda cls, *arguments: function(*arguments)})


def _persistent(meta: dict[str, Any]) -> Record:
    found = _inert(meta["class_name"])()
    found.state = meta["state"]
    return found


def _tensor(storage: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    flat = torch.tensor([], dtype=storage.dtype).set_(storage._untyped_storage)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if min((offset, *size, *stride)) < 0 or (0 not in size and last >= flat.numel()):
        raise pickle.UnpicklingError("a tensor reaches beyond its storage")
    return flat.as_strided(size, stride, offset)


def _data_type(name: str, *_: Any) -> TypeRecord:
    record = TypeRecord()
    record.name = name
    return record


def _scalar(dtype: TypeRecord, data: bytes | str) -> Any:
    return np.frombuffer(data if isinstance(data, bytes) else data.encode("latin1"), dtype.resolved(), 1)[0]


def _array(data: bytes | bytearray, dtype: TypeRecord, shape: tuple[int, ...], order: str) -> np.ndarray:
    return np.frombuffer(data, dtype.resolved()).reshape(shape, order=order).copy()


def _load_tensors(stream: Any) -> Any:
    """Torch's own restricted reader, which knows tensors and plain values, and what is ``INERT``."""
    try:
        with torch.serialization.safe_globals(list(INERT)):
            return torch.load(stream, map_location="cpu", weights_only=True)  # noqa: TID251 - foreign weights, tensors only
    except pickle.UnpicklingError as error:
        name = re.search(r"GLOBAL (\S+)", str(error))
        raise (Refused(name[1]) if name else error) from error


def _bytes(text: str, *_: Any) -> bytes:
    return text.encode("latin1")


_ARRAYS = {
    "_reconstruct": _callable(lambda *_: ArrayRecord()),
    "scalar": _callable(_scalar),
}
INERT = (_inert("Dictionary", "fairseq.data.dictionary"), _inert("Namespace", "argparse"))
"""What files of ``torch.save`` may hold besides: the word list and the options of fairseq's checkpoints, as records."""
KNOWN: dict[tuple[str, str], Any] = {
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): _callable(_persistent),
    ("dnnlib.util", "EasyDict"): Mapping,
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _callable(_tensor),
    ("torch._utils", "_rebuild_parameter"): _callable(lambda data, *_: data),
    ("torch.storage", "_load_from_bytes"): _callable(lambda data: _load_tensors(BytesIO(data))),
    ("numpy", "ndarray"): _inert("ndarray"),
    ("numpy", "dtype"): _callable(_data_type),
    ("_codecs", "encode"): _callable(_bytes),
    **{(f"numpy.{core}.multiarray", name): value for core in ("core", "_core") for name, value in _ARRAYS.items()},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _callable(_array) for core in ("core", "_core")},
    **{(module, "set"): set for module in ("builtins", "__builtin__")},
    **{
        (module, name): _inert(name)
        for module, name in (
            ("torch.nn.modules.container", "Sequential"),
            ("torch.nn.modules.activation", "Softplus"),
            ("training.triplane", "OSGDecoder"),
            ("training.volumetric_rendering.renderer", "ImportanceRenderer"),
            ("training.volumetric_rendering.ray_marcher", "MipRayMarcher2"),
            ("training.volumetric_rendering.ray_sampler", "RaySampler"),
        )
    },
}
"""Everything that a file may name."""


class Reader(pickle.Unpickler):
    """Unpickler that knows ``KNOWN`` and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """What stands for ``module.name`` here.

        Raises:
            Refused: it is not on the list.
        """
        if (module, name) not in KNOWN:
            raise Refused(f"{module}.{name}")
        return KNOWN[module, name]


def _plain(value: Any, done: dict[int, Any]) -> Any:
    """The records of the reader as values; ``done`` keeps shared parts shared."""
    if id(value) in done:
        if done[id(value)] is done:
            raise pickle.UnpicklingError("an object contains itself")
        return done[id(value)]
    if not isinstance(value, Record | ArrayRecord | dict | list | tuple):
        return value
    done[id(value)] = done
    if isinstance(value, Record):
        result = ForeignObject(value.kind, _plain(getattr(value, "state", {}), done))
    elif isinstance(value, ArrayRecord):
        result = value.array
    elif isinstance(value, dict):
        result = {key: _plain(inner, done) for key, inner in value.items()}
    else:
        result = type(value)(_plain(inner, done) for inner in value)
    done[id(value)] = result
    return result
