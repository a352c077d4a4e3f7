"""The optimisation loop that the stages share, on a network of a few numbers."""

import dataclasses
import errno
import os
from itertools import pairwise
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from core.errors import PortraitError
from core.hub import Pretrained
from core.train.callbacks import ExportWeights, export_network
from core.train.cli import run_stage
from core.train.effort import Effort
from core.train.order import StepSampler
from core.train.schedule import Group, Schedule
from core.train.stage import MAX_BAD_STEPS, Outcome, StageModule, load_network
from fsspec.implementations.local import LocalFileOpener
from pytorch_lightning import Callback, LightningDataModule, Trainer
from pytorch_lightning.callbacks import EMAWeightAveraging, ModelCheckpoint
from safetensors import SafetensorError
from torch import nn
from torch.utils.data import TensorDataset


@dataclasses.dataclass(frozen=True)
class LineConfig:
    width: int = 2


class Line(nn.Module, Pretrained):
    def __init__(self, config: LineConfig):
        super().__init__()
        self.config = config
        self.layer = nn.Linear(config.width, 1)

    def forward(self, x):
        return self.layer(x)


class LineModule(StageModule):
    """Learns the sum of its inputs; ``extra`` is frozen, ``late`` starts at step 3."""

    def __init__(self, init_from=None, poison=False, effort=Effort(), **schedule):  # noqa: B008 - frozen
        super().__init__(Schedule(**{"lr": 0.1, "betas": (0.9, 0.99), "warmup": 1} | schedule), None, init_from, 0, effort)
        self.line, self.extra, self.late = Line(LineConfig()), nn.Dropout(0.5), Line(LineConfig())
        self.poison, self.draws = poison, []

    def networks(self):
        return {"line": self.line}

    def groups(self):
        return [Group("line", self.line), Group("late", self.late, scale=0.5, start=3)]

    def frozen(self):
        return [self.extra]

    def objective(self, batch):
        assert not self.extra.training
        self.draws.append(torch.rand(1, generator=self.randomness()).item())
        error = (self.line(batch) + self.late(batch) - batch.sum(1, keepdim=True)).square().mean()
        return Outcome({"error": error * (float("nan") if self.poison else 1.0)})

    def scores(self, batch):
        return {"error": (self.line(batch) + self.late(batch) - batch.sum(1, keepdim=True)).abs()[:, 0]}

    def portraits(self, batch):
        return {}


def fit(module, tmp_path, steps, callbacks=(), ckpt_path=None, **options):
    data = torch.utils.data.DataLoader(torch.randn(64, 2, generator=torch.Generator().manual_seed(0)), 8)
    trainer = Trainer(
        accelerator="cpu", max_steps=steps, logger=False, default_root_dir=tmp_path, callbacks=list(callbacks),
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=any(isinstance(c, ModelCheckpoint) for c in callbacks),
        limit_val_batches=2, num_sanity_val_steps=0, **options,
    )  # fmt: skip
    trainer.fit(module, data, data, ckpt_path=ckpt_path)
    return trainer


def test_learns_and_counts_generator_steps(tmp_path):
    torch.manual_seed(0)
    module = LineModule()
    trainer = fit(module, tmp_path, 60)
    assert trainer.global_step == 60
    assert float(trainer.callback_metrics["val/error"]) < 0.1
    assert len(set(module.draws)) == 60


def test_late_group_waits(tmp_path):
    module = LineModule()
    before = module.late.layer.weight.detach().clone()
    fit(module, tmp_path, 3)
    assert torch.equal(module.late.layer.weight, before)
    fit(module, tmp_path, 4)
    assert not torch.equal(module.late.layer.weight, before)


def test_export_starts_the_next_run_and_checks_the_configuration(tmp_path):
    module = LineModule()
    fit(module, tmp_path, 2, [ExportWeights(str(tmp_path / "weights"))])
    successor = LineModule(init_from=str(tmp_path / "weights"), lr=0.0, floor=0.0)
    fit(successor, tmp_path, 1)
    torch.testing.assert_close(successor.line.layer.weight, module.line.layer.weight)
    with pytest.raises(PortraitError, match="another configuration"):
        load_network(Line(LineConfig(3)), tmp_path / "weights" / "line")
    with pytest.raises(PortraitError, match="E_WEIGHTS"):
        fit(LineModule(init_from=str(tmp_path / "nowhere")), tmp_path, 1)


def test_resumed_run_equals_an_unbroken_one(tmp_path):
    def start():
        torch.manual_seed(3)
        return LineModule(decay="cosine", floor=0.0)

    whole = start()
    fit(whole, tmp_path, 6, limit_train_batches=3)
    half = start()
    keep = [ModelCheckpoint(tmp_path / "checkpoints", every_n_train_steps=3, save_last=True)]
    fit_until(half, tmp_path, keep, 3)
    resumed = start()
    fit(resumed, tmp_path, 6, keep, ckpt_path="last", limit_train_batches=3)
    torch.testing.assert_close(resumed.line.layer.weight, whole.line.layer.weight)


