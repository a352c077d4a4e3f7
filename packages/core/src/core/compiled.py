"""Functions that numba compiles, and running them on several cores. They release the interpreter lock."""

import inspect
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from numba import njit


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile at first call; keep the result on disk where a folder for it can be written."""
    function = inspect.unwrap(function)  # shape checks, where a test run adds them, cannot be compiled
    options = {"nogil": True, "fastmath": True, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:
        return njit(**options)(function)


def on_disk(function: Callable[..., Any]) -> bool:
    """Whether a ``compiled`` function need not be compiled here, because an earlier run left its machine code."""
    folder = function.stats.cache_path
    return folder is not None and any(Path(folder).glob(f"*.{function.__name__}-*.nbi"))


@lru_cache(maxsize=4)
def _pool(pid: int, threads: int) -> ThreadPoolExecutor:
    """Threads of this process; a forked child gets its own."""
    return ThreadPoolExecutor(threads)


def run_parallel(jobs: list[Callable[[], Any]]) -> None:
    """Run jobs on torch's number of threads and wait for all of them."""
    threads = torch.get_num_threads()
    if threads == 1 or len(jobs) == 1:
        for job in jobs:
            job()
        return
    for done in [_pool(os.getpid(), threads).submit(job) for job in jobs]:
        done.result()
