"""Where a measurement was taken, and how much memory it took."""

import ctypes
import os
import platform
import subprocess
from pathlib import Path
from typing import Self

import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def describe(device: torch.device) -> dict[str, str | int | float]:
    """Processor, cores, load, library versions and commit."""
    return {
        "processor": torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_model(),
        "device": str(device),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else -1,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "commit": _commit(),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    found = dict(line.split("\t: ", 1) for line in lines if "\t: " in line)
    model, frequency = (next((v for k, v in found.items() if k.strip() == key), "") for key in ("model name", "cpu MHz"))
    return f"{model}, {float(frequency) / 1000:.1f} GHz" if frequency else model or platform.machine()


def _commit() -> str:
    """Of the checkout; a trailing ``-dirty`` says that files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


class PeakMemory:
    """Context that tells by how many MiB the memory in use grew at most: of the GPU, or of the process (Linux)."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.mib: float | None = None
        self._before: float | None = None

    def __enter__(self) -> Self:
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
