"""Where the five networks are found, and where they run."""

import os
from importlib import resources
from pathlib import Path

import torch
from core.errors import PortraitError
from core.media.files import shortened

NETWORKS = ("i2p", "adapter", "renderer", "htbsr", "audio2motion")
"""Subfolders of a weights folder, in the order of the stages that fill them."""


def weights_folder(name: str | Path) -> Path:
    """The folder with one subfolder per network: a preset shipped with the package, or a folder of one's own.

    Raises:
        PortraitError: ``E_WEIGHTS`` when a network is missing.
    """
    folder = Path(name)
    if not os.path.isdir(folder) and len(folder.parts) == 1:
        folder = Path(str(resources.files("portrait"))) / "weights" / name
    missing = [network for network in NETWORKS if not os.path.isfile(folder / network / "model.safetensors")]
    if missing:
        raise PortraitError("E_WEIGHTS", f"no weights for {', '.join(missing)} in {shortened(name)!r}",
                            "Give --weights tiny, or a folder that the four training stages filled.")  # fmt: skip
    return folder


def choose_device(name: str) -> torch.device:
    """``auto`` (a GPU if there is one), ``cpu`` or ``cuda``.

    Raises:
        PortraitError: ``E_DEVICE`` when CUDA is asked for and absent.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise PortraitError("E_DEVICE", "--device cuda, but torch finds no CUDA GPU", "Use --device cpu, or run `portrait doctor`.")
    return torch.device(name)
