from dataclasses import replace

import librosa
import numpy as np
import pytest
import torch
from audio2motion.features import Voice, frame_levels, normalise_loudness, speech_frames
from audio2motion.hubert import HubertEncoder
from audio2motion.logmel import LogMelEncoder, mel_bank
from audio2motion.pitch import coarse_pitch, track_pitch
from core.errors import PortraitError


def voice(seconds=2.0, f0=120.0, rate=16_000):
    """A buzz with vibrato and slow loudness, as numpy float32."""
    t = np.arange(int(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(f0 * (1 + 0.05 * np.sin(2 * np.pi * 1.5 * t))) / rate
    return (sum(np.sin(k * phase) / k for k in range(1, 12)) * (0.3 + 0.2 * np.sin(2 * np.pi * 3 * t)) * 0.3).astype(np.float32)


def test_mel_bank_is_librosas_up_to_scale():
    ours = mel_bank(40, 512, 80.0, 7600.0).numpy()
    theirs = librosa.filters.mel(sr=16_000, n_fft=512, n_mels=40, fmin=80.0, fmax=7600.0, htk=True, norm=None)
    usable = theirs.sum(1) > 0
    theirs = theirs[usable] / theirs[usable].sum(1, keepdims=True)
    np.testing.assert_allclose(ours[usable], theirs, atol=1e-4)
    np.testing.assert_allclose(ours.sum(1), 1, atol=1e-5)


def test_features_are_librosas_mel_spectrogram():
    wave = torch.from_numpy(voice(2.0, 150.0) + 0.01 * np.random.default_rng(0).normal(size=32_000).astype(np.float32))
    level = replace(Voice.of(wave), colour=torch.zeros(40))
    ours = LogMelEncoder(40)(wave, level).numpy()
    padded = np.pad(level.levelled(wave).numpy(), 96)  # a window of 512 around every hop of 320
    theirs = librosa.feature.melspectrogram(y=padded, sr=16_000, n_fft=512, hop_length=320, center=False, n_mels=40, fmin=80.0, fmax=7600.0,
                                            htk=True, norm=1).T / 512  # fmt: skip
    theirs = np.clip(np.log10(theirs + 1e-6), -3, 3)
    usable = librosa.filters.mel(sr=16_000, n_fft=512, n_mels=40, fmin=80.0, fmax=7600.0, htk=True).sum(1) > 0
    assert usable.sum() >= 37
    assert ours.shape == theirs.shape == (100, 40)
    np.testing.assert_allclose(ours[:, usable], theirs[:, usable], atol=2e-3)
    assert np.ptp(ours) > 2


@pytest.mark.parametrize("samples", [0, 1, 160, 320, 321, 16_000])
def test_row_count(samples):
    wave = torch.from_numpy(np.resize(voice(), samples))
    assert LogMelEncoder(40)(wave).shape == (-(-samples // 320), 40)
    assert track_pitch(wave.numpy()).shape == (-(-samples // 320),)


def test_loudness_and_microphone_colour_drop_out():
    wave = torch.from_numpy(voice() * np.repeat([1.0, 0.0, 1.0, 0.0], 8000)[:32000].astype(np.float32))
    encoder = LogMelEncoder(40)
    plain = encoder(wave)
    assert torch.allclose(encoder(wave * 0.01), plain, atol=1e-2)
    bright = torch.from_numpy(np.append(0, np.diff(wave.numpy())).astype(np.float32))
    loud = plain.mean(1) > -1
    bands = slice(2, 20)  # where a harmonic lies in every band
    assert float((encoder(bright)[loud, bands] - plain[loud, bands]).abs().median()) < 0.15


def test_damaged_sound():
    wave = torch.from_numpy(voice())
    wave[100:200] = float("nan")
    wave[300] = float("inf")
    assert torch.isfinite(LogMelEncoder(40)(wave)).all()
    assert float(normalise_loudness(torch.zeros(16_000)).abs().max()) == 0.0
    assert float(LogMelEncoder(40)(torch.zeros(16_000)).max()) <= -3.0


def test_pitch_agrees_with_pyin():
    wave = voice(2.0, 180.0)
    ours = track_pitch(wave)
    theirs, voiced, _ = librosa.pyin(wave, fmin=80, fmax=750, sr=16_000, frame_length=1024, hop_length=320)
    both = voiced[: len(ours)] & (ours > 0)
    assert both.mean() > 0.8
    assert np.median(np.abs(12 * np.log2(ours[both] / theirs[: len(ours)][both]))) < 0.3  # semitones


def test_noise_and_silence_are_unvoiced():
    noise = np.random.default_rng(0).normal(size=16_000).astype(np.float32)
    assert (track_pitch(noise) > 0).mean() < 0.05
    assert not track_pitch(np.zeros(16_000, np.float32)).any()


def test_coarse_pitch_bins():
    assert coarse_pitch(np.array([0.0, 50.0, 1100.0, 5000.0])).tolist() == [1, 1, 255, 255]
    assert (np.diff(coarse_pitch(np.linspace(60, 1000, 50))) >= 0).all()


def test_hubert_rows_and_overlap(tmp_path):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.HubertConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, conv_dim=(8,) * 7, num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2, do_stable_layer_norm=True, feat_extract_norm="layer",
    )  # fmt: skip
    transformers.HubertModel(config).save_pretrained(tmp_path)
    wave = torch.from_numpy(voice(1.01))
    encoder = HubertEncoder(str(tmp_path))
    assert encoder.width == 16
    assert encoder(wave).shape == (51, 16)
    assert HubertEncoder(str(tmp_path), piece=20, context=5)(wave).shape == (51, 16)
    # Its rows are those of the plain network but for the 40 samples that centre the windows.
    padded = torch.nn.functional.pad((wave - wave.mean()) / (wave.var(correction=0) + 1e-7).sqrt(), (40, 160 + 40))
    direct = transformers.HubertModel.from_pretrained(tmp_path).eval()(padded[None]).last_hidden_state[0]
    assert torch.allclose(encoder(wave), direct, atol=1e-4)


def test_missing_hubert_is_explained(tmp_path):
    with pytest.raises(PortraitError, match="E_HUBERT"):
        HubertEncoder(str(tmp_path / "nothing"))


def test_an_offset_is_not_speech():
    wave = torch.cat([torch.from_numpy(voice(1.0)), torch.zeros(20_100)]) + 0.05
    assert not speech_frames(frame_levels(normalise_loudness(wave)), below_db=36.0)[60:].any()


def test_a_click_is_not_a_voice():
    """A cut-off offset resampled: silence with one loud row at its end is not amplified."""
    wave = 3e-5 * torch.randn(32_000, generator=torch.Generator().manual_seed(0))
    wave[-100:] -= 0.2
    assert float(normalise_loudness(wave)[:-320].abs().max()) < 1e-3
    spoken = torch.from_numpy(voice())
    levels = frame_levels(spoken)
    loud = levels[levels >= 0.1 * torch.quantile(levels, 0.95)]
    assert float(normalise_loudness(spoken).abs().max() / (spoken - spoken.mean()).abs().max()) == pytest.approx(
        0.1 / float(loud.square().mean().sqrt()), rel=0.02
    )
