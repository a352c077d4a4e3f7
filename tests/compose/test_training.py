"""Stage 3 as a LightningModule on a batch of noise, and the finished network at work: what moves and what rests."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from animate.motion import draw_pnccs
from compose import HTBSR, HTBSRConfig
from compose.module import ComposeModule
from compose.objective import ComposeWeights
from core.face.torso_points import torso_keypoints
from core.people.motion import turn_about_neck
from core.train.schedule import Schedule
from pytorch_lightning import Trainer
from torch.utils.data import DataLoader

WEIGHTS = ComposeWeights(perceptual=0.0, lips_perceptual=0.0)


def module(**options):
    torch.manual_seed(0)
    return ComposeModule("debug", weights=WEIGHTS, schedule=Schedule(lr=1e-3, warmup=1), **options)


def fit(made, batch, steps, precision="32-true"):
    trainer = Trainer(
        accelerator="cpu", precision=precision, max_steps=steps, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, limit_val_batches=0,
    )  # fmt: skip
    trainer.fit(made, DataLoader([batch] * 8, batch_size=None))
    return trainer


def held(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(before, after):
    return all(torch.equal(before[name], after[name]) for name in before)


def test_frozen_means_frozen(noise_pairs, monkeypatch):
    made = module()
    avatar, htbsr, graphs = held(made.avatar), held(made.htbsr), []
    original = made._head

    def watched(*args):
        head, view = original(*args)
        graphs.append(head.feature.requires_grad)
        return head, view

    monkeypatch.setattr(made, "_head", watched)
    fit(made, noise_pairs, 2)
    assert same(avatar, made.avatar.state_dict())  # the adapter's batch normalisation included
    assert not same(htbsr, made.htbsr.state_dict())
    assert graphs == [False, False]
    assert all(p.grad is None and not p.requires_grad for p in made.avatar.parameters())
    assert not any(layer.training for layer in made.avatar.modules())


def test_learns_in_mixed_precision(noise_pairs, monkeypatch):
    """The places of the look back and of the moved torso are those of full precision; a step of half a pixel would show."""
    made, places = module(), []
    exact = made._head(noise_pairs, None)[1]
    original = made._compose

    def watched(*args):
        head, composite = original(*args)
        places.append((made._head(noise_pairs, None)[1], composite.deformation))
        return head, composite

    monkeypatch.setattr(made, "_compose", watched)
    before = held(made.htbsr)
    trainer = fit(made, noise_pairs, 2, "bf16-mixed")
    assert trainer.callback_metrics["train/skipped"] == 0
    assert not same(before, made.htbsr.state_dict())
    for view, deformation in places:
        assert view.place.dtype == view.mouth.dtype == deformation.dtype == torch.float32
        assert (view.place - exact.place).abs().median() < 1e-3


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_inference_does_not_drift(version):
    """Spectral norms iterate and batch norms count only while training: frame 12 is frame 1 to the bit."""
    torch.manual_seed(0)
    network = HTBSR(replace(HTBSRConfig.preset("debug"), head_skip=False, torso=version, fuse=version))
    generator = torch.Generator().manual_seed(1)

    def noise(*shape):
        return torch.rand(*shape, generator=generator) * 2 - 1

    segmap = torch.eye(6)[torch.full((1, 64, 64), 4)].permute(0, 3, 1, 2)
    still = (noise(1, 3, 64, 64), segmap, noise(1, 3, 64, 64))
    drive = (noise(1, 8, 16, 16), noise(1, 1, 16, 16).abs(), noise(1, 68, 3) / 2, noise(1, 68, 3) / 2)
    network.train()
    before = held(network)
    with torch.no_grad():  # in training mode it does drift: the test can fail
        network(drive[0], drive[1], network.prepare(*still), *drive[2:])
    assert not same(before, network.state_dict())
    network.eval().fold()
    before = held(network)
    with torch.inference_mode():
        images = [network(drive[0], drive[1], network.prepare(*still), *drive[2:]).image for _ in range(12)]
    assert same(before, network.state_dict())
    assert all(torch.equal(image, images[0]) for image in images)


def test_learned_keypoints_learn_and_steer(noise_pairs):
    made = module(keypoint_source="learned")
    before = held(made.htbsr.detector)
    trainer = fit(made, noise_pairs, 1)
    assert float(trainer.callback_metrics["train/equivariance"]) > 0
    assert not same(before, made.htbsr.detector.state_dict())
    pnccs = draw_pnccs(made.face, noise_pairs, 64)
    assert pnccs.src.shape[0] == 2
    assert set(made.networks()) == {"htbsr"}
    assert made.htbsr.config.keypoint_source == "learned"


@pytest.mark.parametrize("scale", ["debug", "tiny"])
@pytest.mark.parametrize("fuse", ["v1", "v2", "concat"])
def test_every_fusion_is_an_option_of_every_preset(scale, fuse):
    config, preset = ComposeModule(scale, weights=WEIGHTS, fuse=fuse).htbsr.config, HTBSRConfig.preset(scale)
    assert config.fuse == fuse
    assert (preset.final_composite, preset.head_skip) == (True, True)
    assert config.final_composite == config.head_skip == (fuse != "concat")


@pytest.mark.parametrize("follows", ["neck", "head"])
def test_the_torso_follows_what_its_preset_says(noise_pairs, follows, monkeypatch):
    """Key points of a target whose head has only turned about the neck, and of one that lags behind by a known shift."""
    made = module()
    monkeypatch.setattr(made.htbsr, "config", replace(made.htbsr.config, follows=follows))
    still = noise_pairs.source.coeffs
    turned = replace(still, euler=still.euler + torch.tensor([0.0, 0.3, 0.0]))
    trans = [turn_about_neck(still[i : i + 1], turned.euler[i].numpy()) for i in range(len(still))]
    target = replace(noise_pairs.target, coeffs=replace(turned, trans=torch.from_numpy(np.stack(trans))))
    points = torso_keypoints(made.face, target.coeffs)
    pair = replace(noise_pairs, target=replace(target, keypoints=points, torso_keypoints=points + 0.01))
    expected = points if follows == "head" else torso_keypoints(made.face, still)
    torch.testing.assert_close(made._driving(pair), expected + 0.01, atol=1e-5, rtol=0)
