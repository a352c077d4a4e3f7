# ruff: noqa: RUF001 - IPA symbols look like Latin letters
"""From phonemes to lips: what must be true of the made motion."""

import numpy as np
import pytest
import torch
from audio2motion.mouth import BROWS, FULL_GAP, MouthRig, blink_curve, mouth_amplitude
from audio2motion.speech import Phoneme, say
from audio2motion.visemes import mouth_track
from core.errors import PortraitError
from core.face.expression import eye_opening, mouth_opening
from core.face.model import FaceModel

GAP, WIDTH, TUCK, PRESS, JAW = range(5)


@pytest.fixture(scope="module")
def face():
    return FaceModel.embedded()


def opening(face, exp):
    return mouth_opening(face, torch.zeros(len(exp), 80), exp)


def frame_of(phoneme):
    return int((phoneme.start + phoneme.end) / 2 * 25)


def test_espeak_says_it_twice_alike():
    first, second = say("Papa made five blue moons."), say("Papa made five blue moons.")
    np.testing.assert_array_equal(first.wave, second.wave)
    assert first.phonemes == second.phonemes
    assert all(a.end == b.start for a, b in zip(first.phonemes, first.phonemes[1:], strict=False))
    assert first.phonemes[-1].end <= len(first.wave) / first.rate + 1e-6


def test_unknown_voice():
    with pytest.raises(PortraitError, match="E_VOICE"):
        say("hello", voice="xx-nowhere")


def test_lips_meet_in_m_b_p(face):
    speech = say("Mama, baby, papa, a map above the umbrella.", rate=150)
    track = mouth_track(speech.phonemes, int(len(speech.wave) / speech.rate * 25) + 1)
    gaps = opening(face, MouthRig(face).codes(torch.from_numpy(track)))
    shut = [p for p in speech.phonemes if p.symbol and p.symbol in "mb" and p.end - p.start > 0.05]
    assert len(shut) >= 6
    for phoneme in shut:
        around = frame_of(phoneme)
        assert float(gaps[around - 1 : around + 2].min()) < 0.02
    assert float(gaps.max()) > 0.08


def test_vowels_have_their_shapes():
    def held(symbol):
        return mouth_track([Phoneme(symbol, 0.0, 1.0)], 25)[12]

    a, i, u, f = (held(symbol) for symbol in ("ˈɑː", "ˈiː", "ˈuː", "f"))
    assert a[GAP] > 1.5 * i[GAP] > 0
    assert 0 < u[GAP] < 0.5 * i[GAP]
    assert i[WIDTH] > 0.7 > 0 > -0.7 > u[WIDTH]
    assert f[TUCK] > 0.9
    assert f[GAP] < 0.1


def test_neighbours_pull():
    """The vowel between two roundings is rounder than between two spreads; lips stay parted in a pause."""

    def middle(side):
        return mouth_track([Phoneme(side, 0.0, 0.1), Phoneme("ə", 0.1, 0.16), Phoneme(side, 0.16, 0.3)], 8)[3, WIDTH]

    assert middle("u") < -0.3 < 0.3 < middle("i")
    quiet = mouth_track([Phoneme("", 0.0, 1.0), Phoneme("ˈɑː", 1.0, 1.5), Phoneme("", 1.5, 3.0)], 75)
    assert quiet[:18, GAP].max() < 0.3 * quiet[31, GAP]
    assert float(np.ptp(quiet[55:, GAP])) < 0.01


def test_rig_measures(face):
    rig = MouthRig(face)
    gaps = opening(face, rig.codes(torch.tensor([[0.0, 0, 0, 0, 0], [1.0, 0, 0, 0, 1], [0.0, 0, 0, 1, 0]])))
    rest = float(opening(face, torch.zeros(1, 64)))
    assert float(gaps[0]) == pytest.approx(rest, abs=1e-5)
    assert float(gaps[1]) == pytest.approx(rest + FULL_GAP, abs=0.01)
    assert float(gaps[2]) < 0.0
    louder = rig.codes(torch.tensor([[1.0, 0, 0, 0, 1]]), opening=1.5)
    assert float(opening(face, louder)) == pytest.approx(rest + 1.5 * FULL_GAP, abs=0.01)
    assert mouth_amplitude(face, louder.repeat(10, 1)) > mouth_amplitude(face, louder.repeat(10, 1) / 2)


def test_jaw_and_lips_are_two_things(face):
    """Shut lips over an open jaw, and lips parted over a shut one: what the lips do is the same, what the chin does is not."""
    rig = MouthRig(face)
    tracks = torch.tensor([[0.0, 0, 0, 0, 0], [0.0, 0, 0, 0, 0.4], [0.3, 0, 0, 0, 0.3], [0.3, 0, 0, 0, 0]])
    exp = rig.codes(tracks)
    gaps, chin = opening(face, exp), face.keypoints(torch.zeros(4, 80), exp)[:, 152, 1]
    assert torch.allclose(gaps[:2], gaps[:1].expand(2), atol=1e-3)
    assert torch.allclose(gaps[2:], gaps[2:3].expand(2), atol=1e-3)
    assert chin[1] < chin[2] < chin[0] - 0.01
    assert float(chin[3]) == pytest.approx(float(chin[0]), abs=1e-3)


