"""Live speech: what comes out in pieces is what comes out at once."""

import numpy as np
import pytest
import torch
from audio2motion import Audio2Motion, Audio2MotionConfig, LogMelEncoder, StreamingAudio2Motion, motion_from_audio
from audio2motion.streaming import context_of
from core.errors import PortraitError


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    network = Audio2Motion(Audio2MotionConfig.preset("debug")).eval()
    for parameter in network.flow.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network


@pytest.fixture(scope="module")
def speech():
    """Bursts of noise of several lengths and levels with pauses of 0.3 to 1.5 s between them; 7.01 s, not a whole number of frames."""
    rng = np.random.default_rng(0)
    levels, counts = (1, 0, 0.5, 0, 2, 0, 1), (16000, 5000, 9000, 24000, 20000, 18000, 20160)
    parts = [0.1 * level * rng.normal(size=count) for level, count in zip(levels, counts, strict=True)]
    return np.concatenate(parts).astype(np.float32)


def streamed(net, speech, block, **options):
    stream = StreamingAudio2Motion(net, LogMelEncoder(40), **options)
    blocks = [speech[start : start + block] for start in range(0, len(speech), block)]
    return torch.cat(list(stream.stream(blocks)))


def test_with_all_context_it_equals_the_whole(net, speech):
    voice = LogMelEncoder(40).measure(torch.from_numpy(speech))
    whole = motion_from_audio(net, speech, temperature=0.0, voice=voice)
    live = streamed(net, speech, 3000, voice=voice, temperature=0.0, chunk=8, lookahead=context_of(net))
    assert live.shape == whole.shape == (-(-len(speech) // 640), 64)
    assert float((whole.abs().amax(1) == 0).float().mean()) > 0.1  # it rests, too
    torch.testing.assert_close(live, whole, atol=2e-5, rtol=0)


def test_a_voice_measured_before_is_the_voice_measured_within(net, speech):
    whole = speech[: 2560 * (len(speech) // 2560)]  # so that no padding takes part in the measuring
    voice = LogMelEncoder(40).measure(torch.from_numpy(whole))
    torch.testing.assert_close(motion_from_audio(net, whole, voice=voice), motion_from_audio(net, whole), atol=1e-5, rtol=0)


def test_the_blocks_do_not_matter(net, speech):
    short = speech[:48_000]
    one, other = streamed(net, short, 480), streamed(net, short, 48_000)
    assert torch.equal(one, other)
    assert not torch.equal(one, streamed(net, short, 480, seed=1))


def test_latency_is_what_it_says(net, speech):
    stream = StreamingAudio2Motion(net, LogMelEncoder(40), chunk=8, lookahead=16)
    assert stream.latency == pytest.approx(24 / 25)
    given = 0
    for count in range(100):
        given += len(stream.push(speech[640 * count : 640 * (count + 1)]))
        assert count + 1 - given <= stream.latency * 25  # frames heard, not yet answered
    assert given >= 100 - 24


def test_memory_does_not_grow(net, speech):
    stream = StreamingAudio2Motion(net, LogMelEncoder(40), chunk=100)
    held = []
    for _ in range(12):
        stream.push(speech[:80_000])
        held.append((len(stream._sound), len(stream._noise), len(stream._recent)))
    assert held[-1] == held[-5]  # 125 frames a time, four times as many are a whole number of chunks
    assert max(length for length, _, _ in held) <= (context_of(net) + 100 + 12) * 640
    assert held[-1][2] == 480_000


def test_blinks(net, speech):
    quiet = np.zeros(64_000, np.float32)
    stream = StreamingAudio2Motion(net, LogMelEncoder(40), temperature=0.0)
    first = stream.push(quiet[:32_000])
    frame = stream.blink()
    rest = torch.cat([stream.push(quiet[32_000:]), stream.flush()])
    assert float(first.abs().max()) == 0.0
    assert frame >= len(first) + 4
    assert float(rest[frame - len(first)].abs().max()) > 0
    assert len(first) + len(rest) == 100


def test_damage_and_misuse(net, speech):
    broken = speech[:16_000].copy()
    broken[100:400], broken[500] = np.nan, np.inf
    assert torch.isfinite(streamed(net, broken, 700)).all()
    stream = StreamingAudio2Motion(net, LogMelEncoder(40))
    assert stream.push(np.zeros(0, np.float32)).shape == (0, 64)
    assert stream.push(speech[:100]).shape == (0, 64)
    assert stream.flush().shape == (1, 64)
    with pytest.raises(PortraitError, match="E_AUDIO"):
        stream.push(speech)
    with pytest.raises(PortraitError, match="E_AUDIO"):
        StreamingAudio2Motion(net, LogMelEncoder(40)).push(speech[:100].reshape(2, 50))
    with pytest.raises(PortraitError, match="E_FEATURES"):
        StreamingAudio2Motion(net, LogMelEncoder(80))
    with pytest.raises(ValueError, match="multiples of 4"):
        StreamingAudio2Motion(net, LogMelEncoder(40), lookahead=10)


def test_the_reach_is_not_too_small(net):
    """What lies beyond it moves nothing: gradients by torch."""
    from audio2motion import Controls

    frames, centre = 96, 48
    for how in ("nearest", "mean", "lowpass"):
        torch.manual_seed(0)
        other = Audio2Motion(Audio2MotionConfig(**{**net.config.__dict__, "downsample": how})).eval()
        for parameter in other.flow.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        audio = torch.randn(1, 2 * frames, 40, requires_grad=True)
        given = Controls(audio, torch.ones(1, 2 * frames, dtype=torch.long), torch.zeros(1, frames, dtype=torch.long),
                         torch.ones(1), torch.ones(1, frames))  # fmt: skip
        other.decode_prior(given, torch.zeros(1, 4, frames // 4))[0, centre].sum().backward()
        moved = audio.grad[0].abs().sum(1).nonzero()[:, 0] // 2
        assert centre - other.reach <= int(moved.min()) < centre - 4
        assert centre + 4 < int(moved.max()) <= centre + other.reach
