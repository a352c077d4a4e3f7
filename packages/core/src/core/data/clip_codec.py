"""One clip as one safetensors file: compressed pictures as byte tensors beside the coefficients, read lazily."""

import io
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

JPEG_QUALITY = 92


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