def test_the_jaw_of_neighbours_stays_open_in_m_and_shuts_in_s():
    def between(middle):
        return mouth_track([Phoneme("ɑː", 0.0, 0.2), Phoneme(middle, 0.2, 0.28), Phoneme("ɑː", 0.28, 0.48)], 12, spread=1.0)

    m, s = between("m"), between("s")
    assert m[5, GAP] < 0.1 < 0.3 < m[5, JAW]
    assert s[5, JAW] < 0.6 * m[5, JAW]
    assert s[5, GAP] > s[5, JAW]


def test_brows(face):
    still, raised = (MouthRig(face).codes(torch.zeros(1, 5), brows=torch.tensor([amount])) for amount in (0.0, 1.0))
    height = [face.keypoints(torch.zeros(1, 80), exp)[0, [105, 334], 1].mean() for exp in (still, raised)]
    unit = (face.mean[face.keypoints468[263]] - face.mean[face.keypoints468[33]]).norm()
    assert float((height[1] - height[0]) / unit) == pytest.approx(BROWS, abs=0.015)
    assert float(opening(face, raised)) == pytest.approx(float(opening(face, still)), abs=2e-3)


def test_blink_shuts_the_eyes_and_leaves_the_mouth(face):
    blink = torch.zeros(20, dtype=torch.long)
    blink[10] = 1
    exp = MouthRig(face).codes(torch.zeros(20, 5), blink=blink)
    eyes = eye_opening(face, torch.zeros(20, 80), exp)
    assert int(eyes.argmin()) == 10
    assert float(eyes[10]) < 0.35 * float(eyes[0])
    assert float(opening(face, exp).std()) < 0.005
    assert blink_curve(blink)[[0, 10, 19]].tolist() == [0, 1, 0]


def places(face, exp):
    """Points of the mean identity, (b, 468, 3), over the distance of the outer eye corners."""
    return face.keypoints(torch.zeros(len(exp), 80), exp) / (face.mean[face.keypoints468[263]] - face.mean[face.keypoints468[33]]).norm()


def test_oo_is_a_small_round_hole_in_front_and_f_hides_the_lower_lip(face):
    rig = MouthRig(face)
    rest, oo, ff = places(face, rig.codes(torch.tensor([[0.0, 0, 0, 0, 0], [0.2, -1, 0, 0, 0.2], [0.05, 0, 1, 0, 0.1]])))

    def hole(points):
        """Height in the middle and a third of the way to a corner, and width."""
        return float(points[13, 1] - points[14, 1]), float(points[80, 1] - points[88, 1]), float(points[308, 0] - points[78, 0])

    middle, side, width = hole(oo)
    assert 0.03 < middle < 0.07
    assert side < 0.5 * middle
    assert width < 0.85 * hole(rest)[2]
    assert float(oo[[0, 17], 2].mean() - rest[[0, 17], 2].mean()) > 0.015
    red = [float(points[14, 1] - points[17, 1]) for points in (rest, ff)]
    assert red[1] < 0.6 * red[0]
    assert float((ff[14, 2] - ff[13, 2]) - (rest[14, 2] - rest[13, 2])) < -0.02
    assert 0.0 < hole(ff)[0] < 0.03


def test_shapes_leave_the_opening_to_the_gap(face):
    rig = MouthRig(face)
    tracks = torch.tensor([[0.3, 0, 0, 0, 0.3], [0.3, -1, 0, 0, 0.3], [0.3, 0, 1, 0, 0.3]])
    gaps = opening(face, rig.codes(tracks))
    assert torch.allclose(gaps, gaps[:1].expand(3), atol=2e-3)
    # As likely as measured faces are: a whitened code of 64 numbers is about 8 long.
    assert float(rig.codes(tracks).norm(dim=1).max()) < 9.0


def test_lips_wait_for_the_first_sound_of_a_phrase():
    """In a pause they take the place of the next sound that the lips make; before others they wait half open."""

    def before(symbol):
        said = [Phoneme("ɑː", 0.0, 0.2), Phoneme("", 0.2, 0.8), Phoneme(symbol, 0.8, 0.9), Phoneme("ɑː", 0.9, 1.1)]
        return mouth_track(said, 28)[10:18, GAP]

    m, w, k = before("m"), before("w"), before("k")
    assert m[0] == pytest.approx(k[0], abs=0.01)
    assert m[-1] < 0.01 < w[-1] < 0.08 < 0.15 < k[-1]


def test_a_w_nearly_shuts_the_lips():
    w = mouth_track([Phoneme("ɑː", 0.0, 0.2), Phoneme("w", 0.2, 0.28), Phoneme("ɑː", 0.28, 0.48)], 12)
    assert float(w[:, GAP].min()) < 0.15
    assert float(w[:, WIDTH].min()) < -0.6


def test_lips_are_shut_while_an_m_sounds():
    """It cannot be hummed through parted lips: the middle of the closure is within a frame of the middle of the sound."""
    said = [Phoneme("ɑː", 0.0, 0.4), Phoneme("m", 0.4, 0.48), Phoneme("ɑː", 0.48, 0.9)]
    press = mouth_track(said, 22)[:, PRESS]
    middle = float((press * (np.arange(22) + 0.5)).sum() / press.sum()) / 25
    assert middle == pytest.approx(0.44, abs=0.04)
    assert press[11] > 0.6
