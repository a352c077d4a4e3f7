"""A lifted photograph (the public-domain astronaut of scikit-image): its source view, its labels in two views, and what age changes."""

from functools import lru_cache

import numpy as np
import torch
from core.people.age import Age, age
from core.people.geometry import LAYER_BACK, LAYER_EYES, LAYER_FRONT
from core.people.lifted import lift, square
from core.people.motion import turn_about_neck
from core.people.person import Person, PersonFrame, render
from scipy.ndimage import gaussian_filter

SIZE = 256


@lru_cache(maxsize=1)
def person() -> Person:
    from skimage.data import astronaut

    return lift(square(astronaut(), "astronaut", SIZE), "astronaut")


def view(who: Person, yaw: float = 0.0) -> PersonFrame:
    c = who.coeffs
    euler = c.euler[0].numpy() + np.float32([0, yaw, 0])
    return render(who, c.exp[0].numpy(), euler, turn_about_neck(c, euler), SIZE)


def test_source_view_reproduces_the_photograph():
    who = person()
    error = np.mean((view(who).image.astype(float) - who.photograph) ** 2)
    assert 10 * np.log10(255**2 / error) >= 32


def test_depth_carries_colours_into_another_view():
    here, there = view(person()), view(person(), 0.25)
    rows, columns = np.nonzero((here.head_alpha > 0.999) & (here.labels == 3))
    xy = torch.from_numpy(np.stack([columns, rows], 1) + 0.5).float() / SIZE
    label = here.camera.label[0]
    matrix, focal = label[:16].view(4, 4), label[16]
    forward = torch.from_numpy(here.depth[rows, columns])[:, None] * 0.27
    world = torch.cat([(xy - 0.5) / focal * forward, forward], 1) @ matrix[:3, :3].T + matrix[:3, 3]
    flat, _ = there.camera.project(world[None])
    j, i = (flat[0].flip(1) * SIZE - 0.5).round().long().clamp(0, SIZE - 1).T.numpy()
    seen = (world - there.camera.cam2world[0, :3, 3]) @ there.camera.cam2world[0, :3, 2]
    visible = np.abs(there.depth[j, i] * 0.27 - seen.numpy()) < 0.004
    assert visible.mean() > 0.6
    difference = np.abs(here.image[rows, columns].astype(float) - there.image[j, i])[visible]
    assert np.median(difference) < 5
    total = here.head_alpha + here.torso_alpha + here.background_alpha
    assert np.abs(total - 1).max() < 1e-6


def detail(who: Person) -> float:
    """Contrast of folds on the cheeks and the forehead of the texture."""
    texture = who.textures[LAYER_FRONT, ..., :3].astype(float).mean(-1)
    skin = gaussian_filter((who.classes[LAYER_FRONT] == 3).astype(float), 3) > 0.99
    fine = gaussian_filter(texture, 1) - gaussian_filter(texture, 0.02 * len(texture))
    return float(fine[skin].std())


def test_older_and_younger_skin():
    who = person()
    old, young = age(who, Age(1.6, 0.0)), age(who, Age(0.6, 0.0))
    assert detail(young) < 0.97 * detail(who) < detail(who) < 0.97 * detail(old)
    for other in (old, young):
        assert np.array_equal(other.textures[LAYER_EYES], who.textures[LAYER_EYES])
        assert np.array_equal(other.background, who.background)
        skin = who.classes[LAYER_FRONT] == 3
        change = other.textures[LAYER_FRONT][skin].astype(float).mean() / who.textures[LAYER_FRONT][skin].astype(float).mean()
        assert abs(change - 1) < 0.03  # lines, not complexion
    a, b = view(who), view(old)
    assert np.array_equal(a.depth, b.depth)
    assert np.array_equal(a.labels, b.labels)


def test_hair_greys_and_skin_does_not():
    who = person()
    grey = age(who, Age(1.0, 0.8))
    hair, skin = who.classes[LAYER_BACK] == 1, who.classes[LAYER_FRONT] == 3

    def colour(texture: np.ndarray, where: np.ndarray) -> np.ndarray:
        return texture[where][:, :3].astype(float).mean(0)

    before, after = (colour(each.textures[LAYER_BACK], hair) for each in (who, grey))
    assert after.mean() > before.mean() + 10
    assert np.ptp(after) / after.mean() < np.ptp(before) / before.mean()
    assert np.abs(colour(grey.textures[LAYER_FRONT], skin) - colour(who.textures[LAYER_FRONT], skin)).max() < 3
    photographs = [each.photograph.astype(float).mean() for each in (who, grey)]
    assert photographs[1] > photographs[0]
    once, again = (Age.sample(np.random.default_rng(3)) for _ in range(2))
    assert once == again


def test_a_turned_head_is_turned_less_to_the_side_that_it_hides():
    from core.people.lifted import REACH, reach_from
    from core.people.motion import sample_pose

    who = person()
    own = float(who.coeffs.euler[0, 1])
    assert who.reach == reach_from(own)
    assert REACH - abs(own) < who.reach < REACH
    yaws = np.array([sample_pose(who, np.random.default_rng(seed))[0][1] for seed in range(200)])
    hidden = (yaws - own) * -np.sign(own)
    assert 0.9 * who.reach < hidden.max() <= who.reach + 1e-6
