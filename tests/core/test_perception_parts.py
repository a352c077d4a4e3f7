"""The parser that needs no network of parts, on drawn portraits whose parts are known."""

import numpy as np
import pytest
from core.perception.face_frame import FACE_OVAL, face_frame
from core.perception.part_odds import look, part_odds
from core.perception.walk import EDGE, LEAST_SAY, random_walk

cv2 = pytest.importorskip("cv2")
SIZE = 256
HAIR, FACE, NECK, CLOTHES = range(4)
SKIN, DARK, JACKET = (214, 168, 148), (52, 36, 30), (44, 46, 56)


def ellipse():
    """Landmarks of an upright face."""
    points = np.full((478, 2), 0.5, np.float32)
    for k, index in enumerate(FACE_OVAL):
        turn = 2 * np.pi * k / len(FACE_OVAL)
        points[index] = 0.5 + 0.18 * np.sin(turn), 0.42 - 0.24 * np.cos(turn)
    return points


def drawn(hair_ends, jacket=JACKET):
    """Picture, person and true parts: a face, hair down to a height, a neck, a jacket; all with a little noise."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    frame = face_frame(ellipse(), SIZE, SIZE)
    parts = np.full((SIZE, SIZE), -1)
    parts[(y > 0.72 + 0.5 * np.maximum(np.abs(x - 0.5) - 0.12, 0)) & (np.abs(x - 0.5) < 0.45)] = CLOTHES
    parts[(np.abs(x - 0.5) < 0.11) & (y > 0.5) & (y < 0.78)] = NECK
    crown = ((x - 0.5) / 0.26) ** 2 + ((y - 0.38) / 0.3) ** 2 < 1
    parts[(crown & (y < 0.38)) | ((np.abs(np.abs(x - 0.5) - 0.2) < 0.06) & (y >= 0.38) & (y < hair_ends))] = HAIR
    parts[frame.oval] = FACE
    colours = np.array([DARK, SKIN, np.array(SKIN) * 0.8, jacket, (90, 140, 180)])
    noise = np.random.default_rng(0).normal(0, 4, (SIZE, SIZE, 3))
    return np.clip(colours[parts] + noise, 0, 255).astype(np.uint8), parts >= 0, parts


def right(picture, person, parts, part):
    """Share of the part's inner pixels for which it is the likeliest."""
    view = look(picture, ellipse(), person, face_frame(ellipse(), SIZE, SIZE).width)
    odds = part_odds(view)
    np.testing.assert_allclose(odds.sum(axis=0)[view.person], 1, atol=1e-4)
    inner = cv2.erode((parts == part).astype(np.uint8), np.ones((9, 9)))
    inner = cv2.resize(inner, odds.shape[:0:-1], interpolation=cv2.INTER_NEAREST) > 0
    return (odds.argmax(axis=0)[inner] == part).mean()


@pytest.mark.parametrize("part", [HAIR, FACE, NECK, CLOTHES])
@pytest.mark.parametrize("hair_ends", [0.48, 0.85])
def test_dark_hair_over_a_dark_jacket(part, hair_ends):
    assert right(*drawn(hair_ends), part) > 0.95


@pytest.mark.parametrize("part", [HAIR, CLOTHES])
def test_short_hair_over_a_jacket_of_its_colour(part):
    assert right(*drawn(0.48, jacket=DARK), part) > 0.95


def test_random_walk_against_a_dense_solution():
    rng = np.random.default_rng(0)
    lab = rng.normal(0, 6, (7, 8, 3)).astype(np.float32)
    inside = rng.random((7, 8)) < 0.8
    belief, trust = rng.random((7, 8)), rng.random((7, 8)) + 0.05
    places = np.argwhere(inside)
    step = np.abs(places[:, None] - places[None]).sum(axis=-1) == 1
    colours = lab[inside].astype(np.float64)
    say = step * (np.exp(-np.square(colours[:, None] - colours[None]).sum(axis=-1) / (2 * EDGE**2)) + LEAST_SAY)
    matrix = np.diag(say.sum(axis=1) + trust[inside]) - say
    result = random_walk(lab, inside, belief, trust)
    np.testing.assert_allclose(result[inside], np.linalg.solve(matrix, (trust * belief)[inside]), atol=1e-5)
    assert (result[~inside] == 0).all()


def test_random_walk_stops_at_edges():
    lab = np.zeros((10, 20, 3), np.float32)
    lab[:, 13:] = 60
    belief = np.where(np.arange(20) < 5, 1.0, 0.0) * np.ones((10, 1))
    trust = np.where((np.arange(20) < 2) | (np.arange(20) > 17), 50.0, 1e-4) * np.ones((10, 1))
    result = random_walk(lab, np.ones((10, 20), bool), belief, trust)
    assert (result[:, :13] > 0.85).all()
    assert (result[:, 13:] < 0.15).all()
