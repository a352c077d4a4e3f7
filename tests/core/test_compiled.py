import subprocess
import sys

SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import kernel
from core.compiled import on_disk
assert on_disk(kernel.twice) == (sys.argv[2] == "again")
assert kernel.twice(4) == 8
assert on_disk(kernel.twice)
"""


def test_machine_code_is_found_again(tmp_path):
    (tmp_path / "kernel.py").write_text("from core.compiled import compiled\n\n\n@compiled\ndef twice(x):\n    return 2 * x\n")
    for run in ("first", "again"):
        done = subprocess.run([sys.executable, "-c", SCRIPT, tmp_path, run], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
