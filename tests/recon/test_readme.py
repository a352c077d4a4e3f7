"""The example of the README runs as it is printed, and importing the package stays light."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "packages" / "recon" / "README.md"


def test_example_runs(capsys):
    code = re.search(r"```python\n(.*?)```", README.read_text(), re.S).group(1)
    assert len(code.splitlines()) <= 16
    exec(compile(code, str(README), "exec"), {})
    assert "torch.Size([1, 3, 512, 512])" in capsys.readouterr().out


def test_importing_is_light():
    heavy = ["pytorch_lightning", "mediapipe", "cv2", "timm", "numba", "librosa", "av"]
    code = f"import sys\nfrom recon import I2P, HeadRenderer\nprint([n for n in {heavy!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
