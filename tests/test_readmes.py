"""The examples in the packages' READMEs run as they are printed."""

import re
from pathlib import Path

import pytest
import torch

PACKAGES = Path(__file__).parents[1] / "packages"


@pytest.mark.parametrize(("package", "result"), [("recon", None), ("animate", "image"), ("compose", "image")])
def test_example_runs(package, result, capsys):
    readme = PACKAGES / package / "README.md"
    code = re.search(r"```python\n(.*?)```", readme.read_text(), re.S).group(1)
    assert len(code.splitlines()) <= 18
    names: dict = {}
    exec(compile(code, str(readme), "exec"), names)
    if package == "recon":
        assert "torch.Size([1, 3, 512, 512])" in capsys.readouterr().out
    if result:
        assert names[result].shape == (1, 3, 64, 64)
        assert torch.isfinite(names[result]).all()
