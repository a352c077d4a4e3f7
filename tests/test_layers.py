"""Who may import whom, and what importing costs."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = ("pytorch_lightning", "mediapipe", "nvdiffrast", "cv2", "librosa", "av", "wandb", "transformers", "kornia.contrib")


def test_import_contracts_hold():
    done = subprocess.run([Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("package", ["core", "recon", "animate", "compose", "audio2motion", "portrait"])
def test_importing_a_package_is_light(package):
    code = f"import sys, {package}\n[getattr({package}, n) for n in getattr({package}, '__all__', []) if not n.endswith('Module')]\n"
    code += f"print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_networks_of_every_stage_import_without_lightning():
    code = "import sys, recon.model, recon.renderer, animate.model, animate.avatar, compose.model, audio2motion.model, core.camera\n"
    code += "import core.losses, core.data.clips, core.people\nassert 'pytorch_lightning' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
