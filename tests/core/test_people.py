"""Made people: labels agree with each other and with an independent calculation."""

from functools import lru_cache

import numpy as np
import pytest
import torch
from core.camera import FIT_FOCAL, Camera
from core.face.model import FaceModel, pose_points, project
from core.people.augment import Grade, grade
from core.people.geometry import Pose
from core.people.motion import MAX_PITCH, MAX_YAW, named, neighbours, sample_expression, sample_pose, turn_about_neck
from core.people.person import Person, render, render_source
from core.people.procedural import make_person

SIZE = 256


@lru_cache(maxsize=2)
def person(seed: int = 28) -> Person:
    return make_person(seed, SIZE)


def own(who: Person) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return who.coeffs.exp[0].numpy(), who.coeffs.euler[0].numpy(), who.coeffs.trans[0].numpy()


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


def test_source_view_shows_the_picture():
    who = person()
    assert psnr(render(who, *own(who), size=SIZE).image, who.photograph) >= 32
    assert np.array_equal(render_source(who, SIZE).image, who.photograph)


def test_masks_sum_to_one_and_layers_make_the_image():
    who = person()
    euler = np.float32([0.1, 0.4, -0.05])
    frame = render(who, named(who, "open"), euler, turn_about_neck(who.coeffs, euler), SIZE)
    for mask in (frame.head_alpha, frame.torso_alpha, frame.background_alpha):
        assert mask.min() > -1e-5
        assert mask.max() < 1 + 1e-5
    total = frame.head.astype(float) + frame.torso + who.background * frame.background_alpha[..., None]
    assert np.abs(total - frame.image).max() <= 2
    assert set(np.unique(frame.labels)) <= set(range(6))
    solid = frame.head_alpha > 0.99
    assert np.isin(frame.labels[solid], (1, 3, 5)).all()
    assert (frame.depth[solid] > 5).all()
    assert (frame.depth[frame.head_alpha < 0.01] == 0).all()


def test_depth_reprojects_into_another_view_with_the_same_colours():
    who = person()
    code = named(who, "smile")
    poses = [np.float32([0, 0.1, 0]), np.float32([0.05, 0.3, 0.02])]
    frames = [render(who, code, p, turn_about_neck(who.coeffs, p), SIZE) for p in poses]
    cameras = [f.camera for f in frames]
    rows, columns = np.nonzero(frames[0].head_alpha > 0.999)
    label = cameras[0].label[0].double().numpy()
    matrix, focal = label[:16].reshape(4, 4), label[16]
    forward = frames[0].depth[rows, columns] * 0.27  # world units along the optical axis
    local = (
        np.stack([((columns + 0.5) / SIZE - 0.5) / focal, ((rows + 0.5) / SIZE - 0.5) / focal, np.ones(len(rows))], 1) * forward[:, None]
    )
    world = local @ matrix[:3, :3].T + matrix[:3, 3]
    other = cameras[1].label[0].double().numpy()[:16].reshape(4, 4)
    seen = (world - other[:3, 3]) @ other[:3, :3]
    x, y = (seen[:, :2] / seen[:, 2:] * focal + 0.5).T * SIZE - 0.5
    j, i = np.clip(np.round(x).astype(int), 0, SIZE - 1), np.clip(np.round(y).astype(int), 0, SIZE - 1)
    visible = (np.abs(frames[1].depth[i, j] * 0.27 - seen[:, 2]) < 0.004) & (frames[1].head_alpha[i, j] > 0.999)
    assert visible.mean() > 0.6
    difference = np.abs(frames[0].image[rows, columns].astype(float) - frames[1].image[i, j])[visible]
    assert np.median(difference) < 3
    assert np.mean(difference) < 8


def test_labels_agree_with_the_face_model():
    who, face = person(), FaceModel.embedded()
    euler = np.float32([0.05, -0.3, 0.1])
    frame = render(who, named(who, "pursed"), euler, turn_about_neck(who.coeffs, euler), SIZE)
    c = frame.coeffs
    points = project(pose_points(face.keypoints(c.id, c.exp, 68), c.euler, c.trans))[0] * 2 - 1
    assert np.abs(points.numpy() - frame.keypoints[:, :2]).max() < 1e-4
    assert torch.allclose(frame.camera.label, Camera.from_pose(c.euler, c.trans, FIT_FOCAL).label)
    nose = ((points[30] + 1) / 2 * SIZE).int().tolist()
    assert frame.labels[nose[1], nose[0]] == 3


