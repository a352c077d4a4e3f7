"""Memory that large tensors leave behind is kept for the next ones."""

import ctypes
import os

KEPT = 2**28
"""Bytes up to which a tensor comes from kept memory."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")


def keep_freed_memory() -> bool:
    """Ask glibc not to give freed memory back to the kernel, which clears every page before it lends it again.

    That is what most of the time of element-wise work on a CPU goes into: a chain of operations on 40 MB tensors takes a quarter of the
    time without it. For programs, to be called once before they begin to work; libraries leave the allocator alone.

    Returns:
        Whether the allocator listened: False for other allocators than glibc's, and where the environment sets one of its thresholds.
    """
    if any(name in os.environ for name in _VARIABLES):
        return False
    try:
        tell = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    return all([tell(which, KEPT) for which in (_TRIM_THRESHOLD, _MMAP_THRESHOLD)])
