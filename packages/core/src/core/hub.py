"""Weights folders: ``config.json`` + ``model.safetensors``, loaded strictly, in half precision if asked."""

from pathlib import Path
from typing import Any, Self

import torch
from huggingface_hub import PyTorchModelHubMixin

from core.errors import PortraitError


class Pretrained(PyTorchModelHubMixin, library_name="real3d"):
    """``save_pretrained`` / ``from_pretrained`` that refuse missing, unexpected and misshapen tensors.

    A network takes its config dataclass as its only constructor argument, annotated with the class itself (no string
    annotations in that file): the mixin rebuilds it from ``config.json``.
    """

    @classmethod
    def from_pretrained(cls, source: str | Path, **kwargs: Any) -> Self:
        """Load a folder or a hub id; the network comes back in eval mode and float32.

        Raises:
            PortraitError: ``E_WEIGHTS`` when the folder is absent, incomplete or made for another network.
        """
        folder = Path(source)
        if folder.is_absolute() or str(source).startswith(".") or folder.exists() or len(folder.parts) != 2:
            missing = [name for name in ("config.json", "model.safetensors") if not (folder / name).is_file()]
            if missing:
                raise PortraitError("E_WEIGHTS", f"{cls.__name__}: no {' and '.join(missing)} in {folder}",
                                    "Give the folder that a training stage exported, or a hub id such as org/name.")  # fmt: skip
        try:
            return super().from_pretrained(str(source), strict=True, **kwargs)
        except (RuntimeError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())[:300]
            raise PortraitError("E_WEIGHTS", f"{cls.__name__}: the weights in {source} do not fit: {reason}",
                                "Use weights of the same network and preset.") from error  # fmt: skip

    def save_half(self, folder: str | Path) -> None:
        """Like ``save_pretrained`` but with float16 tensors (what ships inside the package)."""
        dtypes = {name: tensor.dtype for name, tensor in self.state_dict().items()}
        self.half()
        try:
            self.save_pretrained(folder)
        finally:
            for name, tensor in self.state_dict(keep_vars=True).items():
                tensor.data = tensor.data.to(dtypes[name])


def parameter_count(module: torch.nn.Module) -> int:
    """Number of trainable scalars; works on the meta device."""
    return sum(parameter.numel() for parameter in module.parameters())