def test_mouth_and_eyes_move():
    who = person()
    _, euler, trans = own(who)
    image = {kind: render(who, named(who, kind), euler, trans, SIZE).image.astype(float) for kind in ("neutral", "open", "blink")}
    measured = who.motion.measured
    pose = Pose.from_euler(euler, trans)
    closed, shut = who.motion(named(who, "open")), who.motion(named(who, "blink"))
    assert (measured + closed)[13, 1] - (measured + closed)[14, 1] > 0.15
    assert (measured + shut)[159, 1] - (measured + shut)[145, 1] < 0.02
    from core.people.geometry import project as flat

    mouth = (flat(pose.apply((measured + closed)[[13, 14]]).astype(float)).mean(0) * SIZE).astype(int)
    assert image["open"][mouth[1], mouth[0]].mean() < image["neutral"][mouth[1], mouth[0]].mean() - 20
    eye = (flat(pose.apply(measured[[159, 145]])).mean(0) * SIZE).astype(int)
    assert np.abs(image["blink"] - image["neutral"])[eye[1] - 2 : eye[1] + 3, eye[0] - 2 : eye[0] + 3].mean() > 10


def test_no_holes_in_turned_heads():
    from scipy.ndimage import binary_fill_holes

    who = person(33)  # shaved: between loose strands there are gaps
    for yaw in (-35, 35):
        euler = np.float32([0, np.radians(yaw), 0])
        head = render(who, own(who)[0], euler, turn_about_neck(who.coeffs, euler), SIZE).head_alpha > 0.5
        assert (binary_fill_holes(head) & ~head).sum() < 20


def test_same_seed_same_person():
    a, b = make_person(5, 96), make_person(5, 96)
    assert np.array_equal(a.textures, b.textures)
    assert np.array_equal(a.solid.vertices, b.solid.vertices)
    assert not np.array_equal(a.photograph, make_person(6, 96).photograph)


def test_poses_and_expressions_stay_in_range():
    who, rng = person(), np.random.default_rng(0)
    for _ in range(50):
        euler, trans = sample_pose(who, rng)
        assert abs(euler[0]) <= MAX_PITCH + 1e-6
        assert abs(euler[1]) <= MAX_YAW + 1e-6
        assert np.isfinite(trans).all()
    codes = np.stack([sample_expression(who, rng) for _ in range(20)])
    assert np.abs(codes).max() < 12
    before, after = neighbours(codes[0], rng)
    assert np.abs(before - codes[0]).max() < 1.5
    assert np.abs((before + after) / 2 - codes[0]).std() < np.abs(after - before).std()  # more motion than tremor


def test_turning_about_the_neck_keeps_the_neck():
    from core.face.torso_points import NECK

    who = person()
    euler = np.float32([0.2, 0.5, 0.1])
    before = who.source_pose.apply(np.array([NECK]))
    after = Pose.from_euler(euler, turn_about_neck(who.coeffs, euler)).apply(np.array([NECK]))
    assert np.abs(before - after).max() < 1e-5


def test_grading_changes_all_layers_alike():
    who = person()
    change = Grade(np.array([1.1, 1.0, 0.9]), 1.2, 0.8)
    other = grade(who, change)
    assert psnr(render(other, *own(who), size=SIZE).image, change.apply(who.photograph)) >= 28
    same = Grade(np.ones(3), 1.0, 1.0).apply(who.photograph)
    assert np.array_equal(same, who.photograph)


def test_split_depends_on_the_name_alone():
    from core.people.photos import split_of

    names = [f"photo{i}" for i in range(4000)]
    share = np.mean([split_of(name) == "val" for name in names])
    assert share == pytest.approx(0.135, abs=0.02)
    assert split_of("photo1") == split_of("photo1")


def test_crown_completes_a_cut_head():
    from core.people.canvas import PAD, extend

    image = np.full((64, 64, 3), 90, np.uint8)
    labels = np.zeros((64, 64), np.uint8)
    labels[:40, 16:48] = 1
    alpha = (labels == 1).astype(np.float32)
    picture, classes, mask = extend(image, labels, alpha)
    pad = round(PAD * 64)
    assert picture.shape == (64 + 2 * pad, 64 + 2 * pad, 3)
    assert mask[pad - 3, pad + 32] > 0.9
    assert classes[pad - 3, pad + 32] == 1
    assert mask[:pad, :pad].max() == 0
    assert np.array_equal(mask[pad:-pad, pad:-pad], alpha)


