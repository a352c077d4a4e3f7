"""Weights folders: ``config.json`` + ``model.safetensors``, loaded strictly, in half precision if asked."""

import json
from contextlib import redirect_stdout
from dataclasses import is_dataclass
from io import StringIO
from pathlib import Path
from typing import Any, get_type_hints

import torch
from huggingface_hub import ModelCard, PyTorchModelHubMixin, hf_hub_download

from core.errors import PortraitError


class Pretrained(PyTorchModelHubMixin, library_name="real3d"):
    """``save_pretrained`` / ``from_pretrained`` that refuse missing, unexpected and misshapen tensors.

    A network takes its config dataclass as its only constructor argument, annotated with the class itself (no string
    annotations in that file): the mixin rebuilds it from ``config.json``.
    """

    @classmethod
    def from_pretrained(cls, source: str | Path, **kwargs: Any) -> Any:
        """Load a folder or a hub id; the network comes back in eval mode and float32.

        Raises:
            PortraitError: ``E_WEIGHTS`` when the folder is absent, incomplete or made for another network.
        """
        folder = Path(source)
        config_file = folder / "config.json"
        if folder.is_absolute() or str(source).startswith(".") or folder.exists() or len(folder.parts) != 2:
            missing = [name for name in ("config.json", "model.safetensors") if not (folder / name).is_file()]
            if missing:
                raise PortraitError("E_WEIGHTS", f"{cls.__name__}: no {' and '.join(missing)} in {folder}",
                                    "Give the folder that a training stage exported, or a hub id such as org/name.")  # fmt: skip
        else:
            config_file = Path(hf_hub_download(str(source), "config.json"))
        try:
            config = decode_config(get_type_hints(cls.__init__)["config"], json.loads(config_file.read_text()))
            with redirect_stdout(StringIO()):  # the mixin prints where it reads from
                return super().from_pretrained(str(source), strict=True, config=config, **kwargs)
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

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """The README of a weights folder: what the network is and how to load it."""
        kind = type(self)
        summary = (kind.__doc__ or "").strip().partition("\n")[0]
        return ModelCard(
            f"---\nlibrary_name: real3d\ntags: [real3d-portrait]\n---\n\n# {kind.__name__}\n\n{summary}\n\n"
            f"{parameter_count(self):,} parameters; its sizes and options are in `config.json`.\n\n"
            f"```python\nfrom {kind.__module__.partition('.')[0]} import {kind.__name__}\n\n"
            f'network = {kind.__name__}.from_pretrained("this folder or its hub id")\n```\n'
        )


def decode_config(kind: type, data: dict[str, Any]) -> Any:
    """Config dataclass from its JSON form: lists become tuples, nested dataclasses are built from their annotations.

    Raises:
        TypeError: a key that ``kind`` does not know.
    """
    hints = get_type_hints(kind)
    fields: dict[str, Any] = {}
    for name, value in data.items():
        if is_dataclass(hints.get(name)):
            fields[name] = decode_config(hints[name], value)
        else:
            fields[name] = tuple(value) if isinstance(value, list) else value
    return kind(**fields)


def parameter_count(module: torch.nn.Module) -> int:
    """Number of trainable scalars; works on the meta device."""
    return sum(parameter.numel() for parameter in module.parameters())
