"""Lifted people: what closes, what is continued and what is borrowed, on made-up photographs."""

from dataclasses import replace

import numpy as np
import pytest
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


def test_the_rim_of_the_face_wears_texture_along_its_length():
    """Where the photograph sees the face edge-on its projection would be drawn out; the rim's texture is not, and lies inside the cheek."""
    from core.people.geometry import LAYER_FRONT, project
    from core.people.lifted import face_and_loops
    from core.people.procedural import random_fit
    from core.people.rim import worn_rim
    from core.people.surface import face_surface

    fit, (face, loops) = random_fit(np.random.default_rng(2)), face_and_loops()
    posed = fit.pose.apply(fit.motion.measured)
    plain = face_surface(face.triangles.numpy(), fit.motion.measured, fit.pose, LAYER_FRONT)
    worn = worn_rim(plain, posed, loops["oval"])
    assert np.array_equal(plain.triangles, worn.triangles)
    assert np.array_equal(plain.vertices, worn.vertices)
    before, after = (mesh.uvw[:, :2] / mesh.uvw[:, 2:] for mesh in (plain, worn))
    unit = np.ptp(before[:, 0]) / np.ptp(posed[:, 0])
    for outer, inner in ((93, 137), (132, 177), (323, 366), (361, 401)):
        length = np.linalg.norm(posed[outer] - posed[inner]) * unit
        assert np.abs(before[outer, 0] - before[inner, 0]) < 0.18 * length
        assert 0.2 * length < np.abs(after[outer, 0] - after[inner, 0]) < length
        inwards = np.sign(project(posed[[1]])[0, 0] - project(posed[[outer]])[0, 0])
        assert (after[outer, 0] - before[outer, 0]) * inwards > 0.05 * unit
    middle = [1, 10, 33, 61, 151, 152, 199, 263, 291]
    assert np.abs(before[middle] - after[middle]).max() < 1e-6


