"""What a torso follows: nothing while the head turns about its neck, everything else."""

import math

import numpy as np
import pytest
import torch
from core.face import FaceCoeffs, FaceModel
from core.face.torso_points import carried, followed_keypoints, torso_keypoints
from core.people.motion import turn_about_neck

FACE = FaceModel.embedded()


def face(euler: tuple[float, ...] = (0.1, -0.2, 0.05), trans: tuple[float, ...] = (0.1, 0.05, 0.3)) -> FaceCoeffs:
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(1, 80, generator=generator), 0.5 * torch.randn(1, 64, generator=generator)
    return FaceCoeffs(*codes, torch.tensor([euler]), torch.tensor([trans]))


def turned(source: FaceCoeffs, euler: np.ndarray, shift: np.ndarray | None = None) -> FaceCoeffs:
    trans = torch.from_numpy(turn_about_neck(source, euler, shift))[None]
    return FaceCoeffs(source.id, source.exp + 1.0, torch.from_numpy(euler.astype(np.float32))[None], trans)


def test_a_torso_holds_still_while_the_head_turns_and_talks():
    source = face()
    frame = turned(source, np.array([0.3, 0.5, -0.2]))
    still = torso_keypoints(FACE, source)
    torch.testing.assert_close(followed_keypoints(FACE, source, frame, "neck"), still, atol=1e-5, rtol=0)
    assert (followed_keypoints(FACE, source, frame, "head") - still).abs().max() > 0.1


def test_a_torso_goes_where_the_person_goes():
    source, shift = face(), np.array([0.2, -0.1, 0.5])
    frame = turned(source, np.array([0.3, 0.5, -0.2]), shift)
    there = FaceCoeffs(source.id, source.exp, source.euler, source.trans + torch.from_numpy(shift).float())
    found = followed_keypoints(FACE, source, frame, "neck")
    torch.testing.assert_close(found, torso_keypoints(FACE, there), atol=1e-5, rtol=0)


def test_one_source_serves_many_frames():
    source = face()
    frames = FaceCoeffs.cat([face(trans=(x, 0.0, 0.0)) for x in (0.0, 0.1, 0.2)])
    together = carried(source, frames)
    assert len(together) == 3
    assert together.trans[2, 0] - together.trans[0, 0] == pytest.approx(0.2)
    assert torch.equal(together.exp, source.exp.expand(3, -1))


def test_half_precision_around_it_changes_nothing():
    source = face()
    frame = turned(source, np.array([0.0, math.radians(20), 0.0]))
    exact = followed_keypoints(FACE, source, frame, "neck")
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(followed_keypoints(FACE, source, frame, "neck"), exact)
