"""AED, APD, AKD, blink drift, audio offset, identity drift, against closed forms and slow twins."""

import numpy as np
import pytest
import torch
from core.face.coeffs import FaceCoeffs
from core.face.regions import LM68
from core.metrics.akd import AKD, akd
from core.metrics.audio_offset import AudioCorrelation, AudioOffset, audio_offset, loudness, mouth_openings
from core.metrics.blink_drift import NOSE, BlinkDrift, blink_drift, blinks, eye_openings
from core.metrics.following import LidCorrelation, MouthCorrelation, opening_correlation
from core.metrics.identity_drift import IdentityDrift, identity_drift
from core.metrics.motion import AED, APD, expression_distance, pose_distance
from scipy.stats import pearsonr


def test_expression_and_pose_distance():
    a, b = FaceCoeffs.zeros(3), FaceCoeffs.zeros(3)
    a.exp[1, :32] = 1
    assert expression_distance(a.exp, b.exp).tolist() == [0, 0.5, 0]
    a.euler[:, 1] = 0.06
    a.trans[2, 0] = -0.12
    torch.testing.assert_close(pose_distance(a, b), torch.tensor([0.01, 0.01, 0.03]))
    a.euler[:, 2], b.euler[:, 2] = torch.pi - 0.03, -torch.pi + 0.03  # 0.06 apart the short way round
    torch.testing.assert_close(pose_distance(a, b), torch.tensor([0.02, 0.02, 0.04]), rtol=0, atol=1e-6)
    aed, apd = AED(), APD()
    aed.update(a.exp, b.exp)
    apd.update(a, b)
    assert float(aed.compute()) == pytest.approx(0.5 / 3)
    assert float(apd.compute()) == pytest.approx(0.08 / 3, rel=1e-5)


def test_akd_is_in_pixels_of_the_68_points():
    target = torch.rand(2, 478, 3, generator=torch.Generator().manual_seed(0))
    points = target.clone()
    points[0, list(LM68), :2] += torch.tensor([3.0, 4.0]) / 512
    points[0, [1, 200], :2] += 1  # not among the 68
    points[1] = torch.nan
    assert float(akd(points, target)[0]) == pytest.approx(5, rel=1e-4)
    metric = AKD()
    metric.update(points, target)
    assert float(metric.compute()) == pytest.approx(5, rel=1e-4)


def face(frames):
    """Points with eyes 0.2 apart that are open by 0.04."""
    points = np.zeros((frames, 478, 3))
    points[:, 33, :2], points[:, 263, :2] = (0.4, 0.4), (0.6, 0.4)
    for upper, lower in ((159, 145), (386, 374)):
        points[:, upper, 1], points[:, lower, 1] = 0.38, 0.42
    points[:, list(NOSE), :2] = (0.5, 0.5)
    return points


def test_blinks_and_the_drift_that_comes_with_them():
    points = face(60)
    points[20:24, [159, 386], 1] = 0.415
    points[40:60, [159, 386], 1] = 0.415  # closed for good
    np.testing.assert_allclose(eye_openings(points)[[0, 21]], [0.2, 0.025], rtol=1e-6)
    assert blinks(eye_openings(points)) == [(20, 23)]
    steady = points + np.linspace(0, 1, 60)[:, None, None] * np.array([0.3, -0.1, 0])  # even motion is no drift
    np.testing.assert_allclose(blink_drift(steady), [0], atol=1e-9)
    nod = steady.copy()
    nod[21:23, :, 1] += 0.01
    np.testing.assert_allclose(blink_drift(nod), [5], rtol=1e-6)
    metric = BlinkDrift()
    metric.update(nod)
    metric.update(face(30))
    assert float(metric.compute()) == pytest.approx(5, rel=1e-6)
    assert int(metric.blinks) == 1


def test_nobody_blinks():
    assert blinks(np.full(5, np.nan)) == []
    assert len(blink_drift(np.full((5, 478, 3), np.nan))) == 0
    early = face(20)
    early[1:3, [159, 386], 1] = 0.415
    assert len(blink_drift(early)) == 0


