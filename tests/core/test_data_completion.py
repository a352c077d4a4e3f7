import numpy as np
import pytest
from core.data.completion import complete
from core.data.layers import inpaint_background

pytest.importorskip("cv2")
SIZE = 128


@pytest.fixture
def curtain():
    """Stripes that lean a little, with a disc cut out; the truth, what is known, and a smooth guess."""
    y, x = np.mgrid[:SIZE, :SIZE]
    wave = 128 + 80 * np.sin((x + 0.25 * y) * 2 * np.pi / 13)
    truth = np.stack([wave, 0.6 * wave, 255 - wave], 2).astype(np.uint8)
    known = (y - 64) ** 2 + (x - 60) ** 2 > 18**2
    return truth, known, np.full_like(truth, truth.mean((0, 1)).astype(np.uint8))


def error(found, truth, where):
    return np.sqrt(np.square(found.astype(float) - truth)[where].mean())


def test_stripes_go_on_through_a_hole(curtain):
    truth, known, guess = curtain
    found = complete(np.where(known[..., None], truth, 0).astype(np.uint8), known, guess)
    rim = ~known & (np.hypot(*(np.mgrid[:SIZE, :SIZE] - np.array([64, 60])[:, None, None])) > 10)
    assert error(found, truth, rim) < 0.5 * error(guess, truth, rim)
    np.testing.assert_array_equal(found[known], truth[known])


def test_what_lies_in_the_hole_does_not_matter(curtain):
    truth, known, guess = curtain
    rng = np.random.default_rng(0)
    pictures = (np.where(known[..., None], truth, rng.integers(0, 256, truth.shape)).astype(np.uint8) for _ in range(2))
    first, second = (complete(picture, known, guess) for picture in pictures)
    np.testing.assert_array_equal(first, second)


def test_deep_inside_the_guess_stays():
    image = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    known = np.zeros((SIZE, SIZE), bool)
    known[:, :40] = True
    guess = np.full_like(image, 90)
    found = complete(image, known, guess)
    assert (found[:, 64:] == 90).all()
    assert found[:, 40:46].std() > 0.3 * image.std()


@pytest.mark.parametrize("shape", [(40, 60), (33, 33), (9, 7), (3, 50), (1, 1)])
def test_small_pictures_and_pictures_that_are_all_hole(shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    guess = np.full_like(image, 50)
    np.testing.assert_array_equal(complete(image, np.zeros(shape, bool), guess), guess)
    np.testing.assert_array_equal(complete(image, np.ones(shape, bool), guess), image)
    some = np.zeros(shape, bool)
    some[0, 0] = True  # no patch is known altogether
    np.testing.assert_array_equal(complete(image, some, guess), np.where(some[..., None], image, guess))


def test_a_background_with_texture(curtain):
    truth, known, _ = curtain
    person = (~known).astype(np.float32)
    blurred, textured = inpaint_background(truth, person), inpaint_background(truth, person, texture=True)
    rim = ~known & (np.hypot(*(np.mgrid[:SIZE, :SIZE] - np.array([64, 60])[:, None, None])) > 12)
    assert error(textured, truth, rim) < 0.5 * error(blurred, truth, rim)
    np.testing.assert_array_equal(textured[:30], truth[:30])
