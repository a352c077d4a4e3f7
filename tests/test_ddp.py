"""Stage 1 under two processes: its real command, gloo, CPU."""

import os
import subprocess
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).parent.parent
WITNESS = '''
import torch
from pytorch_lightning import Callback


class Witness(Callback):
    """Writes down what a rank saw and what it ended with."""

    def __init__(self, folder: str):
        self.folder, self.seen = folder, []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.seen.append(batch.targets[0].head.double().sum().item())

    def on_train_end(self, trainer, pl_module):
        weights = torch.cat([p.detach().flatten() for p in pl_module.parameters()])
        torch.save({"seen": self.seen, "weights": weights, "steps": trainer.global_step}, f"{self.folder}/rank{trainer.global_rank}.pt")
'''


def test_two_ranks_see_different_people_and_end_with_one_network(tmp_path):
    (tmp_path / "witness.py").write_text(WITNESS)
    paths = [str(tmp_path), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1",
        "REAL3D_RUNS": str(tmp_path / "runs"), "REAL3D_DATA": str(tmp_path / "data"),
    }  # fmt: skip
    command = [
        sys.executable, "-m", "experiments.launch", "run", "recon", "fit", "-c", "experiments/recon/debug.yaml",
        "--trainer.devices", "2", "--trainer.strategy", "ddp_find_unused_parameters_true", "--trainer.max_steps", "3",
        "--model.superres_start", "1",  # asleep at first: no gradients to wait for
        "--trainer.callbacks+", "witness.Witness", "--trainer.callbacks.folder", str(tmp_path),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = (torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in range(2))  # noqa: TID251
    assert first["steps"] == second["steps"] == 3
    assert not set(first["seen"]) & set(second["seen"])
    assert torch.equal(first["weights"], second["weights"])
    assert (tmp_path / "runs" / "recon-debug" / "weights" / "i2p" / "model.safetensors").is_file()
