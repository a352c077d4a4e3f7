"""Measures of an expression, closing eyes and lips, named motions."""

import numpy as np
import pytest
import torch
from core.face import FaceModel, pose_points, project
from core.face.expression import MOTIONS, close_eyes, close_lips, eye_opening, motion_axis, mouth_opening, uncross
from core.face.regions import LEFT_BROW, LEFT_EYE, LIPS_OUTER, RIGHT_BROW, RIGHT_EYE
from scipy.optimize import least_squares

UNIT = 0.88  # outer eye distance of the mean face


@pytest.fixture(scope="module")
def face() -> FaceModel:
    return FaceModel.embedded()


@pytest.fixture(scope="module")
def codes() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, 80, generator=generator), 0.6 * torch.randn(4, 64, generator=generator)


def measured(face: FaceModel, exp: torch.Tensor) -> dict[str, float]:
    """The driven measures, from vertices."""
    v = face.vertices(torch.zeros(1, 80), exp[None])[0] / UNIT
    eyes = (v[33] + v[263]) / 2
    return {
        "mouth_gap": v[13, 1] - v[14, 1],
        "mouth_width": v[291, 0] - v[61, 0],
        "corner_height": (v[61, 1] + v[291, 1] - v[0, 1] - v[17, 1]) / 2,
        "lip_protrusion": (v[0, 2] + v[17, 2]) / 2 - eyes[2],
        "chin_height": v[152, 1] - eyes[1],
        "eye_gap": (v[159, 1] + v[386, 1] - v[145, 1] - v[374, 1]) / 2,
        "brow_height": (v[105, 1] + v[66, 1] + v[334, 1] + v[296, 1] - v[33, 1] - v[133, 1] - v[263, 1] - v[362, 1]) / 4,
    }


def test_neutral_has_closed_lips_and_open_eyes(face: FaceModel) -> None:
    zero = torch.zeros(1, 80), torch.zeros(1, 64)
    assert abs(mouth_opening(face, *zero)) < 0.005
    assert 0.07 < eye_opening(face, *zero) < 0.12


@pytest.mark.parametrize("name", MOTIONS)
def test_one_unit_of_a_motion_has_its_documented_effect(face: FaceModel, name: str) -> None:
    axis = motion_axis(face, name)
    rest, moved = measured(face, torch.zeros(64)), measured(face, axis)
    for measure, amount in MOTIONS[name].effect.items():
        assert moved[measure] - rest[measure] == pytest.approx(amount, abs=4e-3), measure
    for measure in MOTIONS[name].still:
        assert moved[measure] - rest[measure] == pytest.approx(0, abs=2e-3), measure
    assert axis.norm() < 8  # some standard deviations at most: a face that people make


@pytest.mark.parametrize("name", MOTIONS)
def test_motions_are_symmetric(face: FaceModel, name: str) -> None:
    from core.face.regions import MIRROR

    motion = face.exp_basis @ motion_axis(face, name)
    torch.testing.assert_close(motion[list(MIRROR)] * torch.tensor([-1.0, 1, 1]), motion, rtol=0, atol=2e-3)


def test_unknown_motion(face: FaceModel) -> None:
    with pytest.raises(ValueError, match="jaw_open"):
        motion_axis(face, "wiggle_ears")


@pytest.mark.parametrize("amount", [0.0, 0.5, 1.0])
def test_eyes_close_by_the_amount(face: FaceModel, codes: tuple[torch.Tensor, torch.Tensor], amount: float) -> None:
    id, exp = codes
    exp = exp + 0.5 * motion_axis(face, "jaw_open")
    closed = close_eyes(face, id, exp, torch.full((4,), amount))
    torch.testing.assert_close(eye_opening(face, id, closed), (1 - amount) * eye_opening(face, id, exp), rtol=0, atol=4e-3)
    torch.testing.assert_close(mouth_opening(face, id, closed), mouth_opening(face, id, exp), rtol=0, atol=2e-3)


