"""What training on squared errors takes from the motion is given back, and nothing else changes."""

from dataclasses import replace

import pytest
import torch
from audio2motion import Audio2Motion, Audio2MotionConfig
from audio2motion.corpus import CorpusInfo, MotionClip, write_corpus
from audio2motion.data import collate_clips
from audio2motion.global_variance import FLOOR, main, restore_variance, widening
from core.errors import PortraitError


def clip(seed, frames=64):
    rng = torch.Generator().manual_seed(seed)
    exp = torch.randn(frames, 64, generator=rng) @ torch.diag(torch.linspace(0.2, 2.0, 64)) + 0.5
    return MotionClip(torch.randn(2 * frames, 40, generator=rng), torch.randint(1, 256, (2 * frames,), generator=rng), exp,
                      torch.zeros(frames, dtype=torch.long), 0.3)  # fmt: skip


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Audio2Motion(Audio2MotionConfig.preset("debug")).eval()


@pytest.fixture
def batches(net):
    """Speech whose true motion is what the network makes of it, three times as wide and elsewhere."""
    plain = [collate_clips([clip(16 * part + row) for row in range(16)]) for part in range(3)]
    return [replace(batch, exp=3 * net.sample(batch.controls, 0.0).detach() + 0.5) for batch in plain]


def motion(net, batches):
    return torch.cat([net.sample(batch.controls, 0.0)[batch.controls.mask > 0] for batch in batches]).detach()


def test_lost_width_is_given_back(net, batches):
    true = torch.cat([batch.exp[batch.controls.mask > 0] for batch in batches])
    before = motion(net, batches)
    restore_variance(net, batches, 0.0)
    torch.testing.assert_close(motion(net, batches), before, atol=1e-5, rtol=0)
    restore_variance(net, batches, 1.0)
    made = motion(net, batches)
    torch.testing.assert_close(made.mean(0), true.mean(0), atol=1e-4, rtol=0)
    strong = true.std(0) > true.std(0).median()
    assert float(before.std(0)[strong].mean() / true.std(0)[strong].mean()) == pytest.approx(1 / 3, rel=1e-3)
    assert float(made.std(0)[strong].mean() / true.std(0)[strong].mean()) == pytest.approx(1.0, abs=0.15)


def test_the_map_takes_one_covariance_to_the_other():
    rng = torch.Generator().manual_seed(1)
    made = torch.randn(4000, 6, generator=rng).double() @ torch.randn(6, 6, generator=rng).double()
    true = torch.randn(4000, 6, generator=rng).double() @ (2 * torch.randn(6, 6, generator=rng)).double() + 3
    change, shift = widening(made, true, 1.0)
    floor = FLOOR * torch.cov(true.T).diagonal().mean() * torch.eye(6).double()
    torch.testing.assert_close(change @ (torch.cov(made.T) + floor) @ change.T, torch.cov(true.T) + floor)
    torch.testing.assert_close(made.mean(0) @ change.T + shift, true.mean(0))
    assert torch.allclose(change, change.T)
    assert float(torch.linalg.eigvalsh(change).min()) > 0


def test_command(net, tmp_path):
    write_corpus(tmp_path / "corpus", CorpusInfo("logmel", 40, "abc", "test"), [(f"a/{n}", "train", clip(n)) for n in range(24)])
    net.save_pretrained(tmp_path / "in")
    main([str(tmp_path / "in"), str(tmp_path / "corpus"), str(tmp_path / "out"), "--amount", "0.5"])
    wider = Audio2Motion.from_pretrained(tmp_path / "out").eval()
    batch = [collate_clips([clip(n) for n in range(24)])]
    assert float(motion(wider, batch).std(0).mean()) > 1.2 * float(motion(net, batch).std(0).mean())
    assert wider.config == net.config
    changed = {name for name, value in wider.state_dict().items() if not torch.equal(value, net.state_dict()[name])}
    assert changed == {"decoder_out.weight", "decoder_out.bias"}


def test_too_little_to_measure(net):
    with pytest.raises(PortraitError, match="E_DATA"):
        restore_variance(net, [collate_clips([clip(0, 8)])])
