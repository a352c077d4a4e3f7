"""Stages 1 and 4 under two processes: their real commands, gloo, CPU."""

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
        data = batch.targets[0].head if hasattr(batch, "targets") else batch.exp
        self.seen.append(data.double().sum().item())

    def on_train_end(self, trainer, pl_module):
        weights = torch.cat([p.detach().flatten() for p in pl_module.parameters()])
        torch.save({"seen": self.seen, "weights": weights, "steps": trainer.global_step}, f"{self.folder}/rank{trainer.global_rank}.pt")
'''


def run_of_two(tmp_path, stage, *options):
    """What both ranks saw and ended with after three steps of a stage's ``debug.yaml``."""
    (tmp_path / "witness.py").write_text(WITNESS)
    paths = [str(tmp_path), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1",
        "REAL3D_RUNS": str(tmp_path / "runs"), "REAL3D_DATA": str(tmp_path / "data"),
    }  # fmt: skip
    command = [
        sys.executable, "-m", "experiments.launch", "run", stage, "fit", "-c", f"experiments/{stage}/debug.yaml",
        "--trainer.devices", "2", "--trainer.max_steps", "3", *options,
        "--trainer.callbacks+", "witness.Witness", "--trainer.callbacks.folder", str(tmp_path),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in range(2)]  # noqa: TID251


def test_two_ranks_see_different_people_and_end_with_one_network(tmp_path):
    # The super-resolution is asleep at first: there are no gradients to wait for.
    options = "--trainer.strategy", "ddp_find_unused_parameters_true", "--model.superres_start", "1"
    first, second = run_of_two(tmp_path, "recon", *options)
    assert first["steps"] == second["steps"] == 3
    assert not set(first["seen"]) & set(second["seen"])
    assert torch.equal(first["weights"], second["weights"])
    assert (tmp_path / "runs" / "recon-debug" / "weights" / "i2p" / "model.safetensors").is_file()


def test_two_ranks_hear_different_clips_and_end_with_one_network(tmp_path):
    """With every loss of stage 4 on, each parameter gets a gradient in every step: plain ``ddp`` will do."""
    options = "--trainer.strategy", "ddp", "--model.weights.viseme", "0.1", "--model.weights.lips", "0.5", "--model.weights.prior", "1.0"
    first, second = run_of_two(tmp_path, "audio2motion", *options, "--data.batch_size", "2")
    assert first["steps"] == second["steps"] == 3
    assert len(first["seen"]) == 3
    assert not set(first["seen"]) & set(second["seen"])
    assert torch.equal(first["weights"], second["weights"])
    assert (tmp_path / "runs" / "audio2motion-debug" / "weights" / "audio2motion" / "model.safetensors").is_file()
