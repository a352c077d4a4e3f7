"""The optimisation loop that the stages share, on a network of a few numbers."""

import dataclasses

import pytest
import torch
from core.errors import PortraitError
from core.hub import Pretrained
from core.train.callbacks import ExportWeights
from core.train.schedule import Group, Schedule
from core.train.stage import MAX_BAD_STEPS, Outcome, StageModule, load_network
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn


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

    def __init__(self, init_from=None, poison=False, **schedule):
        super().__init__(Schedule(**{"lr": 0.1, "betas": (0.9, 0.99), "warmup": 1} | schedule), None, init_from, seed=0)
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
    from pytorch_lightning import Callback

    class Stop(Callback):
        def on_train_batch_end(self, trainer, *_):
            trainer.should_stop = trainer.global_step >= stop

    fit(module, tmp_path, 6, [*callbacks, Stop()], limit_train_batches=3)


def test_endless_nan_is_an_error_not_a_ruin(tmp_path):
    module = LineModule(poison=True)
    with pytest.raises(PortraitError, match="E_DIVERGED"):
        fit(module, tmp_path, MAX_BAD_STEPS + 5)
    assert all(p.isfinite().all() for p in module.parameters())


def test_float16_with_loss_scaling_is_refused():
    module = LineModule()
    module._trainer = type("T", (), {"precision": "16-mixed"})()
    with pytest.raises(PortraitError, match="E_PRECISION"):
        module.on_fit_start()
