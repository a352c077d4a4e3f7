import subprocess
import sys

import pytest

SCRIPT = """
import sys
from types import ModuleType
from core.perception.solutions import pyplot_when_used
with pyplot_when_used():
    import matplotlib.pyplot as plt
assert "matplotlib" not in sys.modules and "matplotlib.pyplot" not in sys.modules
assert plt.figure.__module__ == "matplotlib.pyplot"  # asked for, it is the real one
import matplotlib.pyplot
assert plt.figure is matplotlib.pyplot.figure
with pyplot_when_used():  # loaded already: nothing stands in for it
    assert sys.modules["matplotlib.pyplot"] is matplotlib.pyplot
assert sys.modules["matplotlib.pyplot"] is matplotlib.pyplot
"""


def test_pyplot_is_loaded_when_it_is_used():
    pytest.importorskip("matplotlib")
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
