import logging
import wave

import numpy as np
import pytest
from core.errors import PortraitError
from core.media.audio import read_audio, resample, write_audio


def tone(rate, seconds=1.0, hertz=440.0):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def write(path, samples, rate, **options):
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(path, samples, rate, **options)


def code(path, **options):
    with pytest.raises(PortraitError) as caught:
        read_audio(path, **options)
    return caught.value.code


@pytest.mark.parametrize(
    ("name", "rate", "options"),
    [
        ("pcm16.wav", 16000, {"subtype": "PCM_16"}),
        ("u8.wav", 11025, {"subtype": "PCM_U8"}),
        ("float.wav", 48000, {"subtype": "FLOAT"}),
        ("alaw.wav", 8000, {"subtype": "ALAW"}),
        ("a.flac", 44100, {}),
        ("a.ogg", 22050, {}),
        ("a.mp3", 44100, {}),
    ],
)
def test_formats_and_rates_give_the_same_tone(tmp_path, name, rate, options):
    write(tmp_path / name, tone(rate), rate, **options)
    samples = read_audio(tmp_path / name)
    assert samples.dtype == np.float32
    assert abs(len(samples) - 16000) < 300
    spectrum = np.abs(np.fft.rfft(samples[2000:14000] * np.hanning(12000)))
    assert abs(np.argmax(spectrum) * 16000 / 12000 - 440) < 2
    assert abs(np.sqrt(2) * samples[2000:14000].std() - 0.5) < 0.02


def test_stereo_is_averaged_without_clipping(tmp_path):
    write(tmp_path / "a.wav", np.stack([tone(16000), 0.5 * tone(16000)], 1), 16000, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav"), 0.75 * tone(16000), atol=1e-6)


def test_over_full_scale_and_broken_samples(tmp_path, caplog):
    loud = 8 * tone(16000)
    loud[100:110] = np.nan
    loud[200] = np.inf
    write(tmp_path / "a.wav", loud, 16000, subtype="FLOAT")
    with caplog.at_level(logging.WARNING):
        samples = read_audio(tmp_path / "a.wav")
    assert "full scale" in caplog.text
    assert "not finite" in caplog.text
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() == pytest.approx(1)
    np.testing.assert_allclose(samples[300:], tone(16000)[300:] * 2, atol=1e-3)


def test_resample_follows_the_formula():
    np.testing.assert_allclose(resample(tone(48000), 48000, 16000)[100:-100], tone(16000)[100:-100], atol=1e-3)
    assert len(resample(tone(44100), 44100, 16000)) == 16000


def test_bad_files_are_named(tmp_path):
    (tmp_path / "zero.wav").touch()
    (tmp_path / "text.wav").write_text("not sound" * 50)
    write_audio(tmp_path / "none.wav", np.zeros(0, np.float32), 16000)
    write_audio(tmp_path / "short.wav", tone(16000, 0.01), 16000)
    write_audio(tmp_path / "long.wav", tone(16000, 3), 16000)
    assert code(tmp_path / "zero.wav") == "E_AUDIO_EMPTY"
    assert code(tmp_path / "text.wav") == "E_AUDIO_READ"
    assert code(tmp_path / "none.wav") == "E_AUDIO_EMPTY"
    assert code(tmp_path / "short.wav") == "E_AUDIO_SHORT"
    assert code(tmp_path / "long.wav", max_seconds=2) == "E_AUDIO_LONG"
    assert code(tmp_path / "absent.wav") == "E_NOT_FOUND"


def test_silence_is_sound(tmp_path):
    write_audio(tmp_path / "a.wav", np.zeros(8000, np.float32), 8000)
    assert not read_audio(tmp_path / "a.wav").any()


def test_written_wav_is_what_the_standard_library_reads(tmp_path):
    write_audio(tmp_path / "a.wav", np.array([0, 0.5, -1, 2], np.float32), 8000)
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.getframerate() == 8000
        assert np.frombuffer(file.readframes(4), "<i2").tolist() == [0, 16384, -32767, 32767]
