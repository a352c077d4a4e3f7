"""Stage 2 through its real command: killed in the middle of an epoch and taken up again, it goes on as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WITNESS = '''
import json, os, signal
from pytorch_lightning import Callback


class Witness(Callback):
    """Writes down every batch and its loss; ends the process without warning before step ``die``."""

    def __init__(self, file: str, die: int = -1):
        self.file, self.die = file, die

    def on_train_batch_start(self, trainer, module, batch, index):
        if trainer.global_step == self.die:
            os.kill(os.getpid(), signal.SIGKILL)
        self.seen = batch.target.image.double().sum().item()

    def on_train_batch_end(self, trainer, module, *_):
        losses = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("train/")}
        with open(self.file, "a") as file:
            file.write(json.dumps([trainer.global_step, self.seen, losses]) + "\\n")
'''
CALLBACKS = """
trainer:
  max_steps: 8
  limit_val_batches: 0
  callbacks:
    - class_path: pytorch_lightning.callbacks.ModelCheckpoint
      init_args: {{dirpath: {folder}/checkpoints, every_n_train_steps: 2, save_last: true}}
    - class_path: witness.Witness
      init_args: {{file: {folder}/seen.jsonl, die: {die}}}
model:
  init_from: null
  finetune_start: 2
  steadiness: {{temporal_target: 1.0e-6, blink_target: 1.0e-6}}
  schedule: {{lr: 1.0e-3, warmup: 1}}
data: {{pairs_per_clip: 1}}
"""


def run(place, folder, die=-1, *words):
    """``animate fit`` of debug.yaml: three batches an epoch, eight steps."""
    folder.mkdir(exist_ok=True)
    (folder / "callbacks.yaml").write_text(CALLBACKS.format(folder=folder, die=die))
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(place), os.environ.get("PYTHONPATH")])), "OMP_NUM_THREADS": "1",
        "REAL3D_RUNS": str(folder / "runs"), "REAL3D_DATA": str(place / "data"),
    }  # fmt: skip
    command = [sys.executable, "-m", "experiments.launch", "run", "animate", "fit", "-c", "experiments/animate/debug.yaml"]
    command += ["-c", str(folder / "callbacks.yaml"), *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)


def seen(folder):
    lines = (json.loads(line) for line in (folder / "seen.jsonl").read_text().splitlines())
    return {step: (batch, losses) for step, batch, losses in lines}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_run_goes_on_with_the_next_batch_and_the_same_losses(tmp_path):
    (tmp_path / "witness.py").write_text(WITNESS)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    done = run(tmp_path, whole)
    assert done.returncode == 0, done.stdout + done.stderr
    assert run(tmp_path, broken, die=5).returncode == -signal.SIGKILL
    first = seen(broken)
    assert max(first) == 5  # the last checkpoint is of step 4, in the middle of the second epoch
    (broken / "seen.jsonl").unlink()
    done = run(tmp_path, broken, -1, "--ckpt_path", "last")
    assert done.returncode == 0, done.stdout + done.stderr
    again, expected = seen(broken), seen(whole)
    assert sorted(again) == [5, 6, 7, 8]
    assert len({batch for batch, _ in expected.values()}) > 3
    for step, (batch, losses) in {**first, **again}.items():
        assert batch == expected[step][0]
        assert losses == pytest.approx(expected[step][1], rel=1e-5)
    assert {"train/temporal", "train/blink", "train/temporal_weight"} <= set(again[8][1])
