"""Stage 2 as a LightningModule on a batch of noise: what moves, what rests, what a checkpoint holds."""

from dataclasses import replace

import pytest
import torch
from animate.module import AnimateModule
from animate.objective import AnimateWeights
from animate.steadiness import SteadinessOptions
from core.train.schedule import Schedule
from pytorch_lightning import Callback, Trainer
from recon import I2P
from torch.utils.data import DataLoader

WEIGHTS = AnimateWeights(perceptual=0.0, lips_perceptual=0.0)


def module(**options):
    torch.manual_seed(0)
    options = {"weights": WEIGHTS, "schedule": Schedule(lr=1e-3, warmup=1), "finetune_ramp": 0, "superres_start": 0} | options
    made = AnimateModule("debug", **options)
    made.avatar.i2p = I2P(replace(made.avatar.i2p.config, norm="batch", plain_norm="batch", dropout=0.5))
    return made


class Witness(Callback):
    def __init__(self):
        self.held, self.graphs = [], []

    def on_train_start(self, trainer, module):
        self.held.append(self.copy(module))
        canonical = module.avatar.canonical

        def watched(*args):
            planes = canonical(*args)
            self.graphs.append(planes.requires_grad)
            return planes

        module.avatar.canonical = watched

    def on_train_batch_end(self, trainer, module, *_):
        self.held.append(self.copy(module))

    @staticmethod
    def copy(module):
        return {name: x.clone() for name, x in module.state_dict().items() if isinstance(x, torch.Tensor)}


def fit(made, batch, steps, *callbacks):
    loader = DataLoader([batch] * 8, batch_size=None)
    trainer = Trainer(
        accelerator="cpu", max_steps=steps, logger=False, enable_checkpointing=False, callbacks=list(callbacks),
        enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0,
    )  # fmt: skip
    trainer.fit(made, loader)
    return trainer


def changed(before, after, part):
    return {name for name in before if name.startswith(part) and not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("options", [{"finetune": 0.0}, {"finetune_start": 5}], ids=["ablation", "not yet"])
def test_frozen_means_frozen(noise_pairs, options):
    witness, made = Witness(), module(**options)
    fit(made, noise_pairs, 2, witness)
    first, *_, last = witness.held
    assert not changed(first, last, "avatar.i2p")  # neither weights nor running statistics
    assert changed(first, last, "avatar.adapter")
    assert witness.graphs == [False, False]  # no activations kept for a backward pass
    assert all(p.grad is None and not p.requires_grad for p in made.avatar.i2p.parameters())
    assert not any(layer.training for layer in made.avatar.i2p.modules())


def test_finetuning_has_a_beginning_a_ramp_and_an_end(noise_pairs):
    witness, made = Witness(), module(finetune_start=1, finetune_stop=3, finetune_ramp=4)
    rates = []

    class Rates(Callback):
        def on_train_batch_end(self, trainer, module, *_):
            rates.append(next(group["lr"] for group in trainer.optimizers[0].param_groups if group["name"] == "i2p"))

    fit(made, noise_pairs, 4, witness, Rates())
    assert rates == pytest.approx([0.0, 1e-3 / 4, 1e-3 / 2, 0.0])
    moved = [bool(changed(before, after, "avatar.i2p")) for before, after in zip(witness.held, witness.held[1:], strict=False)]
    assert moved == [False, True, True, False]


def test_tuned_weights_are_in_the_checkpoint(noise_pairs):
    made = module(steadiness=SteadinessOptions(temporal_target=1e-6, blink_target=1e-6, every=1))
    trainer = fit(made, noise_pairs, 2)
    state = made.state_dict()
    for name in ("temporal", "blink"):
        assert state[f"steadiness.tuned.{name}.value"] > 0.002
        assert float(trainer.callback_metrics[f"train/{name}"]) > 0
        assert float(trainer.callback_metrics[f"train/{name}_weight"]) == pytest.approx(float(state[f"steadiness.tuned.{name}.value"]))
    assert not [name for name in module().state_dict() if name.startswith("steadiness")]