def drift(shape: np.ndarray, before: np.ndarray, after: np.ndarray) -> float:
    """Mean pixels by which a rigid ``shape`` moves between the poses that explain two sets of image points best."""

    def pixels(pose: np.ndarray) -> np.ndarray:
        euler, trans = torch.tensor(pose)[None].split(3, 1)
        return project(pose_points(torch.from_numpy(shape)[None], euler, trans))[0].numpy() * 512

    start = np.array([0.0, 0.2, 0.0, 0.0, 0.0, -3.0])
    poses = [least_squares(lambda pose, seen=seen: (pixels(pose) - seen).ravel(), start).x for seen in (before, after)]
    return float(np.linalg.norm(pixels(poses[0]) - pixels(poses[1]), axis=1).mean())


def test_a_blink_moves_nothing_but_the_lids(face: FaceModel, codes: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Pixels of a 512 image in which the face is 340 wide. The pose is estimated anew, without the lids, in every phase of the blink."""
    id, exp = codes
    lids = list(RIGHT_EYE + LEFT_EYE)
    near = torch.cdist(face.mean, face.mean[lids]).amin(1) < 0.12 * UNIT
    rest = ~near
    euler, trans = torch.tensor([[0.1, 0.3, -0.1]]).expand(4, 3), torch.zeros(4, 3)

    def seen(exp: torch.Tensor) -> torch.Tensor:
        return project(pose_points(face.vertices(id, exp), euler, trans)) * 512

    opened = seen(exp)
    for amount in (0.5, 1.0):
        shut = seen(close_eyes(face, id, exp, torch.full((4,), amount)))
        moved = (shut - opened).norm(dim=2)
        assert moved[:, [159, 386]].mean() > 10 * amount  # the blink itself
        assert moved[:, rest].mean() < 0.25 * amount
        assert moved[:, list(LIPS_OUTER)].max() < 1.0 * amount
        assert moved[:, list(RIGHT_BROW + LEFT_BROW)].mean() < 0.6 * amount
        for k in range(4):
            shape = face.vertices(id, exp)[k, rest].double().numpy()
            assert drift(shape, opened[k, rest].double().numpy(), shut[k, rest].double().numpy()) < 0.1 * amount


@pytest.mark.parametrize("opening", [0.2, 1.0, 1.5])
def test_lips_close_from_any_opening(face: FaceModel, codes: tuple[torch.Tensor, torch.Tensor], opening: float) -> None:
    id, exp = codes
    exp = exp + opening * motion_axis(face, "jaw_open") + 0.2 * motion_axis(face, "smile")
    eyes = eye_opening(face, id, exp)
    closed = close_lips(face, id, exp, torch.ones(4))
    assert (mouth_opening(face, id, closed) < 0.01).all()
    torch.testing.assert_close(eye_opening(face, id, closed), eyes, rtol=0, atol=2e-3)


def test_crossed_lips_and_lids_are_parted(face: FaceModel) -> None:
    id = torch.zeros(1, 80)
    crossed = -0.4 * motion_axis(face, "jaw_open")[None] + 1.6 * motion_axis(face, "blink")
    assert mouth_opening(face, id, crossed) < -0.1
    assert eye_opening(face, id, crossed) < -0.03
    mended = uncross(face, id, crossed)
    assert abs(mouth_opening(face, id, mended)) < 5e-3
    assert abs(eye_opening(face, id, mended)) < 5e-3
    speaking = 0.3 * motion_axis(face, "jaw_open")[None]
    torch.testing.assert_close(mouth_opening(face, id, uncross(face, id, speaking)), mouth_opening(face, id, speaking), rtol=0, atol=5e-3)


def test_edits_pass_gradients(face: FaceModel, codes: tuple[torch.Tensor, torch.Tensor]) -> None:
    exp = codes[1].clone().requires_grad_()
    eye_opening(face, codes[0], close_eyes(face, codes[0], exp, torch.full((4,), 0.5))).sum().backward()
    assert exp.grad.abs().sum() > 0