def test_eyes_turn_behind_the_lids():
    who = person()
    exp, euler, trans = own(who)
    pose = Pose.from_euler(euler, trans)
    from core.people.geometry import project as flat

    right, left = who.motion.measured[[33, 133]], who.motion.measured[[263, 362]]
    boxes = [np.rint(flat(pose.apply(corners)) * SIZE).astype(int) for corners in (right, left)]

    def pupil(frame: np.ndarray, box: np.ndarray) -> float:
        """Mean column of what is darkest between the corners of the eye."""
        low, high = sorted(box[:, 0])
        row = round(box[:, 1].mean()) - 1
        dark = np.clip(140 - frame[row - 1 : row + 2, low + 3 : high - 2].astype(float).mean((0, 2)), 0, None)
        return float((dark * np.arange(len(dark))).sum() / dark.sum())

    def looking(yaw: float) -> np.ndarray:
        return render(who, exp, euler, trans, SIZE, gaze=np.add(who.eyes.rest, [np.radians(yaw), 0])).image

    there, here, away = looking(18), looking(0), looking(-18)
    radius = who.eyes.radius.mean() * np.sin(np.radians(18)) * FIT_FOCAL / (10 - trans[2]) * SIZE
    for box in boxes:
        assert pupil(there, box) - pupil(away, box) == pytest.approx(2 * radius, rel=0.5)
    plain = render(who, exp, euler, trans, SIZE)
    assert np.array_equal(plain.gaze, who.eyes.rest.astype(np.float32))
    outside = np.ones((SIZE, SIZE), bool)
    for box in boxes:
        (left_edge, top), (right_edge, bottom) = box.min(0), box.max(0)
        outside[top - 8 : bottom + 8, left_edge - 2 : right_edge + 3] = False
    assert np.array_equal(there[outside], plain.image[outside])
    assert psnr(here, plain.image) > 38
    shut = named(who, "blink")
    closed = [render(who, shut, euler, trans, SIZE, gaze=np.add(who.eyes.rest, [g, 0])).image for g in (0.3, -0.3)]
    assert (np.abs(closed[0].astype(int) - closed[1]).max(-1) > 25).sum() < 12  # lids cover the eyes


def test_gaze_half_follows_the_head():
    from core.people.motion import sample_gaze, steady_gaze

    who = person()
    euler = own(who)[1]
    assert np.allclose(steady_gaze(who, euler), who.eyes.rest, atol=1e-6)
    turned = steady_gaze(who, euler + np.float32([0.1, 0.2, 0.3]))
    assert np.allclose(turned - who.eyes.rest, [-0.1, -0.05], atol=1e-6)
    assert np.array_equal(sample_gaze(who, np.random.default_rng(1)), sample_gaze(who, np.random.default_rng(1)))


def test_source_gaze_is_measured():
    """Irises moved sideways on a photograph move the gaze by the angle of a ball of 12 mm whose iris has 5.85 mm."""
    from dataclasses import replace

    from core.people.eyes import Irises
    from core.people.lifted import _eyes, face_and_loops
    from core.people.procedural import random_fit

    fit = random_fit(np.random.default_rng(4))
    _, loops = face_and_loops()
    straight = _eyes(fit, loops, 1)
    moved = Irises(np.add(fit.looking.xy, [fit.looking.radius[0] * 0.5, 0]), fit.looking.radius)
    change = _eyes(replace(fit, irises=moved), loops, 1).rest - straight.rest
    assert np.degrees(change[0]) == pytest.approx(np.degrees(np.arcsin(0.5 * 5.85 / 12)), abs=2.5)
    assert abs(np.degrees(change[1])) < 2.5


def test_relit_person_keeps_its_shape_and_is_bright_on_the_side_of_the_lamp():
    from core.people.lighting import FRONTAL, Light, head_normals, relight

    who = person()
    unchanged = relight(who, FRONTAL)
    assert np.abs(unchanged.photograph.astype(int) - who.photograph).max() <= 1
    lamp = Light(np.array([1.0, 0.2, 0.5]), 0.3, np.ones(3), np.ones(3))
    lit = relight(who, lamp)
    frames = [render(p, *own(p), size=SIZE) for p in (who, lit)]
    assert np.array_equal(frames[0].labels, frames[1].labels)
    assert np.array_equal(frames[0].depth, frames[1].depth)
    face = (frames[0].labels == 3) & (frames[0].head_alpha > 0.99)
    ratio = frames[1].image.astype(float).mean(-1) / np.maximum(frames[0].image.astype(float).mean(-1), 1)
    columns = np.nonzero(face)[1]
    left, right = (np.quantile(columns, q) for q in (0.25, 0.75))
    x = np.arange(SIZE)[None]
    assert np.median(ratio[face & (x > right)]) > 1.25 * np.median(ratio[face & (x < left)])
    view = render(lit, own(who)[0], own(who)[1] + np.float32([0, 0.4, 0]), own(who)[2], SIZE)  # the light stays with the head
    before = render(who, own(who)[0], own(who)[1] + np.float32([0, 0.4, 0]), own(who)[2], SIZE)
    turned = (before.labels == 3) & (before.head_alpha > 0.99)
    change = (view.image.astype(float).mean(-1) / np.maximum(before.image.astype(float).mean(-1), 1))[turned]
    assert np.percentile(change, 90) > 1.15 * np.percentile(change, 10)
    normals, seen = head_normals(who)
    assert np.allclose(np.linalg.norm(normals, axis=-1), 1)
    row, inside = seen.shape[0] // 2, np.flatnonzero(seen[seen.shape[0] // 2] > 0.9)
    assert normals[row, inside[1], 0] < -0.3 < 0.3 < normals[row, inside[-2], 0]


