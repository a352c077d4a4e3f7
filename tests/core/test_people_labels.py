"""Labels of made people that go beyond picture and masks: 468 points, PNCC, depth, a torso that lags behind."""

from functools import lru_cache

import numpy as np
import torch
from core.camera import Camera
from core.face.model import FaceModel, pose_points, project
from core.people.motion import named, turn_about_neck
from core.people.person import Person, PersonFrame, render
from core.people.procedural import make_person

SIZE = 128


@lru_cache(maxsize=1)
def person() -> Person:
    return make_person(2, SIZE)


def view(yaw: float = 0.2, kind: str = "smile", **options: object) -> PersonFrame:
    who = person()
    euler = np.float32([0.05, yaw, 0.02])
    return render(who, named(who, kind), euler, turn_about_neck(who.coeffs, euler), SIZE, **options)


def test_both_sets_of_key_points_are_those_of_the_coefficients():
    frame, face = view(), FaceModel.embedded()
    c = frame.coeffs
    points = project(pose_points(face.keypoints(c.id, c.exp, 468), c.euler, c.trans))[0].numpy() * 2 - 1
    assert np.abs(points - frame.landmarks[:, :2]).max() < 1e-4
    assert np.array_equal(frame.landmarks[face.keypoints68.numpy()], frame.keypoints)
    assert not frame.landmarks[:, 2].any()


def test_three_masks_sum_to_one_and_the_person_is_two_of_them():
    frame = view()
    assert np.array_equal(frame.person_alpha, frame.head_alpha + frame.torso_alpha)
    assert np.abs(frame.head_alpha + frame.torso_alpha + frame.background_alpha - 1).max() < 1e-6
    assert frame.person_alpha.max() < 1 + 1e-5
    assert 0.2 < frame.person_alpha.mean() < 0.98


def test_pnccs_show_three_expressions_and_no_pose():
    who, face = person(), FaceModel.embedded()
    source = who.coeffs.exp[0].numpy()
    cano, src, drv = view(0.2).pnccs(source, 96)
    assert np.array_equal(drv, view(-0.3).pnccs(source, 96)[2])  # the pose is out
    codes = (np.zeros(64), source, named(who, "smile"))
    for picture, code in zip((cano, src, drv), codes, strict=True):
        points = face.vertices(who.coeffs.id, torch.as_tensor(code, dtype=torch.float32)[None])
        flat = project(points)[0].numpy() * 96 - 0.5
        for vertex in (50, 280, 4, 151, 205, 425):
            column, row = np.rint(flat[vertex]).astype(int)
            assert np.abs(picture[:, row, column] - (face.ncc[vertex].numpy() * 2 - 1)).max() < 0.06
    assert np.abs(drv - src).max() > 0.3


def test_depth_and_camera_put_landmarks_of_the_face_on_its_surface():
    """The camera label alone finds the depth again: a visible vertex is as far along the optical axis as the depth map says."""
    frame, who = view(0.15, "neutral"), person()
    vertices = (who.motion.measured + who.motion(named(who, "neutral"))).astype(np.float32)
    world = torch.from_numpy(vertices)[None] * 0.27 + torch.tensor([0.0, 0.006, 0.161])
    flat, _ = frame.camera.project(world)
    forward = (world - frame.camera.cam2world[:, None, :3, 3]) @ frame.camera.cam2world[0, :3, 2]
    for vertex in (4, 50, 280, 151, 199, 9):
        column, row = np.rint(flat[0, vertex].numpy() * SIZE - 0.5).astype(int)
        around = frame.depth[row - 1 : row + 2, column - 1 : column + 2]  # the point lies somewhere between these pixels
        assert around.min() - 0.01 < float(forward[0, vertex]) / 0.27 < around.max() + 0.01
    assert frame.camera.label.shape == (1, 25)
    euler, trans = Camera(frame.camera.label).to_pose()
    assert torch.allclose(euler, frame.coeffs.euler, atol=1e-5)
    assert torch.allclose(trans, frame.coeffs.trans, atol=1e-4)


def test_lagging_torso_is_where_its_key_points_say():
    """Only the torso moves, to where a head without delay would have taken it, and ``torso_keypoints`` are those of that head."""
    who, lag = person(), np.float32([0.12, -0.05, 0.0])
    at_once, late = view(), view(torso_lag=lag)
    assert np.array_equal(at_once.head, late.head)
    assert np.array_equal(at_once.keypoints, late.keypoints)
    assert np.abs(at_once.torso_keypoints - at_once.keypoints).max() < 1e-5
    c = late.coeffs
    carried = render(who, c.exp[0].numpy(), c.euler[0].numpy(), c.trans[0].numpy() + lag, SIZE)
    assert np.abs(carried.keypoints - late.torso_keypoints).max() < 1e-5
    low = slice(int(0.9 * SIZE), None)  # below the head both pictures show the same torso
    assert np.abs(carried.torso[low].astype(int) - late.torso[low]).max() <= 1
    assert np.abs(at_once.torso[low].astype(int) - late.torso[low]).max() > 20
    assert np.abs(late.head_alpha + late.torso_alpha + late.background_alpha - 1).max() < 1e-6
