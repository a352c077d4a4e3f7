"""The GAN step: timetable, what moves when, and what a step counts."""

import dataclasses

import pytest
import torch
from core.camera import Camera
from core.hub import Pretrained
from core.nn.discriminator import DualDiscriminatorConfig
from core.train.adversary import Adversary, AdversaryOptions, Judged, Views
from core.train.schedule import Group, Schedule
from core.train.stage import Outcome, StageModule
from pytorch_lightning import Callback, Trainer
from torch import nn
from torch.nn import functional as F

SMALL = DualDiscriminatorConfig(image_size=16, raw_size=4, channel_base=64, channel_max=8, mapping_layers=2, camera_noise=0.0)


def views(count=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(count, 3, 16, 16, generator=generator) * 2 - 1
    zero = torch.zeros(count)
    return Views(image, F.avg_pool2d(image, 4), Camera.look_at(zero, zero, zero + 2.7))


@dataclasses.dataclass(frozen=True)
class PaintConfig:
    side: int = 16


class Paint(nn.Module, Pretrained):
    def __init__(self, config: PaintConfig):
        super().__init__()
        self.config = config
        self.image = nn.Parameter(torch.zeros(1, 3, config.side, config.side))


class PaintModule(StageModule):
    """Paints a picture; nothing but the discriminator tells it how."""

    def __init__(self, **options):
        adversary = Adversary(AdversaryOptions(**{"weight": 1.0, "lr": 1e-2} | options), SMALL)
        super().__init__(Schedule(lr=0.1, betas=(0.0, 0.99), warmup=1), adversary, None, seed=0)
        self.paint = Paint(PaintConfig())
        self.shares = (1.0,)

    def networks(self):
        return {"paint": self.paint}

    def groups(self):
        return [Group("paint", self.paint)]

    def objective(self, batch):
        real = views(2)
        image = self.paint.image.expand(2, -1, -1, -1)
        fake = Views(image, F.avg_pool2d(image, 4), real.camera)
        return Outcome({"nothing": 0.0 * self.paint.image.sum()}, tuple(Judged(fake, real, share) for share in self.shares))

    def scores(self, batch):
        return {}

    def portraits(self, batch):
        return {}


class Witness(Callback):
    """Fingerprints of generator and discriminator after every batch."""

    def __init__(self):
        self.prints = []

    def on_train_batch_end(self, trainer, module, *_):
        parts = (module.paint, module.adversary)
        self.prints.append(tuple(sum(p.double().abs().sum().item() for p in part.parameters()) for part in parts))


def fit(module, tmp_path, steps):
    witness = Witness()
    loader = torch.utils.data.DataLoader(torch.zeros(64, 1), 1)
    trainer = Trainer(
        accelerator="cpu", max_steps=steps, logger=False, enable_checkpointing=False, callbacks=[witness], default_root_dir=tmp_path,
        enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0,
    )  # fmt: skip
    trainer.fit(module, loader)
    return trainer, witness.prints


def test_only_generator_updates_are_counted(tmp_path):
    trainer, prints = fit(PaintModule(), tmp_path, 5)
    assert trainer.global_step == len(prints) == 5
    assert len(set(prints)) == 5


def test_timetable(tmp_path):
    module = PaintModule(start=4, learn_from=2)
    before = sum(p.double().abs().sum().item() for p in module.adversary.parameters())
    _, prints = fit(module, tmp_path, 6)
    painted, judged = zip(*prints, strict=True)
    assert [value != 0 for value in painted] == [False, False, False, False, True, True]
    assert [value != before for value in judged] == [False, False, True, True, True, True]


def test_losses_are_the_formulas():
    torch.manual_seed(0)
    adversary = Adversary(AdversaryOptions(weight=0.5, r1=2.0, r1_every=4), SMALL)
    fake, real = views(seed=1), views(seed=2)
    judge = lambda v: adversary.discriminator(v.image, v.raw, v.camera.label)  # noqa: E731
    torch.testing.assert_close(adversary.generator_loss(fake), 0.5 * torch.log1p(torch.exp(-judge(fake))).mean())
    plain = (torch.log1p(torch.exp(judge(fake))) + torch.log1p(torch.exp(-judge(real)))).mean()
    torch.testing.assert_close(adversary.discriminator_loss(fake, real, step=1), plain)
    penalty = adversary.discriminator_loss(fake, real, step=4) - plain
    torch.testing.assert_close(penalty, 2.0 * 4 * slopes(judge, real), rtol=0.05, atol=1e-4)


def slopes(judge, real):
    """Half the squared gradient of each sample's own logit, one sample after another."""
    image, raw = real.image.clone().requires_grad_(), real.raw.clone().requires_grad_()
    total = 0.0
    for k in range(len(image)):
        one = Views(image, raw, real.camera)
        gradients = torch.autograd.grad(judge(one)[k, 0], (image, raw))
        total += sum(float(g.square().sum()) for g in gradients)
    return torch.tensor(0.5 * total / len(image))


def test_the_default_penalty_is_that_of_the_paper():
    """``5 * 16 * 1/2`` times the squared gradient with respect to image and raw together, on steps 0, 16, 32, ... (spec 6.2)."""
    adversary = Adversary(AdversaryOptions(weight=1.0), SMALL)
    adversary.discriminator = SlopedJudge()
    fake, real = views(seed=1), views(seed=2)
    plain = adversary.discriminator_loss(fake, real, step=15)
    penalty = adversary.discriminator_loss(fake, real, step=32) - plain
    squared = 3 * 16 * 16 * 0.1**2 + 3 * 4 * 4 * 0.2**2  # of a judge that is linear in every pixel
    torch.testing.assert_close(penalty, torch.tensor(5 * 16 * 0.5 * squared))


class SlopedJudge(nn.Module):
    def forward(self, image, raw, camera):
        return 0.1 * image.flatten(1).sum(1, keepdim=True) + 0.2 * raw.flatten(1).sum(1, keepdim=True)


def test_every_judged_view_has_its_share(tmp_path):
    def adversarial(*shares):
        torch.manual_seed(0)
        module = PaintModule(learn_from=9)
        module.shares = shares
        trainer, _ = fit(module, tmp_path, 1)
        return float(trainer.callback_metrics["train/adversarial"])

    assert adversarial(1.0, 0.25) == pytest.approx(adversarial(1.0) * 1.25 / 2, rel=1e-5)


@pytest.mark.parametrize(("decays", "factor"), [(True, 0.25), (False, 1.0)])
def test_discriminator_decays_only_when_asked(tmp_path, decays, factor):
    module = PaintModule(decays=decays)
    module.schedule = dataclasses.replace(module.schedule, decay="step", factor=0.5, every=2, floor=0.0)
    trainer, _ = fit(module, tmp_path, 5)
    assert trainer.optimizers[1].param_groups[0]["lr"] == pytest.approx(1e-2 * factor)


def test_a_bad_batch_moves_neither_side(tmp_path):
    module = PaintModule()
    module.shares = (float("nan"),)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    trainer, _ = fit(module, tmp_path, 1)
    assert torch.equal(module.paint.image, before["paint.image"])
    assert float(trainer.callback_metrics["train/skipped"]) == 1

    class BadReal(PaintModule):
        def objective(self, batch):
            outcome = super().objective(batch)
            bad = [
                dataclasses.replace(each, real=dataclasses.replace(each.real, image=each.real.image * float("nan")))
                for each in outcome.judged
            ]
            return dataclasses.replace(outcome, judged=tuple(bad))

    module = BadReal()
    before = {name: tensor.clone() for name, tensor in module.adversary.state_dict().items()}
    fit(module, tmp_path, 2)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.adversary.state_dict().items())


def test_gradients_stay_on_their_side():
    adversary = Adversary(AdversaryOptions(weight=1.0), SMALL)
    fake = views(seed=1)
    fake.image.requires_grad_()
    adversary.discriminator_loss(fake, views(seed=2), step=1).backward()
    assert fake.image.grad is None
    assert all(p.grad is not None for name, p in adversary.named_parameters() if "mapping" not in name)


@pytest.mark.parametrize("weight", [0.0, 0.1])
def test_window_and_discriminator_exclude_each_other(weight):
    from recon.module import ReconModule
    from recon.objective import ReconWeights

    options = {"scale": "debug", "window": 8, "weights": ReconWeights(perceptual=0.0)}
    if weight:
        with pytest.raises(ValueError, match="window"):
            ReconModule(**options, adversary=AdversaryOptions(weight=weight))
    else:
        assert ReconModule(**options, adversary=AdversaryOptions(weight=weight)).adversary is None
