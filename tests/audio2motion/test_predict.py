import numpy as np
import pytest
import torch
from audio2motion import Audio2Motion, Audio2MotionConfig, LogMelEncoder, motion_from_audio, predict
from core.errors import PortraitError


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    network = Audio2Motion(Audio2MotionConfig.preset("debug")).eval()
    for parameter in network.flow.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network


def speech(seconds, seed=0):
    """Bursts of noise: half a second on, half a second off."""
    rng = np.random.default_rng(seed)
    count = int(seconds * 16_000)
    on = (np.arange(count) // 8000) % 2 == 0
    return (rng.normal(size=count) * 0.1 * on).astype(np.float32)


@pytest.mark.parametrize("samples", [0, 1, 160, 640, 641, 20_000])
def test_any_length(net, samples):
    exp = motion_from_audio(net, speech(2.0)[:samples])
    assert exp.shape == (-(-samples // 640), 64)
    assert torch.isfinite(exp).all()


def test_chunks_equal_the_whole(net, monkeypatch):
    wave = speech(40.0)
    whole = motion_from_audio(net, wave)
    monkeypatch.setattr(predict, "CHUNK", 200)
    assert torch.allclose(motion_from_audio(net, wave), whole, atol=1e-5)


def test_loudness_and_seed(net):
    wave = speech(4.0)
    plain = motion_from_audio(net, wave, seed=3)
    assert torch.allclose(motion_from_audio(net, wave * 0.05, seed=3), plain, atol=1e-3)
    assert not torch.equal(motion_from_audio(net, wave, seed=4), plain)


def test_silence_is_still(net):
    assert float(motion_from_audio(net, np.zeros(32_000, np.float32)).abs().max()) == 0.0
    exp = motion_from_audio(net, np.concatenate([speech(0.5), np.zeros(32_000, np.float32)]))
    assert float(exp[:10].abs().max()) > 0
    assert float(exp[25:].abs().max()) == 0.0


def test_blinks_survive_silence(net):
    blink = np.zeros(50, np.int64)
    blink[25] = 1
    assert float(motion_from_audio(net, np.zeros(32_000, np.float32), blink=blink)[25].abs().max()) > 0
    assert motion_from_audio(net, speech(1.0), blink=blink).shape == (25, 64)


def test_damaged_sound(net):
    wave = speech(1.0)
    wave[10:500] = np.nan
    wave[600] = np.inf
    assert torch.isfinite(motion_from_audio(net, wave)).all()


def test_wrong_features_are_refused(net):
    with pytest.raises(PortraitError, match="E_FEATURES"):
        motion_from_audio(net, speech(1.0), encoder=LogMelEncoder(80))
