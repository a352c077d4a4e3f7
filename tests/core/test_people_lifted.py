"""Lifted people: what closes, what is continued and what is borrowed, on made-up photographs."""

import numpy as np
from core.face.model import FaceModel
from core.people.canvas import HAIR
from core.people.geometry import Pose
from core.people.hidden_side import far_cheek
from core.people.lifted import _like_the_back
from core.people.openings import continue_colours, nearest
from core.people.surface import LEFT_EYE_PAIRS, MOUTH_PAIRS, RIGHT_EYE_PAIRS, FaceMotion
from scipy.ndimage import distance_transform_edt


def measured_motion(seed: int) -> tuple[FaceMotion, np.ndarray]:
    """A face with open mouth and eyes whose landmarks lie beside the fit, and the code that closes the fit."""
    import torch
    from core.face.expression import close_eyes, close_lips, motion_axis

    face, rng = FaceModel.embedded(), np.random.default_rng(seed)
    id, exp = torch.zeros(1, 80), motion_axis(face, "jaw_open")[None] * 0.4
    fitted = face.vertices(id, exp)[0].double().numpy()
    measured = fitted + rng.normal(size=fitted.shape) * [0.008, 0.002, 0.008]
    shut = close_eyes(face, id, close_lips(face, id, exp, torch.ones(1)), torch.ones(1))[0].double().numpy()
    return FaceMotion(face.exp_basis.double().numpy(), fitted, measured, exp[0].double().numpy()), shut


def test_lips_and_lids_close_along_one_line():
    """Edges that close run along one line and overlap a little, wherever the landmarks were: no sliver of teeth or white stays."""
    motion, shut = measured_motion(0)
    assert np.abs(motion(motion.source)).max() < 1e-9
    closed = motion.measured + motion(shut)
    for up, low in (MOUTH_PAIRS, RIGHT_EYE_PAIRS, LEFT_EYE_PAIRS):
        apart = closed[list(up)] - closed[list(low)]
        assert apart[:, 1].max() < 2e-3
        assert apart[:, 1].min() > -0.015
        assert np.abs(apart[:, [0, 2]]).max() < 0.012
        assert np.median(np.abs(apart[:, [0, 2]])) < 2e-3
    up, low = MOUTH_PAIRS
    assert np.abs(motion.measured[list(up)] - motion.measured[list(low)])[:, [0, 2]].max() > 0.012


def test_nearest_agrees_with_the_exact_transform():
    known = np.random.default_rng(1).random((60, 80)) < 0.01
    away, source = nearest(known)
    exact = distance_transform_edt(~known)
    assert known.reshape(-1)[source].all()
    rows, columns = np.indices(known.shape)
    reached = np.hypot(rows - source // 80, columns - source % 80)
    assert np.abs(reached - exact).max() < 0.05 * exact.max()
    assert np.abs(away - exact).max() < 0.05 * exact.max()
    image = np.random.default_rng(2).integers(0, 255, (60, 80, 3)).astype(np.uint8)
    assert np.array_equal(continue_colours(image, known)[known], image[known])


def test_hair_over_the_far_cheek_does_not_darken_the_skin_that_replaces_it():
    from core.people.lifted import face_and_loops
    from core.people.procedural import random_fit

    fit, side = random_fit(np.random.default_rng(2)), 176
    face, _ = face_and_loops()
    triangles, measured = face.triangles.numpy(), fit.motion.measured
    turned = Pose.from_euler(np.array([0.0, 0.35, 0.0]), fit.pose.trans)
    plain, bare = np.full((side, side, 3), 150, np.uint8), np.ones((side, side), bool)
    mesh, texture = far_cheek(plain, measured, triangles, turned, bare)
    covered = texture[..., 3] > 250
    near_side = np.median(np.nonzero(covered)[1])
    middle = mesh.uvw[4, 0] / mesh.uvw[4, 2] * side
    hairy = (np.arange(side)[None] < middle - 12 if near_side > middle else np.arange(side)[None] > middle + 12).repeat(side, 0)
    lock = np.where(hairy[..., None], 25, plain).astype(np.uint8)
    unaware = far_cheek(lock, measured, triangles, turned, bare)[1]
    aware = far_cheek(lock, measured, triangles, turned, ~hairy)[1]
    assert unaware[covered][:, :3].min() < 100
    assert aware[aware[..., 3] > 250][:, :3].min() > 140
    seen_hair = far_cheek(lock, measured, triangles, turned, hairy)[1]  # hair where the mirror image would be taken from
    assert seen_hair[..., 3].max() == 0


def test_a_slight_turn_keeps_the_photographs_own_cheek():
    from core.people.lifted import face_and_loops
    from core.people.procedural import random_fit

    fit, image = random_fit(np.random.default_rng(2)), np.full((176, 176, 3), 150, np.uint8)
    triangles, measured = face_and_loops()[0].triangles.numpy(), fit.motion.measured
    strongest = []
    for yaw in (0.1, 0.35):
        turned = Pose.from_euler(np.array([0.0, yaw, 0.0]), fit.pose.trans)
        strongest.append(int(far_cheek(image, measured, triangles, turned)[1][..., 3].max()))
    assert strongest[0] < 60
    assert strongest[1] > 250


def test_the_back_of_the_head_wears_hair_and_no_skin():
    side = 120
    rows, columns = np.indices((side, side))
    away = np.hypot(rows - 60, columns - 60)
    sure, inside = away < 50, away < 25
    labels = np.where(away < 32, 3, HAIR).astype(np.uint8)
    known = _like_the_back(labels, sure, inside, 60.0, 60.0)
    assert known.sum() > 1000
    assert (labels[known] == HAIR).all()
    bald = _like_the_back(np.full_like(labels, 3), sure, inside, 60.0, 60.0)
    assert bald[:50].sum() > 500
