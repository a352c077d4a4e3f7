"""Lids that shut: what they wear, against the photograph and against a stretched one."""

import numpy as np
import pytest
import torch
from core.face.expression import close_eyes
from core.face.lids import EDGES, closed_lids, lid_openings
from core.face.model import FaceModel
from core.people.geometry import LAYER_EYES, LAYER_FRONT
from core.people.lids import APART, STEPS
from core.people.lifted import lift, square
from core.people.person import Person, render
from core.people.render_torch import DevicePerson
from core.people.shut_eyes import eye_box, shut_eyes


@pytest.fixture(scope="module")
def person() -> Person:
    from skimage.data import astronaut

    return lift(square(astronaut(), "astronaut"), "astronaut")


@pytest.fixture(scope="module")
def shut(person: Person) -> np.ndarray:
    c = person.coeffs
    return close_eyes(FaceModel.embedded(), c.id, c.exp, torch.ones(1))[0].numpy()


def test_an_open_lid_wears_the_very_photograph(person: Person):
    texture, front = (person.textures[layer, ..., :3] for layer in (LAYER_EYES, LAYER_FRONT))
    side = len(front)
    uvw = person.solid.uvw[person.lids.first : person.lids.first + 2 * person.lids.count]
    points = uvw[:, :2] / uvw[:, 2:] * side
    worn = person.worn(np.zeros((468, 3)), None)[person.lids.first : person.lids.first + 2 * person.lids.count]
    down = (worn[:, 1] / worn[:, 2] - uvw[:, 1] / uvw[:, 2]) * side
    gap = round(APART * side)
    np.testing.assert_allclose(down, 2 * gap, atol=1e-3)
    x, y = np.round(points).astype(int).T
    np.testing.assert_array_equal(texture[y + 2 * gap, x], front[y, x])


def test_lids_change_step_by_step_as_they_close(person: Person, shut: np.ndarray):
    rows, steps = slice(person.lids.first, person.lids.first + person.lids.count), []
    for share in np.linspace(0, 1, 21):
        motion = person.motion(person.coeffs.exp[0].numpy() * (1 - share) + shut * share)
        uvw = person.worn(motion, None)[rows]
        steps.append(float(np.mean(uvw[:, 1] / uvw[:, 2] - person.solid.uvw[rows, 1] / person.solid.uvw[rows, 2])) / person.lids.apart - 2)
    np.testing.assert_allclose(sorted(set(np.round(steps, 3))), np.arange(STEPS), atol=1e-3)
    assert (np.diff(steps) > -1e-3).all()
    assert lid_openings(torch.from_numpy(person.motion.measured + person.motion(shut))[None]).max() < 0.01


def test_a_shut_lid_is_skin_and_not_drawn_out_lashes(person: Person, shut: np.ndarray):
    from dataclasses import replace

    c = person.coeffs
    pose = c.euler[0].numpy(), c.trans[0].numpy()
    stretched = replace(person, lids=None, textures=_without_looks(person))

    def roughness(who: Person) -> float:
        frame = render(who, shut, *pose)
        edge = (frame.landmarks[list(EDGES[0]), :2] + 1) * 256
        fold = (frame.landmarks[[247, 30, 29, 27, 28, 56, 190], :2] + 1) * 256
        rows = slice(int(fold[:, 1].min()) + 2, int(edge[2:7, 1].mean()) - 3)
        patch = frame.image[rows, int(edge[2, 0]) : int(edge[6, 0])].astype(float).mean(-1)
        return float(np.abs(np.diff(patch, axis=1)).mean())

    assert roughness(person) < 0.6 * roughness(stretched)


def _without_looks(person: Person) -> np.ndarray:
    """Lids that wear the photograph in place: its pixels written where the mesh without ``lids`` looks for them."""
    textures = person.textures.copy()
    side = textures.shape[1]
    uvw = person.solid.uvw[person.lids.first : person.lids.first + 2 * person.lids.count]
    points = uvw[:, :2] / uvw[:, 2:] * side
    low, high = np.floor(points.min(0)).astype(int) - 2, np.ceil(points.max(0)).astype(int) + 3
    textures[LAYER_EYES, low[1] : high[1], low[0] : high[0]] = textures[LAYER_FRONT, low[1] : high[1], low[0] : high[0]]
    return textures


def test_both_renderers_shut_the_same_lids(person: Person, shut: np.ndarray):
    c = person.coeffs
    frame = render(person, shut, c.euler[0].numpy(), c.trans[0].numpy(), 256)
    frames = DevicePerson(person).render(shut[None], c.euler.numpy(), c.trans.numpy(), 256)
    error = (frames.image[0].double().numpy() - frame.image) ** 2
    assert 10 * np.log10(255**2 / error.mean()) > 42


def test_only_eyes_and_lids_are_painted_over():
    rng = np.random.default_rng(0)
    image = rng.integers(90, 200, (200, 200, 3), dtype=np.uint8)
    face = FaceModel.embedded()
    xy = face.mean[face.keypoints468].double().numpy()[:, :2] * [0.45, -0.45] + 0.5
    made = shut_eyes(image, xy)
    changed = (made != image).any(2)
    boxes = np.zeros_like(changed)
    for eye in range(2):
        boxes[eye_box(xy * 200, eye, 200)] = True
    assert changed.any()
    assert not (changed & ~boxes).any()
    for eye in EDGES:
        x, y = (xy[list(eye)[2:7]].mean(0) * 200).astype(int)
        assert made[y - 3 : y, x - 4 : x + 4].std() < 0.5 * image[y - 3 : y, x - 4 : x + 4].std()


def test_how_far_lids_are_shut_point_by_point():
    face = FaceModel.embedded()
    rest, exp = torch.zeros(1, 80), torch.zeros(1, 64)
    open_, half, shut = (face.vertices(rest, close_eyes(face, rest, exp, torch.full((1,), amount))) for amount in (0.0, 0.5, 1.0))
    share = closed_lids(half, open_)[0]
    lids = share > 0
    assert 44 <= lids.sum() <= 50
    torch.testing.assert_close(share[lids], torch.full((int(lids.sum()),), 0.5), atol=0.1, rtol=0)
    assert closed_lids(shut, open_).max() > 0.9
    assert closed_lids(open_, shut).max() == 0  # opened further than the other face is not shut
    assert closed_lids(torch.zeros(1, 500, 3), torch.zeros(1, 500, 3)).max() == 0
