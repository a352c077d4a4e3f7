"""Where a measurement was taken."""

import os
import platform
import subprocess
from pathlib import Path

import torch


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
