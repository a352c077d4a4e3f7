"""How much memory a piece of work took beyond what was in use before it."""

import ctypes
from pathlib import Path

import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """Context that tells by how many MiB the memory in use grew at most: of the GPU, or of the process (Linux)."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.mib: float | None = None
        self._before: float | None = None

    def __enter__(self) -> "PeakMemory":
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            self._before = torch.cuda.memory_allocated(self.device) / 2**20
        else:
            self._before = _start_over()
        return self

    def __exit__(self, *error: object) -> None:
        if self._before is None:
            return
        cuda = self.device.type == "cuda"
        peak = torch.cuda.max_memory_allocated(self.device) / 2**20 if cuda else _resident("VmHWM")
        self.mib = max(0.0, peak - self._before)


def _start_over() -> float | None:
    """Give free memory back, make the kernel forget the peak so far; MiB now in use, None where there is no such kernel."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
        _CLEAR.write_text("5")
        return _resident("VmRSS")
    except (OSError, AttributeError, TypeError):
        return None


def _resident(key: str) -> float:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(f"{key}:"))
    return int(line.split()[1]) / 1024
