"""``portrait doctor``: what this machine has, what is missing, what to do."""

import importlib.util
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from core.errors import PortraitError


class Finding(NamedTuple):
    """One line of the report.

    Attributes:
        state: ``ok``, ``info`` (works without) or ``FAIL``.
        name: what was looked at.
        detail: what was found, and what to do about it.
    """

    state: str
    name: str
    detail: str


def _python() -> Finding:
    return Finding("ok", "python", f"{platform.python_version()} on {platform.platform()}, {os.cpu_count()} CPU cores")


def _torch() -> Finding:
    import torch

    return Finding("ok", "torch", f"{torch.__version__}, {torch.get_num_threads()} threads")


def _cuda() -> Finding:
    import torch

    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        return Finding("ok", "cuda", f"{torch.cuda.get_device_name(0)}, {memory:.0f} GiB")
    return Finding("info", "cuda", "none found: everything runs on the CPU, several times slower")


def _mediapipe() -> Finding:
    import mediapipe

    return Finding("ok", "mediapipe", f"{mediapipe.__version__} (face landmarks, matting)")


def _codecs() -> Finding:
    import av

    missing = [name for name in ("libx264", "aac") if name not in av.codecs_available]
    if missing:
        return Finding("FAIL", "codecs", f"PyAV {av.__version__} lacks {', '.join(missing)}; install the PyAV wheel of the package index")
    return Finding("ok", "codecs", f"PyAV {av.__version__} with libx264 and aac")


def _speech() -> Finding:
    import espeakng_loader

    return Finding("ok", "espeak-ng", f"voices in {Path(espeakng_loader.get_data_path()).name} (speech of the demo)")


def _face_model() -> Finding:
    from core.face.model import FaceModel

    face = FaceModel.embedded()
    return Finding("ok", "face model", f"{face.name} {face.fingerprint}, {face.mean.shape[0]} vertices")


def _rasteriser() -> Finding:
    if importlib.util.find_spec("nvdiffrast"):
        return Finding("ok", "rasteriser", "nvdiffrast and numba")
    return Finding("info", "rasteriser", "numba; nvdiffrast (optional, CUDA only) is not installed")


def _weights() -> Finding:
    from portrait.networks import NETWORKS, weights_folder

    folder = weights_folder("tiny")
    size = sum(file.stat().st_size for network in NETWORKS for file in (folder / network).iterdir())
    return Finding("ok", "weights", f"tiny, {size / 2**20:.1f} MiB")


CHECKS: dict[str, Callable[[], Finding]] = {
    "python": _python,
    "torch": _torch,
    "cuda": _cuda,
    "mediapipe": _mediapipe,
    "codecs": _codecs,
    "espeak-ng": _speech,
    "face model": _face_model,
    "rasteriser": _rasteriser,
    "weights": _weights,
}


def examine() -> Iterator[Finding]:
    """Run every check; one that breaks becomes a ``FAIL`` line instead of ending the report."""
    for name, check in CHECKS.items():
        try:
            yield check()
        except ImportError as error:
            yield Finding("FAIL", name, f"{error}; install it with: pip install {error.name or name}")
        except PortraitError as error:
            yield Finding("FAIL", name, str(error))
        except Exception as error:  # a broken installation can fail in any way; the report must go on
            yield Finding("FAIL", name, f"{type(error).__name__}: {error}")


def doctor() -> int:
    """Print the report; 0 when nothing failed, else 2."""
    failed = False
    for finding in examine():
        failed |= finding.state == "FAIL"
        print(f"{finding.state:4}  {finding.name:10}  {finding.detail}", flush=True)
    print("something is missing, see FAIL above" if failed else "ready")
    return 2 if failed else 0
