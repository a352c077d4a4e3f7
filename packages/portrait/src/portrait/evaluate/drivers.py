"""What is found in driving videos, kept in the report folder: every system is compared with the same ones."""

import json
from pathlib import Path

import torch
from core.media.files import atomic_path
from safetensors import safe_open
from safetensors.torch import save_file

from portrait.evaluate.footage import square_frames, window_of
from portrait.evaluate.trace import Tools, Trace, trace

OPTIONAL = ("embeddings", "features", "coefficients")


def trace_driver(path: Path, tools: Tools, limit: int | None = None, kept: Path | None = None) -> Trace:
    """Walk through a driving video, or remember an earlier walk.

    Args:
        path: the video.
        tools: face model and networks.
        limit: frames to stop after.
        kept: folder of earlier walks; None remembers nothing. A walk counts for the same file, length, networks and face model only.

    Raises:
        PortraitError: as ``window_of`` and ``square_frames``; ``E_WRITE``.
    """
    state = path.stat()
    terms = json.dumps([str(path), state.st_size, state.st_mtime_ns, limit, tools.fingerprint])
    file = None if kept is None else kept / f"{path.stem}.safetensors"
    if file is not None and file.is_file():
        with safe_open(file, "pt") as known:
            metadata = known.metadata()
            if metadata["terms"] == terms:
                found = {name: known.get_tensor(name) for name in known.keys()}  # noqa: SIM118 - not a dictionary
                return Trace(found["points"].numpy(), json.loads(metadata["values"]), *(found.get(name) for name in OPTIONAL))
    walked = trace(square_frames(path, window_of(path), limit), tools)
    if file is not None:
        arrays = {"points": torch.from_numpy(walked.points)} | {n: v for n in OPTIONAL if (v := getattr(walked, n)) is not None}
        with atomic_path(file) as temporary:
            save_file({name: value.contiguous() for name, value in arrays.items()}, temporary,
                      {"terms": terms, "values": json.dumps(walked.values)})  # fmt: skip
    return walked