def test_mouth_openings_are_in_eye_distances():
    points = face(2)
    points[1, 14, 1], points[1, 13, 1] = 0.66, 0.6
    np.testing.assert_allclose(mouth_openings(points), [0, 0.3], rtol=1e-6)


def test_loudness_of_tones_and_silence():
    tone = np.concatenate([np.ones(640), 0.1 * np.ones(640), np.zeros(640)]).astype(np.float32)
    np.testing.assert_allclose(loudness(tone, 16000, 4), [0, -20, -50, -50], atol=1e-4)


@pytest.mark.parametrize("late", [-7, 0, 4])
def test_audio_offset_finds_the_shift(late):
    rng = np.random.default_rng(0)
    energy = np.convolve(rng.normal(size=140), np.ones(3), "same")
    opening = np.roll(energy, late)[20:120] * 0.1 + 0.2
    opening[30:33] = np.nan
    found = audio_offset(opening, energy[20:120])
    assert found.milliseconds == 40 * late
    assert found.correlation == pytest.approx(1)
    offset, correlation = AudioOffset(), AudioCorrelation()
    offset.update(opening, energy[20:120])
    correlation.update(opening, energy[20:120])
    assert float(offset.compute()) == 40 * abs(late)
    assert float(correlation.compute()) == pytest.approx(1)


def test_audio_offset_of_a_still_mouth_is_unknown():
    assert np.isnan(audio_offset(np.zeros(50), np.random.default_rng(0).normal(size=50))).all()
    assert np.isnan(audio_offset(np.arange(10.0), np.arange(10.0))).all()
    metric = AudioOffset()
    metric.update(np.zeros(50), np.arange(50.0))
    assert metric.compute().isnan()


def test_identity_drift_is_the_fall_of_the_line():
    line = torch.linspace(0.9, 0.7, 21)
    assert float(identity_drift(line)) == pytest.approx(0.2, rel=1e-5)
    noisy = line + 0.05 * torch.randn(21, generator=torch.Generator().manual_seed(0))
    slope = np.polyfit(np.arange(21), noisy.numpy(), 1)[0]
    assert float(identity_drift(noisy)) == pytest.approx(-20 * slope, rel=1e-4)
    line[5] = torch.nan
    assert float(identity_drift(line)) == pytest.approx(0.2, rel=1e-5)
    assert identity_drift(line[:1]).isnan()
    metric = IdentityDrift()
    metric.update(line)
    metric.update(torch.full((8,), 0.8))
    assert float(metric.compute()) == pytest.approx(0.1, rel=1e-5)


def test_openings_that_follow():
    rng = np.random.default_rng(0)
    wanted = 0.1 + 0.05 * rng.random(40)
    noisy = 3 * wanted + 0.05 * rng.random(40)
    noisy[3] = np.nan
    rest = np.delete(np.arange(40), 3)
    assert opening_correlation(np.append(noisy, 0.5), wanted) == pytest.approx(pearsonr(noisy[rest], wanted[rest]).statistic)
    assert np.isnan(opening_correlation(noisy, np.full(40, 0.1)))  # nothing was asked for
    assert np.isnan(opening_correlation(np.full(40, 0.1), wanted))


def test_mouth_and_lids_are_told_apart():
    wanted, made = face(30), face(30)
    gap = 0.01 + 0.01 * np.sin(np.arange(30))
    wanted[:, 14, 1], made[:, 14, 1] = gap, 2 * gap
    wanted[:, [159, 386], 1] = 0.38 + gap[:, None]
    made[:, [159, 386], 1] = 0.38 + gap[::-1, None]
    mouth, lids = MouthCorrelation(), LidCorrelation()
    mouth.update(made, wanted)
    lids.update(made, wanted)
    assert float(mouth.compute()) == pytest.approx(1)
    assert float(lids.compute()) == pytest.approx(pearsonr(gap, gap[::-1]).statistic)
