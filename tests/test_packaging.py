"""Every package installs by itself, from a plain folder, and imports with only what it brings."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("core", "recon", "animate", "compose", "audio2motion", "portrait")


def test_versions_agree():
    versions = {
        line for p in PACKAGES for line in (ROOT / "packages" / p / "pyproject.toml").read_text().splitlines() if line.startswith("version")
    }
    assert len(versions) == 1


def test_lock_has_no_address_and_no_sibling():
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    assert "real3d" not in lock


@pytest.mark.slow
@pytest.mark.net
@pytest.mark.parametrize(
    ("package", "public"), [("recon", "I2P"), ("animate", "MotionAdapter"), ("compose", "HTBSR"), ("audio2motion", "Audio2Motion")]
)
def test_installs_alone(package, public, tmp_path):
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    python = tmp_path / "env" / "bin" / "python"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(tmp_path / "env")], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", "--python", str(python), str(ROOT / "packages" / package)], check=True)
    probe = f"from {package} import {public}; import sys; assert not {{'pytorch_lightning', 'mediapipe'}} & set(sys.modules)"
    subprocess.run([str(python), "-c", probe], check=True, cwd=tmp_path)