def test_other_skin_tone_leaves_eyes_clothes_and_background():
    from core.people.tone import Tone, melanin, retone

    who = person()
    dark = retone(who, Tone(0.3, 0.0))
    assert melanin(dark) - melanin(who) == pytest.approx(0.3, abs=0.03)
    before, after = (render(p, *own(p), size=SIZE) for p in (who, dark))
    change = np.abs(before.image.astype(float) - after.image).mean(-1)
    assert change[before.labels == 3].mean() > 15
    solid = before.torso_alpha > 0.999
    assert change[solid & (before.labels == 4)].mean() < 2
    assert change[before.background_alpha > 0.999].max() <= 1
    assert np.array_equal(who.textures[1], dark.textures[1])
    light = retone(who, Tone(-0.2, 0.0)).textures[0, ..., :3].astype(float)
    assert light.mean() > who.textures[0, ..., :3].mean()
    assert (light.min(-1) > 253).mean() < 0.01  # no burnt-out skin


def test_variation_is_seeded_and_off_by_default():
    from core.people.augment import vary_person

    who, rng = person(), np.random.default_rng(3)
    assert vary_person(who, rng) is who
    assert rng.random() == np.random.default_rng(3).random()
    once, again = (vary_person(who, np.random.default_rng(5), relit=1.0, toned=1.0) for _ in range(2))
    assert np.array_equal(once.textures, again.textures)
    assert not np.array_equal(once.textures, who.textures)


def test_pncc_of_the_label_shows_the_posed_out_face():
    """The PNCC drawn from a frame's code has the colour of each face vertex where the person's own geometry puts that vertex."""
    from core.face.pncc import render_pncc
    from core.people.geometry import project as flat

    who, face = person(), FaceModel.embedded()
    code = named(who, "smile")
    euler = np.float32([0.1, 0.3, 0])
    frame = render(who, code, euler, turn_about_neck(who.coeffs, euler), 64)
    pncc = render_pncc(face, frame.coeffs.id, frame.coeffs.exp, SIZE)[0].permute(1, 2, 0).numpy()
    spots = flat(who.motion.model(code)) * SIZE - 0.5
    cheeks = [50, 280, 101, 330, 4, 195, 9, 151, 199, 205, 425]
    for vertex in cheeks:
        column, row = np.rint(spots[vertex]).astype(int)
        assert np.abs(pncc[row, column] - (face.ncc[vertex].numpy() * 2 - 1)).max() < 0.04


def test_far_cheek_wears_the_near_one():
    """On a photograph with one dark half, a head that turns it away has the lit half's texture there, darkened."""
    from core.people.hidden_side import far_cheek, far_side
    from core.people.lifted import face_and_loops
    from core.people.procedural import random_fit

    fit = random_fit(np.random.default_rng(2))
    face, _ = face_and_loops()
    triangles, measured = face.triangles.numpy(), fit.motion.measured
    turned = Pose.from_euler(np.array([0.0, 0.35, 0.0]), fit.pose.trans)
    side = 176
    image = np.full((side, side, 3), 100, np.uint8)
    mesh, texture = far_cheek(image, measured, triangles, turned)
    assert len(mesh.triangles) > 20
    assert far_side(measured[mesh.triangles].mean(1), turned).mean() > 0.9
    centre = measured[mesh.triangles].mean(1)
    assert (np.sign(centre[:, 0]) == np.sign(np.median(centre[:, 0]))).mean() > 0.9
    opaque = texture[..., 3] > 250
    assert opaque.sum() > 20
    assert np.abs(texture[opaque][:, :3].astype(int) - 100).max() <= 1  # same colours on both sides: nothing to match
    columns = np.nonzero(opaque)[1] / side
    middle = (mesh.uvw[4, 0] / mesh.uvw[4, 2] + mesh.uvw[195, 0] / mesh.uvw[195, 2]) / 2
    assert (columns > middle).mean() > 0.95 or (columns < middle).mean() > 0.95
    straight = Pose.from_euler(np.zeros(3), fit.pose.trans)
    assert len(far_cheek(image, measured, triangles, straight)[0].triangles) == 0
    dark = image.copy()
    far_is_left = np.median(columns) > middle
    dark[:, : int(middle * side)] = 60 if far_is_left else 100
    dark[:, int(middle * side) :] = 100 if far_is_left else 60
    matched = far_cheek(dark, measured, triangles, turned)[1]
    assert np.median(matched[matched[..., 3] > 250][:, :3]) == pytest.approx(60, abs=6)
