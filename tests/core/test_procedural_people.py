"""Procedural people: complete heads, parts that can be exchanged, colours that follow their light."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from core.people.atlas import LAYER_WEAR, cylinder_uv, flat_uvw, surface
from core.people.bake import Lamp
from core.people.dimorphism import embedded
from core.people.geometry import LAYER_BACK, LAYER_FRONT
from core.people.hair_styles import STYLES
from core.people.lifted import face_and_loops
from core.people.lighting import Light
from core.people.motion import named, turn_about_neck
from core.people.person import Person, PersonFrame, render, render_source
from core.people.procedural import look_of, make_person, random_fit
from core.people.skull import Head, Skull, build_head

SIZE = 96


@lru_cache(maxsize=1)
def head() -> Head:
    fit = random_fit(np.random.default_rng(5))
    face, loops = face_and_loops()
    skull = Skull.around(fit.motion.measured, np.random.default_rng(5))
    return build_head(fit.motion.measured, face.triangles.numpy(), loops["oval"], skull)


@lru_cache(maxsize=6)
def person(**changes: str) -> Person:
    return make_person(7, SIZE, replace(look_of(7), **changes))


def view(who: Person, pitch: float, yaw: float, kind: str = "neutral") -> PersonFrame:
    euler = np.radians([pitch, yaw, 0]).astype(np.float32)
    return render(who, named(who, kind), euler, turn_about_neck(who.coeffs, euler), SIZE)


def test_heads_are_closed_but_for_eyes_mouth_and_one_point_behind():
    triangles = head().mesh.triangles
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), 1)
    pairs, count = np.unique(edges, axis=0, return_counts=True)
    assert count.max() == 2
    rim = head().mesh.vertices[np.unique(pairs[count == 1])]
    behind = rim[:, 2] < head().skull.centre[2]
    assert np.ptp(rim[behind], axis=0).max() < 0.06
    assert (np.abs(rim[~behind][:, 0]) < 0.5).all()
    assert (rim[~behind][:, 2] > -0.2).all()


def test_normals_point_outwards():
    away = head().mesh.vertices - head().skull.centre
    outwards = (away * head().normals).sum(1) > 0
    assert outwards.mean() > 0.97


def test_skull_radius_is_that_of_an_ellipsoid_along_its_axes():
    skull = Skull(np.zeros(3), 0.7, 1.0, 0.9, 0.8, 0.95)
    ways = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1.0]])
    assert np.allclose(skull.radius(ways), [0.7, 0.7, 1.0, 0.9, 0.8, 0.95])


def test_unrolled_surfaces_carry_their_own_positions():
    mesh, normals = head().mesh, head().normals
    centre = head().skull.centre
    faces = mesh.triangles[: head().face_triangles]
    uv = cylinder_uv(mesh.vertices, centre)
    lies = surface(flat_uvw(uv), mesh.vertices, normals, faces, 200)
    for vertex in (4, 9, 50, 280, 199):
        column, row = (uv[vertex] * 200).astype(int)
        assert lies.seen[row, column]
        assert np.abs(lies.points[row, column] - mesh.vertices[vertex]).max() < 0.04
    assert np.allclose(np.linalg.norm(lies.normals[lies.seen], axis=-1), 1, atol=1e-3)


def test_light_equals_the_written_out_formula():
    rng = np.random.default_rng(0)
    normals = rng.normal(size=(40, 3)).astype(np.float32)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    lamp = Lamp(np.array([0.6, 0.0, 0.8]), np.array([0.0, 0.0, 1.0]), Light(np.zeros(3), 0.4, np.array([1.1, 1, 0.9]), np.ones(3)), 1.0)
    wrap = np.array([0.5, 0.3, 0.2], np.float32)
    direct = np.clip((normals @ lamp.direction)[:, None] * (1 / (1 + wrap)) + wrap / (1 + wrap), 0, 1) ** (1 + wrap / 2)
    sky = 0.4 * (0.78 + 0.22 * normals[:, 1:2]) * (0.85 + 0.15 * np.clip(normals[:, 2:], 0, 1))
    assert np.allclose(lamp.arriving(normals, wrap), sky + 0.6 * np.array([1.1, 1, 0.9]) * direct, atol=1e-5)


@pytest.mark.parametrize("cut", ["shaved", "short", "bob"])
@pytest.mark.parametrize(("pitch", "yaw"), [(0, -75), (0, 75), (30, 20), (-30, -20)])
def test_no_holes_from_any_side(pitch: float, yaw: float, cut: str):
    from scipy.ndimage import binary_fill_holes

    frame = view(person(glasses="none", hat="none", hair=STYLES[cut]), pitch, yaw)
    shown = frame.head_alpha > 0.5
    assert (binary_fill_holes(shown) & ~shown).sum() < 8
    assert shown.mean() > 0.12
    assert 3 in frame.labels


def test_glasses_come_and_go_and_nothing_else():
    bare, worn = person(glasses="none", hat="none"), person(glasses="square", hat="none")
    before, after = (render_source(who, SIZE) for who in (bare, worn))
    assert not (before.labels == 5).any()
    frame = after.labels == 5
    assert 20 < frame.sum() < 0.06 * SIZE**2
    changed = np.abs(before.image.astype(int) - after.image).max(-1) > 40
    rows = np.flatnonzero(changed.any(1))
    eyes = (before.keypoints[36:48, 1] + 1) / 2 * SIZE
    assert abs(rows.mean() - eyes.mean()) < 0.08 * SIZE
    assert np.array_equal(bare.torso.image, worn.torso.image)
    assert np.array_equal(bare.textures[LAYER_FRONT], worn.textures[LAYER_FRONT])


@pytest.mark.parametrize("kind", ["beanie", "cap", "brim", "scarf"])
def test_hats_are_other_things(kind: str):
    who = person(hat=kind)
    frame = view(who, 0, 30)
    assert (frame.labels == 5).mean() > 0.02
    assert LAYER_WEAR in who.solid.layer


@pytest.mark.parametrize("kind", ["beanie", "cap"])
def test_no_hair_comes_through_a_hat(kind: str):
    labels = view(person(hat=kind, hair=STYLES["afro"], glasses="none"), 0, 0).labels
    covered = np.maximum.accumulate((labels == 5)[::-1], 0)[::-1]  # above the lowest row of the hat in each column
    assert (labels == 5).mean() > 0.04
    assert (covered & (labels == 1)).sum() < 0.02 * (labels == 5).sum()


def test_women_have_narrower_jaws_and_fuller_lips_than_their_brothers():
    jaw, lips = [], []
    for seed in range(3):
        for woman in (True, False):
            face = random_fit(np.random.default_rng(seed), woman).motion.measured
            jaw.append(np.linalg.norm(face[397] - face[172]) / np.linalg.norm(face[33] - face[263]))
            lips.append(np.linalg.norm(face[0] - face[13]) + np.linalg.norm(face[14] - face[17]))
    jaw, lips = (np.array(measure).reshape(3, 2) for measure in (jaw, lips))
    assert (jaw[:, 0] < jaw[:, 1]).all()
    assert (lips[:, 0] > lips[:, 1]).all()
    assert np.isclose(np.linalg.norm(embedded()), 1)


def test_bald_heads_show_no_hair_and_hanging_hair_reaches_lower():
    bald, short, long = (person(hair=STYLES[name], hat="none", glasses="none") for name in ("shaved", "short", "long"))
    assert not (view(bald, 0, 40).labels == 1).any()
    assert LAYER_BACK not in bald.solid.layer
    low = [np.flatnonzero((view(who, 0, 60).labels == 1).any(1)).max() for who in (short, long)]
    assert low[1] > low[0] + 0.15 * SIZE


def test_lamps_on_either_side_light_either_cheek():
    sides = []
    for x in (-1.0, 1.0):
        light = Light(np.array([x, 0.1, 0.2]), 0.15, np.ones(3), np.ones(3))
        frame = render_source(make_person(7, SIZE, replace(look_of(7), light=light, glasses="none", hat="none")), SIZE)
        face, middle = (frame.labels == 3) & (frame.head_alpha > 0.99), np.mean((frame.keypoints[27:31, 0] + 1) / 2 * SIZE)
        grey, columns = frame.head.mean(-1), np.arange(SIZE)[None] + 0 * frame.labels
        sides.append(grey[face & (columns < middle)].mean() / grey[face & (columns > middle)].mean())
    assert sides[0] > 1.3
    assert sides[1] < 0.77
