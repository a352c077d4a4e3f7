"""Stage 1 as a LightningModule on a batch of noise: which views, which planes, which gradients."""

import pytest
import torch
from core.camera import FIT_FOCAL, Camera
from core.train.schedule import Schedule
from pytorch_lightning import Trainer
from recon.module import ReconModule
from recon.objective import ReconWeights
from recon.views import HeadView, ViewBatch
from torch.utils.data import DataLoader


def module(**options):
    torch.manual_seed(0)
    return ReconModule("debug", weights=ReconWeights(perceptual=0.0), schedule=Schedule(lr=1e-3, warmup=1), decoder_start=0, **options)


@pytest.fixture(scope="module")
def batch():
    generator = torch.Generator().manual_seed(0)

    def view():
        euler = 0.1 * torch.randn(2, 3, generator=generator)
        mask = torch.zeros(2, 1, 64, 64)
        mask[..., 12:50, 16:48] = 1
        head = torch.rand(2, 3, 64, 64, generator=generator) * 2 * mask - 1
        return HeadView(head, mask, Camera.from_pose(euler, torch.zeros(2, 3), FIT_FOCAL))

    return ViewBatch(view(), [view()], torch.arange(2))


def fit(made, batch, steps):
    trainer = Trainer(
        accelerator="cpu", max_steps=steps, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, limit_val_batches=0,
    )  # fmt: skip
    trainer.fit(made, DataLoader([batch] * 8, batch_size=None))


def test_source_view_is_rare_then_common_then_always_there():
    made = module()
    assert [step for step in range(12) if made.sees_source(step)] == [0, 5, 10]
    assert [step for step in range(29995, 30006) if made.sees_source(step)] == [29995, 30000, 30002, 30004]
    assert all(made.sees_source(step) for step in range(35000, 35010))
    never = module(source_view_every=0)
    assert not any(never.sees_source(step) for step in (0, 30000, 40000))


def test_planes_are_seen_at_random_sizes_and_views_have_their_shares(batch, monkeypatch):
    made, sizes, shares = module(source_view_every=2), [], []
    forward, objective = made.renderer.forward, made.objective

    def watched(planes, *args, **kwargs):
        sizes.append(planes.shape[-1])
        return forward(planes, *args, **kwargs)

    def judged(batch):
        outcome = objective(batch)
        shares.append([each.share for each in outcome.judged])
        return outcome

    monkeypatch.setattr(made.renderer, "forward", watched)
    monkeypatch.setattr(made, "objective", judged)
    fit(made, batch, 4)
    side = made.i2p.config.plane_size
    assert all(side // 2 <= size <= side for size in sizes)
    assert len(set(sizes)) > 1
    assert shares == [[0.25, 1.0], [0.25], [0.25, 1.0], [0.25]]
    sizes.clear()
    made.plane_resize = 1.0
    fit(made, batch, 2)
    assert set(sizes) == {side}


def test_superresolution_waits_without_gradients(batch):
    made = module(superres_start=2)
    before = {name: tensor.clone() for name, tensor in made.renderer.superres.state_dict().items()}
    fit(made, batch, 2)
    assert all(torch.equal(tensor, before[name]) for name, tensor in made.renderer.superres.state_dict().items())
    assert all(p.grad is None for p in made.renderer.superres.parameters())
    fit(made, batch, 3)
    assert not all(torch.equal(tensor, before[name]) for name, tensor in made.renderer.superres.state_dict().items())