def fit_until(module, tmp_path, callbacks, stop):
    """Interrupt a six-step run after ``stop`` steps."""

    class Stop(Callback):
        def on_train_batch_end(self, trainer, *_):
            trainer.should_stop = trainer.global_step >= stop

    fit(module, tmp_path, 6, [*callbacks, Stop()], limit_train_batches=3)


def test_endless_nan_is_an_error_not_a_ruin(tmp_path):
    module = LineModule(poison=True)
    with pytest.raises(PortraitError, match="E_DIVERGED"):
        fit(module, tmp_path, MAX_BAD_STEPS + 5)
    assert all(p.isfinite().all() for p in module.parameters())


def test_one_nan_batch_is_skipped_and_counted(tmp_path):
    class OneBad(NormalisedModule):
        def objective(self, batch):
            return super().objective(batch * float("nan") if self.global_step == 1 else batch)

    module, states = OneBad(), []
    trainer = fit(module, tmp_path, 3, [States(states)])
    assert trainer.global_step == 3
    assert float(trainer.callback_metrics["train/skipped"]) == 1
    assert all(torch.equal(states[1][name], states[0][name]) for name in states[0])  # statistics of batch norm included
    assert any(not torch.equal(states[2][name], states[1][name]) for name in states[0])


class NormalisedModule(LineModule):
    """With a batch normalisation in front of the line."""

    def __init__(self, **options):
        super().__init__(**options)
        self.norm = nn.BatchNorm1d(2)

    def objective(self, batch):
        return super().objective(self.norm(batch))


class States(Callback):
    """Everything a module holds after every step."""

    def __init__(self, states):
        self.states = states

    def on_train_batch_end(self, trainer, module, *_):
        self.states.append({name: tensor.clone() for name, tensor in module.state_dict().items()})


class SleepyModule(LineModule):
    """``late``, with a batch normalisation and dropout inside, moves in steps 2 and 3 only."""

    def __init__(self, **options):
        super().__init__(**options)
        self.late = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout(0.5), nn.Linear(2, 1))
        self.gradients = []

    def groups(self):
        return [Group("line", self.line), Group("late", self.late, start=2, stop=4)]

    def objective(self, batch):
        self.gradients.append(self.late(batch).requires_grad)
        return super().objective(batch)


def test_groups_that_do_not_move_are_frozen_altogether(tmp_path):
    module, states = SleepyModule(), []
    start = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    fit(module, tmp_path, 6, [States(states)], val_check_interval=1)
    late = [name for name in start if name.startswith("late")]
    moved = [any(not torch.equal(after[n], before[n]) for n in late) for before, after in pairwise([start, *states])]
    assert moved == [False, False, True, True, False, False]
    assert module.gradients == moved  # no graph, so no memory, while asleep


