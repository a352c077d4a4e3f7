"""Sound as people have it: from the file to motion it is heard rightly, or refused by code; never a crash."""

import numpy as np
import pytest
import soundfile
import torch
from audio2motion import Audio2Motion, Audio2MotionConfig, motion_from_audio
from core.errors import PortraitError
from core.media.audio import read_audio

RATE = 16_000


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    network = Audio2Motion(Audio2MotionConfig.preset("debug")).eval()
    for parameter in network.flow.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network


def voice(rate=RATE, seconds=1.6):
    """A buzz of 120 Hz that comes and goes four times a second."""
    t = np.arange(int(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * 120 * k * t) / k for k in range(1, 20))
    return (0.2 * buzz * np.clip(np.sin(2 * np.pi * 2 * t), 0, 1)).astype(np.float32)


def heard(net, path):
    exp = motion_from_audio(net, read_audio(path), temperature=0.0)
    assert torch.isfinite(exp).all()
    return exp


def alike(made, plain):
    return float(torch.corrcoef(torch.stack([made[: len(plain)].flatten(), plain[: len(made)].flatten()]))[0, 1])


@pytest.mark.parametrize(
    ("name", "rate", "options", "least"),
    [("u8.wav", 11_025, {"subtype": "PCM_U8"}, 0.9), ("alaw.wav", 8000, {"subtype": "ALAW"}, 0.9),
     ("double.wav", 48_000, {"subtype": "DOUBLE"}, 0.98), ("flac.flac", 44_100, {}, 0.98),
     ("vorbis.ogg", 24_000, {}, 0.95), ("adpcm.wav", 22_050, {"subtype": "IMA_ADPCM"}, 0.9)],
)  # fmt: skip
def test_kinds_of_file(net, tmp_path, name, rate, options, least):
    """The same voice in another coding and at another rate moves the face alike."""
    soundfile.write(tmp_path / name, voice(rate), rate, **options)
    plain = motion_from_audio(net, voice(), temperature=0.0)
    assert alike(heard(net, tmp_path / name), plain) > least


def surround(sound):
    music = 0.1 * np.sin(np.arange(len(sound)) * 0.9)
    return np.stack([music, -music, sound, 0.3 * np.sin(np.arange(len(sound)) * 0.02), music, music], 1)


def holes(sound):
    broken = sound.copy()
    broken[2000:2100], broken[9000] = np.nan, np.inf
    return broken


@pytest.mark.parametrize(
    ("damage", "least"),
    [(lambda s: np.stack([s, -s], 1), 0.99), (surround, 0.99), (holes, 0.95), (lambda s: np.clip(20 * s, -1, 1), 0.8),
     (lambda s: 0.003 * s, 0.98), (lambda s: s + 0.4, 0.98), (lambda s: 30 * s, 0.98)],
    ids=["anti-phase", "5.1", "not finite", "clipped", "quiet", "offset", "over full scale"],
)  # fmt: skip
def test_damage(net, tmp_path, damage, least):
    samples = damage(voice())
    if samples.ndim == 2 and samples.shape[1] == 6:
        import av

        with av.open(str(tmp_path / "a.wav"), "w") as out:
            stream = out.add_stream("pcm_f32le", rate=RATE, layout="5.1")
            frame = av.AudioFrame.from_ndarray(samples.astype(np.float32).reshape(1, -1), format="flt", layout="5.1")
            frame.sample_rate = RATE
            out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    else:
        soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    assert alike(heard(net, tmp_path / "a.wav"), motion_from_audio(net, voice(), temperature=0.0)) > least


@pytest.mark.parametrize(("samples", "code"), [(0, "E_AUDIO_EMPTY"), (160, "E_AUDIO_SHORT")])
def test_too_little_is_refused(tmp_path, samples, code):
    soundfile.write(tmp_path / "a.wav", np.zeros(samples, np.float32), RATE)
    with pytest.raises(PortraitError, match=code):
        read_audio(tmp_path / "a.wav")


def test_several_channels_at_once_are_a_mistake(net):
    with pytest.raises(PortraitError, match=r"E_AUDIO: sound of shape \(2, 800\)"):
        motion_from_audio(net, voice()[:1600].reshape(2, 800))
