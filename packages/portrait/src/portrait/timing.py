"""Where the time goes: seconds per stage, and the peak memory of the process."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class StageTimer:
    """Adds up wall time under names; threads at work side by side count each for itself.

    Attributes:
        seconds: total seconds per stage.
        items: number of frames (or other items) per stage.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.items: dict[str, int] = {}
        self._lock = threading.Lock()

    @contextmanager
    def __call__(self, stage: str, items: int = 1) -> Iterator[None]:
        """Count the time inside the ``with`` block towards ``stage``, for ``items`` frames."""
        start = time.perf_counter()
        try:
            yield
        finally:
            passed = time.perf_counter() - start
            with self._lock:
                self.seconds[stage] = self.seconds.get(stage, 0.0) + passed
                self.items[stage] = self.items.get(stage, 0) + items

    def report(self) -> str:
        """One line: mean milliseconds per item of every stage, in order of first use."""
        return ", ".join(f"{stage} {1e3 * self.seconds[stage] / max(self.items[stage], 1):.1f} ms" for stage in self.seconds)


def peak_memory_mib() -> float:
    """Largest resident memory of this process so far in MiB; NaN where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
