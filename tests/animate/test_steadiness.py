"""The terms that keep the motion planes steady, on an adapter whose answers are known."""

from dataclasses import replace

import pytest
import torch
from animate import MotionAdapter, MotionAdapterConfig
from animate.motion import PNCCs, draw_pnccs
from animate.steadiness import Steadiness, SteadinessOptions, without_dropout
from core.face.expression import eye_opening
from core.face.model import FaceModel
from core.face.pncc import render_pncc
from core.nn.segformer import DropPath
from torch import nn

FACE = FaceModel.embedded()
SIDE = 64


class Witness(MotionAdapter):
    """An adapter that remembers what it was asked; its planes are its driving PNCCs, shrunk."""

    def __init__(self):
        super().__init__(MotionAdapterConfig.preset("debug"))
        self.asked = []

    def forward(self, pncc_src, pncc_drv, pncc_cano=None, rest=None):
        self.asked.append((pncc_src, pncc_drv, pncc_cano))
        return nn.functional.avg_pool2d(pncc_drv, 4)[:, None].expand(-1, 3, -1, -1, -1)


def terms(batch, adapter=None, seed=0, step=0, **options):
    steadiness = Steadiness(SteadinessOptions(**{"source_share": 0.0} | options))
    pnccs = draw_pnccs(FACE, batch, SIDE)
    generator = torch.Generator().manual_seed(seed)
    return steadiness.losses(adapter or Witness(), FACE, batch, pnccs, generator, lambda x: x), steadiness


def planes(batch, exp):
    return nn.functional.avg_pool2d(render_pncc(FACE, batch.source.coeffs.id, exp, SIDE), 4)


def test_laplacian_is_equation_4(noise_pairs):
    target = noise_pairs.target
    before, now, after = (planes(noise_pairs, exp) for exp in (target.exp_before, target.coeffs.exp, target.exp_after))
    bend = now - (before + after) / 2
    found, _ = terms(noise_pairs, temporal_weight=0.5, every=4)
    assert list(found) == ["temporal"]
    torch.testing.assert_close(found["temporal"], 4 * 0.5 * bend.square().mean())
    found, _ = terms(noise_pairs, power=1, every=1)
    torch.testing.assert_close(found["temporal"], bend.abs().mean())


def test_source_frame_has_its_share(noise_pairs):
    source = noise_pairs.source
    before, now, after = (planes(noise_pairs, exp) for exp in (source.exp_before, source.coeffs.exp, source.exp_after))
    found, _ = terms(noise_pairs, source_share=1.0, every=1)
    torch.testing.assert_close(found["temporal"], (now - (before + after) / 2).square().mean())


def test_perturbation_compares_a_driver_with_itself_and_noise(noise_pairs):
    adapter = Witness()
    found, _ = terms(noise_pairs, adapter, temporal="perturb", every=1)
    src, drv, _ = adapter.asked[0]
    plain, noisy = drv.chunk(2)
    torch.testing.assert_close(plain, render_pncc(FACE, noise_pairs.source.coeffs.id, noise_pairs.target.coeffs.exp, SIDE))
    assert 0 < (plain - noisy).abs().mean() < 0.05
    torch.testing.assert_close(*src.chunk(2))
    expected = (nn.functional.avg_pool2d(plain, 4) - nn.functional.avg_pool2d(noisy, 4)).abs().mean()
    torch.testing.assert_close(found["temporal"], expected)
    assert terms(noise_pairs, temporal="perturb", noise=0.0, every=1)[0]["temporal"] == 0


