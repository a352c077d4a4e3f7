"""One clip as one safetensors file: compressed pictures as byte tensors beside the coefficients, read lazily."""

import io
import os
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor

JPEG_QUALITY = 92
DEPTH_UNIT = 1 / 1024
"""Step of stored depths in 3DMM units: a tenth of a millimetre."""


def encode_picture(image: UInt8[np.ndarray, "..."], lossless: bool = False) -> Tensor:
    """JPEG (quality 92, colour at full resolution) or PNG bytes of an RGB or grey picture."""
    from PIL import Image

    buffer = io.BytesIO()
    if lossless:
        Image.fromarray(image).save(buffer, "PNG", compress_level=4)
    else:
        Image.fromarray(image).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8)


def decode_picture(data: Tensor, size: int | None = None, nearest: bool = False) -> UInt8[np.ndarray, "..."]:
    """Pixels of ``encode_picture``'s bytes, resized to ``size x size`` (area average, or nearest for labels)."""
    from PIL import Image

    picture = Image.open(io.BytesIO(data.numpy().tobytes()))
    if size is not None and picture.width != size:
        shrink = picture.width / size
        if nearest:
            picture = picture.resize((size, size), Image.Resampling.NEAREST)
        else:
            picture.draft(picture.mode, (size, size))  # a JPEG decodes faster at a half, a quarter ... of its size
            method = Image.Resampling.BOX if shrink == int(shrink) else Image.Resampling.LANCZOS
            picture = picture.resize((size, size), method)
    return np.array(picture)


def quarter_depth(depth: Float[np.ndarray, "s s"]) -> Float[np.ndarray, "q q"]:
    """Depth at a quarter of the size in steps of ``DEPTH_UNIT``: the mean of what is covered, 0 where less than half of a cell is."""
    cells = rearrange(depth, "(h a) (w b) -> h w (a b)", a=4, b=4)
    covered = (cells > 0).sum(2)
    mean = cells.sum(2) / np.maximum(covered, 1)
    return np.where(covered >= 8, np.round(mean / DEPTH_UNIT) * DEPTH_UNIT, 0).astype(np.float32)


def encode_depth(depth: Float[np.ndarray, "q q"]) -> Tensor:
    """Lossless bytes of what ``quarter_depth`` gives."""
    whole = np.round(depth / DEPTH_UNIT).astype("<u2")
    steps = np.diff(whole, axis=1, prepend=np.zeros((len(whole), 1), "<u2"))  # modulo 2^16: neighbours differ little
    planes = np.stack([steps & 255, steps >> 8]).astype(np.uint8)
    packed = np.frombuffer(zlib.compress(planes.tobytes(), 6), np.uint8)
    return torch.from_numpy(np.concatenate([np.frombuffer(np.uint16(len(whole)).tobytes(), np.uint8), packed]))


def decode_depth(data: Tensor, size: int) -> Float[np.ndarray, "size size"]:
    """What ``encode_depth`` was given, at ``size``; cells are picked, not mixed, so that outlines stay."""
    stored = data.numpy().tobytes()
    side = int(np.frombuffer(stored[:2], "<u2")[0])
    low, high = np.frombuffer(zlib.decompress(stored[2:]), np.uint8).reshape(2, side, side).astype(np.uint16)
    depth = np.cumsum(low + (high << 8), axis=1, dtype=np.uint16).astype(np.float32) * np.float32(DEPTH_UNIT)
    if size == side:
        return depth
    pick = ((np.arange(size) + 0.5) * side / size).astype(int)
    return depth[pick[:, None], pick[None]]


def save_clip(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write atomically: a file with this name is always complete."""
    from safetensors.torch import save_file

    part = path.with_suffix(f".{os.getpid()}.part")
    save_file({name: value.contiguous() for name, value in tensors.items()}, part)
    os.replace(part, path)


class ClipFile:
    """Lazy reader of one clip; opened on first use, so it travels to worker processes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, *names: str) -> list[Tensor]:
        """The named tensors."""
        from safetensors import safe_open

        with safe_open(self.path, framework="pt") as file:
            return [file.get_tensor(name) for name in names]

    def names(self) -> set[str]:
        """What the clip holds."""
        from safetensors import safe_open

        with safe_open(self.path, framework="pt") as file:
            return set(file.keys())