def test_accumulated_batches_are_one_large_batch(tmp_path):
    def train(effort, size):
        torch.manual_seed(1)
        module = LineModule(effort=effort)
        data = torch.utils.data.DataLoader(torch.randn(64, 2, generator=torch.Generator().manual_seed(0)), size)
        trainer = Trainer(
            accelerator="cpu", max_steps=6, logger=False, default_root_dir=tmp_path, enable_progress_bar=False,
            enable_model_summary=False, enable_checkpointing=False,
        )  # fmt: skip
        trainer.fit(module, data)
        return module, trainer.global_step

    (parts, steps), (whole, _) = train(Effort(accumulate=4), 4), train(Effort(), 16)
    assert steps == 6
    assert len(parts.draws) == len(set(parts.draws)) == 24
    torch.testing.assert_close(parts.line.layer.weight, whole.line.layer.weight, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(parts.late.layer.bias, whole.late.layer.bias, atol=1e-6, rtol=1e-5)


def test_one_bad_batch_spoils_one_update_only(tmp_path):
    class OneBad(NormalisedModule):
        def objective(self, batch):
            return super().objective(batch * float("nan") if len(self.draws) == 2 else batch)

    module, states = OneBad(effort=Effort(accumulate=2)), []
    trainer = fit(module, tmp_path, 3, [States(states)])
    assert trainer.global_step == 3
    assert float(trainer.callback_metrics["train/skipped"]) == 1
    after = [states[batch] for batch in (1, 3, 5)]  # updates end there; the bad batch is the first of the second update
    assert all(torch.equal(after[0][name], after[1][name]) for name in after[0])  # statistics of batch norm included
    assert any(not torch.equal(after[1][name], after[2][name]) for name in after[0])
    assert all(tensor.isfinite().all() for tensor in after[2].values())


def test_compiled_networks_keep_their_weights_names(tmp_path):
    module = LineModule(effort=Effort(compile="eager"))
    fit(module, tmp_path, 2, [ExportWeights(str(tmp_path / "weights"))])
    assert module.line._compiled_call_impl is not None
    assert torch.equal(Line.from_pretrained(tmp_path / "weights" / "line").layer.weight, module.line.layer.weight)


def test_averaged_weights_are_what_is_handed_over(tmp_path):
    module, states = LineModule(), []
    average = EMAWeightAveraging(decay=0.5, use_buffers=False)
    fit(module, tmp_path, 4, [ExportWeights(str(tmp_path / "weights")), average, States(states)])
    weights = [state["line.layer.weight"] for state in states]
    expected = weights[0]  # the average begins as a copy of the first
    for weight in weights[1:]:
        expected = 0.5 * expected + 0.5 * weight
    handed = Line.from_pretrained(tmp_path / "weights" / "line").layer.weight
    torch.testing.assert_close(handed, expected)
    assert not torch.allclose(handed, weights[-1])


def run_at(step, rank=0, ranks=1, limit=1.0):
    return Mock(spec=Trainer, global_step=step, global_rank=rank, world_size=ranks, limit_train_batches=limit)


def order(count, batch_size, run):
    return list(StepSampler(TensorDataset(torch.zeros(count)), batch_size, 7, run))


def test_sampler_goes_on_behind_the_batches_that_are_done():
    epochs = [order(23, 4, run_at(step)) for step in (0, 5, 10)]  # 5 whole batches an epoch
    assert all(sorted(epoch) == list(range(23)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    for step in (2, 7, 14):
        epoch, done = divmod(step, 5)
        assert order(23, 4, run_at(step)) == epochs[epoch][4 * done :]
    assert order(23, 4, run_at(4, limit=3)) == epochs[1][4:]
    assert order(23, 4, run_at(4, limit=0.6)) == epochs[1][4:]


def test_sampler_counts_the_batches_of_an_update():
    run = run_at(0)
    run.lightning_module = Mock(effort=Effort(accumulate=2))
    epochs = []
    for run.global_step in (0, 2):  # 5 batches make 2 updates
        epochs.append(order(23, 4, run))
    assert [len(epoch) for epoch in epochs] == [23, 23]
    assert epochs[0] != epochs[1]
    run.global_step = 3
    assert order(23, 4, run) == epochs[1][8:]


def test_sampler_divides_an_epoch_among_ranks():
    parts = [order(30, 2, run_at(1, rank, 3)) for rank in range(3)]
    assert {len(part) for part in parts} == {8}  # ten each, the first two are done
    assert len({index for part in parts for index in part}) == 24


def full_disk(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_full_disk_keeps_the_old_checkpoint(tmp_path, monkeypatch):
    class FillUp(Callback):
        def on_train_batch_start(self, trainer, *_):
            if trainer.global_step == 3:
                monkeypatch.setattr(LocalFileOpener, "write", half_written)

    def half_written(self, data):
        self.f.write(data[: len(data) // 2])
        full_disk()

    keep = ModelCheckpoint(tmp_path / "checkpoints", every_n_train_steps=2, save_last=True)
    with pytest.raises(OSError, match="No space left"):
        fit(LineModule(), tmp_path, 4, [keep, FillUp()])
    monkeypatch.undo()
    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert kept == ["epoch=0-step=2.ckpt", "last.ckpt"]
    resumed = LineModule()
    assert fit(resumed, tmp_path, 3, [keep], ckpt_path=str(tmp_path / "checkpoints" / "last.ckpt")).global_step == 3
    assert len(resumed.draws) == 1


def test_full_disk_keeps_the_old_weights_folder(tmp_path, monkeypatch):
    old = Line(LineConfig())
    export_network(old, tmp_path / "line")
    monkeypatch.setattr(Line, "save_pretrained", lambda self, folder: (Path(folder).mkdir(), full_disk()))
    with pytest.raises(OSError, match="No space left"):
        export_network(Line(LineConfig()), tmp_path / "line")
    assert [path.name for path in tmp_path.iterdir()] == ["line"]
    assert torch.equal(Line.from_pretrained(tmp_path / "line").layer.weight, old.layer.weight)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), SafetensorError("I/O error: No space left on device (os error 28)")])
def test_full_disk_is_one_line(monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("core.train.cli.StageCLI", fail)
    with pytest.raises(SystemExit, match=r"^E_WRITE: the disk is full: .*--ckpt_path last"):
        run_stage(LineModule, LightningDataModule, [])


def test_other_errors_are_not_called_a_full_disk(monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.EACCES, "no")

    monkeypatch.setattr("core.train.cli.StageCLI", fail)
    with pytest.raises(PermissionError):
        run_stage(LineModule, LightningDataModule, [])


def test_float16_with_loss_scaling_is_refused():
    module = LineModule()
    module._trainer = type("T", (), {"precision": "16-mixed"})()
    with pytest.raises(PortraitError, match="E_PRECISION"):
        module.on_fit_start()