def hair_beside(canvas: int) -> tuple[object, np.ndarray, np.ndarray, np.ndarray]:
    """A fit, the head's mask, the face and long hair that covers the right fifth of the face, on a canvas."""
    from core.people.canvas import to_canvas
    from core.people.lifted import face_and_loops
    from core.people.openings import polygon_mask
    from core.people.procedural import random_fit
    from scipy.ndimage import binary_dilation

    fit, (_, loops) = random_fit(np.random.default_rng(2)), face_and_loops()
    inside = polygon_mask(to_canvas(fit.xy[loops["oval"]]), canvas)
    columns = np.flatnonzero(inside.any(0))
    head = binary_dilation(inside, iterations=canvas // 12)
    hair = head & (np.arange(canvas) > columns[0] + 0.8 * len(columns))
    return fit, head.astype(np.float32), inside, hair


def test_long_hair_hangs_before_the_cheek_and_does_not_follow_it_backwards():
    from core.people.curtain import LIFT, SLOPE, curtain, hair_share
    from core.people.geometry import LAYER_BACK, HeadMesh, project
    from core.people.hull import HullShape, Oval, build_hull
    from core.people.lifted import face_and_loops
    from scipy.interpolate import LinearNDInterpolator

    fit, alpha, inside, hair = hair_beside(352)
    model, loops = face_and_loops()
    oval, chin = Oval.of(loops["oval"], fit.xy, fit.distance), tuple(fit.motion.measured[152, 1:])
    hull = build_hull(alpha, inside, oval, fit.pose, HullShape(rim=-0.75, chin=chin, front=0.9))
    solid, soft, shown = curtain(hull, hair_share(hair), (fit.xy, fit.distance, model.triangles.numpy()), fit.pose)
    assert len(solid.triangles) > 50 < len(soft.triangles)
    both = HeadMesh.cat([solid, soft])
    assert (both.layer == LAYER_BACK).all()
    points = fit.pose.apply(both.vertices)
    beneath = LinearNDInterpolator(fit.xy, fit.distance)(project(points))
    over = np.isfinite(beneath)
    assert over.sum() > 50
    room = beneath[over] - (10 - points[over, 2])
    assert np.percentile(room, 5) > 0.3 * LIFT  # at the outline interpolation between landmarks is no measure
    assert room.max() > 0.08  # the cheek runs back, the hair does not
    corners = points[both.triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    slope = np.hypot(normal[:, 0], normal[:, 1]) / np.abs(normal[:, 2])
    assert np.median(slope) < 1.3 * SLOPE
    assert np.percentile(slope, 95) < 2 * SLOPE  # the cheek below falls away three times as steeply and more
    assert shown[hair & inside].mean() > 0.9


def test_the_surface_that_falls_no_steeper_than_allowed():
    """Against all pairs of cells: the nearest that anything allows within reach."""
    from core.people.curtain import fall

    rng = np.random.default_rng(4)
    distance = rng.uniform(0, 3, (9, 11))
    distance[rng.random(distance.shape) < 0.3] = np.inf
    rows, columns = (x.ravel() for x in np.indices(distance.shape))
    across, down = np.abs(columns[:, None] - columns), np.abs(rows[:, None] - rows)
    way = np.maximum(across, down) + (2**0.5 - 1) * np.minimum(across, down)
    wanted = (distance.ravel() + 0.2 * way).min(1).reshape(distance.shape)
    everywhere = np.ones(distance.shape, bool)
    assert np.allclose(fall(distance, everywhere, 0.2, 11), wanted)
    wall = everywhere.copy()
    wall[:, 5] = False
    left = np.where(np.arange(11) < 5, 0.0, np.inf) * np.ones((9, 1))
    assert np.isinf(fall(left, wall, 0.2, 11)[:, 5:]).all()


def test_the_face_wears_skin_below_the_hair_and_the_sheet_the_hair():
    from core.people.curtain import FACE, dress_hair, hair_share
    from core.people.geometry import LAYER_BACK, LAYER_FRONT

    _, _, inside, hair = hair_beside(176)
    image = np.where(hair[..., None], 20, 180).astype(np.uint8).repeat(3, -1)
    textures = np.full((6, 176, 176, 4), 255, np.uint8)
    textures[..., :3] = image
    classes = np.where(hair, HAIR, FACE).astype(np.uint8)[None].repeat(6, 0)
    dress_hair(textures, classes, image, hair_share(hair), np.ones(hair.shape, np.float32), inside)
    deep = hair & (distance_transform_edt(hair) > 4)
    assert (hair & inside).sum() > 100
    assert textures[LAYER_FRONT, ..., :3][inside].min() > 170
    assert (classes[LAYER_FRONT][inside] == FACE).all()
    assert np.array_equal(textures[LAYER_FRONT, ..., :3][~inside], image[~inside])
    assert np.array_equal(textures[LAYER_BACK, ..., :3][hair], image[hair])
    assert (textures[LAYER_BACK, ..., 3][deep] == 255).all()
    assert (textures[LAYER_BACK, ..., 3][distance_transform_edt(~hair) > 6] == 0).all()


def test_the_torso_goes_on_behind_hair_that_hides_its_border():
    from core.people.procedural import random_fit
    from core.people.torso import TUCKED, complete_torso

    side, xy = 256, random_fit(np.random.default_rng(2)).xy
    labels = np.zeros((side, side), np.uint8)
    labels[150:200, 30:80] = HAIR
    labels[200:, :] = 4
    mask = (labels == 4).astype(np.float32)
    _, alpha = complete_torso(np.full((side, side, 3), 90, np.uint8), mask, labels, xy)
    assert alpha[int(200 - 0.7 * TUCKED * side) : 200, 35:75].min() > 0.9
    assert alpha[150:190, 35:75].max() < 0.01
    assert alpha[:196, 90:120].max() < 0.5  # not where nothing hides it


def test_the_hidden_side_of_a_turned_head_is_no_wider_than_the_other(monkeypatch):
    from core.people import hull
    from core.people.canvas import to_canvas
    from core.people.geometry import project
    from core.people.hull import HullShape, Oval
    from core.people.lifted import covered, face_and_loops
    from core.people.openings import polygon_mask
    from core.people.procedural import random_fit
    from scipy.ndimage import binary_dilation

    fit, loops = random_fit(np.random.default_rng(2)), face_and_loops()[1]
    pose = Pose.from_euler(np.array([0.0, 0.35, 0.0]), fit.pose.trans)
    posed = pose.apply(fit.motion.measured)
    turned = replace(fit, pose=pose, xy=project(posed), distance=10 - posed[:, 2])
    inside = polygon_mask(to_canvas(turned.xy[loops["oval"]]), 352)
    face = inside | covered(turned, 352)
    assert (face & ~inside).sum() > 50  # the far cheek before the outline
    alpha = binary_dilation(face, iterations=3).astype(np.float32)
    oval = Oval.of(loops["oval"], turned.xy, turned.distance)
    shape = HullShape(rim=-0.7, chin=tuple(fit.motion.measured[152, 1:]), front=0.9)
    half = np.abs(fit.motion.measured[:, 0]).max()
    widths = []
    for least in (hull.LEAST_TURN, 1.0):
        monkeypatch.setattr(hull, "LEAST_TURN", least)
        points = hull.build_hull(alpha, inside, oval, pose, shape, face).solid.vertices
        level = points[np.abs(points[:, 1] - fit.motion.measured[234, 1]) < 0.3]
        widths.append(-(level[:, 0] * np.sign(pose.rotation[2, 0])).min() / half)
    assert widths[0] < 1.15
    assert widths[1] > 1.2  # without care


@pytest.mark.parametrize(("share", "refused"), [(0.7, False), (0.8, True)])
def test_how_much_of_the_top_may_be_cut_off(share, refused):
    """High hair passes, as much as completes well; more is refused with that reason."""
    from core.errors import PortraitError
    from core.people.lifted import check
    from core.people.procedural import random_fit

    labels = np.zeros((100, 100), np.uint8)
    labels[:80, : round(100 * share)] = HAIR
    fit = random_fit(np.random.default_rng(2))
    if not refused:
        check(fit, labels, "a")
        return
    with pytest.raises(PortraitError, match="the top of the head is cut off") as caught:
        check(fit, labels, "a")
    assert caught.value.code == "E_BAD_PHOTO"