def test_blink_is_the_middle_of_less_and_more(noise_pairs, monkeypatch):
    seen = []

    def draw(face, identity, codes, size):
        seen.append(eye_opening(face, identity, codes))
        return render_pncc(face, identity, codes, size)

    monkeypatch.setattr("animate.steadiness.render_pncc", draw)
    found, _ = terms(noise_pairs, temporal="off", blink_weight=1.0, every=1)
    wide, half, nearly = seen[0].chunk(3)
    open_eyes = eye_opening(FACE, noise_pairs.source.coeffs.id, noise_pairs.target.coeffs.exp)
    torch.testing.assert_close(half, (wide + nearly) / 2, atol=1e-4, rtol=0)
    for opening, low, high in ((wide, 0.5, 1.0), (half, 0.25, 0.75), (nearly, 0.0, 0.5)):
        share = opening / open_eyes
        assert ((share > low - 0.03) & (share < high + 0.03)).all()
    assert list(found) == ["blink"]
    assert found["blink"] > 0


def test_a_straight_adapter_pays_nothing_for_blinks(noise_pairs, monkeypatch):
    """With planes that are linear in the code, and so in how far the eyes are closed."""
    monkeypatch.setattr("animate.steadiness.render_pncc", lambda face, identity, codes, size: codes[:, :48].reshape(-1, 3, 4, 4))
    found, _ = terms(noise_pairs, temporal="off", blink_weight=1.0, every=1)
    assert found["blink"] < 1e-6


def test_off_is_off_and_intervals_hold():
    off = Steadiness(SteadinessOptions(temporal="off", temporal_target=0.5))
    assert not off.due(0)
    assert not off.state_dict()
    tuned = Steadiness(SteadinessOptions(temporal_target=0.5, blink_target=0.15, every=4))
    assert [tuned.due(step) for step in range(6)] == [True, False, False, False, True, False]
    assert sorted(tuned.state_dict()) == ["tuned.blink.value", "tuned.temporal.value"]


def test_tuned_weight_is_used_and_then_moved_by_the_mean_of_all_ranks(noise_pairs):
    steadiness = Steadiness(SteadinessOptions(temporal_target=0.5, source_share=0.0, every=1))
    plain = terms(noise_pairs, every=1)[0]["temporal"]
    pnccs, everyone = draw_pnccs(FACE, noise_pairs, SIDE), lambda x: x * 0 + 50.0
    found = [steadiness.losses(Witness(), FACE, noise_pairs, pnccs, torch.Generator(), everyone)["temporal"] for _ in range(3)]
    expected = [0.001, 0.021, 0.041]  # one hundredth per power of ten above the target
    torch.testing.assert_close(torch.stack(found), plain * torch.tensor(expected))
    assert steadiness.weights()["temporal"].item() == pytest.approx(0.061)


def test_dropout_rests_and_a_relative_adapter_keeps_its_zero(noise_pairs):
    torch.manual_seed(0)
    config = replace(MotionAdapterConfig.preset("debug"), relative=True, dropout=0.5, drop_path=0.5, start_still=False)
    adapter = MotionAdapter(config).train()
    still = replace(noise_pairs, target=replace(noise_pairs.target, exp_before=(e := noise_pairs.target.coeffs.exp), exp_after=e))
    found, _ = terms(still, adapter, every=1)
    assert found["temporal"] < 1e-9  # nothing moves, nothing is dropped, so nothing bends
    assert all(layer.training for layer in adapter.modules())
    found, _ = terms(noise_pairs, adapter, every=1)
    found["temporal"].backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in adapter.parameters())


def test_without_dropout_touches_nothing_else():
    network = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(2), DropPath(0.5), nn.Dropout2d(0.5)).train()
    network[3].eval()
    with without_dropout(network):
        assert [layer.training for layer in network] == [False, True, False, False]
    assert [layer.training for layer in network] == [True, True, True, False]


def test_six_channels_need_no_neutral_face(noise_pairs):
    adapter = MotionAdapter(replace(MotionAdapterConfig.preset("debug"), pncc_inputs="src+drv"))
    found, _ = terms(noise_pairs, adapter, every=1)
    assert torch.isfinite(found["temporal"])
    assert isinstance(draw_pnccs(FACE, noise_pairs, SIDE), PNCCs)
