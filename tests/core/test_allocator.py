"""Freed memory is kept, seen from a process of its own: page faults of a large array that is made again and again."""

import os
import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
import numpy as np
from core.allocator import keep_freed_memory

if sys.argv[1] == "kept":
    print(keep_freed_memory())
for _ in range(3):
    np.ones(5_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    np.ones(5_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def run(which: str, **variables: str) -> list[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run([sys.executable, "-c", SCRIPT, which], env=clean | variables, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_large_arrays_come_from_kept_memory() -> None:
    faults = int(run("as it is")[0])
    listened, fewer = run("kept")
    assert listened == "True"
    assert int(fewer) < faults / 10


def test_the_environment_has_the_last_word() -> None:
    assert run("kept", MALLOC_TRIM_THRESHOLD_="131072")[0] == "False"
