import numpy as np
import pytest
import torch
from audio2motion.halving import halve, lowpass
from scipy.signal import freqz


def test_the_filter_stops_what_would_be_folded():
    """Responses by scipy: flat to 6 Hz, stopped from 19 Hz on, half way (6 dB) at 12.5 Hz where folding starts."""
    _, response = freqz(lowpass(12).numpy(), worN=np.array([0.0, 6.0, 12.5, 19.0, 22.0]), fs=50)
    decibel = 20 * np.log10(np.abs(response))
    assert decibel[0] == pytest.approx(0, abs=1e-4)
    assert decibel[1] > -1
    assert decibel[2] == pytest.approx(-6, abs=1.5)
    assert (decibel[3:] < -25).all()


def test_frames_lie_between_their_rows():
    """A slow sine comes out at the times of the frames: 20 ms, 60 ms ... for rows at 10 ms, 30 ms ..."""
    rows = (torch.arange(200) + 0.5) / 50
    frames = (torch.arange(100) + 0.5) / 25
    sine = torch.sin(2 * torch.pi * 2 * rows)[None, None]
    expected = torch.sin(2 * torch.pi * 2 * frames)
    assert float((halve(sine, "lowpass")[0, 0] - expected)[4:-4].abs().max()) < 0.01
    assert float((halve(sine, "mean")[0, 0] - expected)[4:-4].abs().max()) < 0.05
    assert float((halve(sine, "nearest")[0, 0] - expected)[4:-4].abs().max()) > 0.1


def test_nearest_and_mean_are_what_they_say():
    x = torch.randn(2, 3, 10)
    assert torch.equal(halve(x, "nearest"), x[..., [0, 2, 4, 6, 8]])
    torch.testing.assert_close(halve(x, "mean"), (x[..., ::2] + x[..., 1::2]) / 2)
    assert halve(x, "lowpass").shape == (2, 3, 5)
