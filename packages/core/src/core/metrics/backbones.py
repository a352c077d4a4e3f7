"""The foreign networks that some metrics look through. Their weights are the user's files: never downloaded, never random."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.errors import PortraitError
from core.losses.perceptual import read_arrays
from core.restricted_pickle import read_checkpoint

FILES = {
    "alexnet": ("alexnet-owt-7be5be79.pth", "LPIPS"),
    "inception": ("pt_inception-2015-12-05-6726825d.pth", "FID"),
    "arcface": ("arcface.pth", "CSIM and identity drift"),
    "syncnet": ("syncnet_v2.model", "Sync-C and Sync-D"),
    "deep3d": ("deep3d.pth", "AED and APD of the paper's regressor"),
}
"""Per network: the file, and the metrics that need it. ``arcface.pth`` is any ``backbone.pth`` of insightface's iresnet18 to iresnet100,
``deep3d.pth`` the ``epoch_20.pth`` of Deep3DFaceRecon_pytorch."""


@dataclass(frozen=True)
class Backbones:
    """Networks at hand; None where the file is absent.

    Attributes:
        lpips: for ``core.metrics.lpips``.
        inception: for ``core.metrics.fid``.
        arcface: for ``core.metrics.csim``.
        syncnet: for ``core.metrics.sync``.
        deep3d: for ``core.metrics.motion`` on its coefficients.
        absent: one line for every metric that has to be left out, saying which file it lacks.
    """

    lpips: nn.Module | None = None
    inception: nn.Module | None = None
    arcface: nn.Module | None = None
    syncnet: Any = None
    deep3d: nn.Module | None = None
    absent: tuple[str, ...] = ()


def load_backbones(folder: str | Path | None = None, device: torch.device | str = "cpu") -> Backbones:
    """All networks whose files are in ``folder``; the others are left out and named in ``absent``.

    Args:
        folder: holds files named as in ``FILES``; None looks in torch's cache.
        device: where they shall run.

    Raises:
        PortraitError: ``E_NO_FOLDER``, or ``E_WEIGHTS`` when a file is damaged or holds another network.
    """
    place = Path(torch.hub.get_dir()) / "checkpoints" if folder is None else Path(folder).expanduser()
    if folder is not None and not place.is_dir():
        raise PortraitError("E_NO_FOLDER", f"there is no folder {place} with weights of metrics", "Check the spelling of the path.")
    found, absent = {}, []
    for name, (file, metrics) in FILES.items():
        path = place / file
        if path.is_file():
            arrays = _regressor_arrays(path) if name == "deep3d" else read_arrays(path)
            found["lpips" if name == "alexnet" else name] = _BUILDERS[name](arrays, path).to(device)
        else:
            absent.append(f"{metrics} left out: no {file} in {place}")
    return Backbones(**found, absent=tuple(absent))


def _fill(network: nn.Module, arrays: dict[str, Tensor], path: Path) -> nn.Module:
    """Load strictly; only counters of batch norms may be missing."""
    try:
        missing, unexpected = network.load_state_dict(arrays, strict=False)
    except (RuntimeError, TypeError) as error:
        raise _other(path) from error
    if unexpected or any(not name.endswith("num_batches_tracked") for name in missing):
        raise _other(path)
    return network.eval()


def _other(path: Path) -> PortraitError:
    return PortraitError("E_WEIGHTS", f"{path} holds another network than its name says", "See docs/metrics.md for the files.")


def _lpips(arrays: dict[str, Tensor], path: Path) -> nn.Module:
    from core.metrics.lpips import lpips_network

    return lpips_network(arrays)


def _inception(arrays: dict[str, Tensor], path: Path) -> nn.Module:
    from core.metrics.inception import FIDInception

    network = FIDInception()
    _fill(network.net, {name: value for name, value in arrays.items() if not name.startswith(("fc.", "AuxLogits."))}, path)
    return network


def _arcface(arrays: dict[str, Tensor], path: Path) -> nn.Module:
    from core.metrics.iresnet import DEPTHS, IResNet

    depths = IResNet.depths_of(arrays)
    if depths not in DEPTHS.values():
        raise _other(path)
    return _fill(IResNet(depths), arrays, path)


def _syncnet(arrays: dict[str, Tensor], path: Path) -> nn.Module:
    from core.metrics.syncnet import SyncNet

    return _fill(SyncNet(), arrays, path)


def _deep3d(arrays: dict[str, Tensor], path: Path) -> nn.Module:
    from core.metrics.deep3d import Deep3D

    return _fill(Deep3D(), arrays, path)


def _regressor_arrays(path: Path) -> dict[str, Tensor]:
    """Its authors keep the network beside the state of its optimiser."""
    contents = read_checkpoint(path)
    inner = contents.get("net_recon", contents) if isinstance(contents, dict) else contents
    if not isinstance(inner, dict) or not all(isinstance(value, Tensor) for value in inner.values()):
        raise _other(path)
    return dict(inner)


_BUILDERS: dict[str, Callable[[dict[str, Tensor], Path], nn.Module]] = {
    "alexnet": _lpips,
    "inception": _inception,
    "arcface": _arcface,
    "syncnet": _syncnet,
    "deep3d": _deep3d,
}
