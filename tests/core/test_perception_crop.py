import numpy as np
import pytest
from core.perception.crop import MAX_SHIFT, TARGET_AREA, TIGHTEST_AREA, square_crop
from core.perception.landmarks import face_from_pixels, find_face
from core.perception.window import cut_square


def face_in(height, width, left, top, side):
    """478 points that fill a box 0.8 ``side`` wide and ``side`` high."""
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 1, (478, 3)) * (0.8 * side, side, 10)
    points[0, :2], points[1, :2] = (0, 0), (0.8 * side, side)
    return face_from_pixels((points + np.array([left, top, 0])).astype(np.float32), height, width)


def test_area_and_place_where_there_is_room():
    image = np.zeros((2000, 3000, 3), np.uint8)
    crop = square_crop(image, face_in(2000, 3000, 1200, 900, 200))
    assert crop.image.shape == (512, 512, 3)
    assert crop.area_fraction == pytest.approx(TARGET_AREA, rel=0.02)
    middle = (crop.landmarks[:468, :2].min(0) + crop.landmarks[:468, :2].max(0)) / 2
    np.testing.assert_allclose(middle, (0.5, 0.53), atol=0.01)


def test_a_good_crop_passes_unchanged():
    image = np.random.default_rng(0).integers(0, 255, (512, 512, 3), np.uint8)
    crop = square_crop(image, face_in(512, 512, 140, 130, 300))
    assert (crop.left, crop.top, crop.side) == (0, 0, 512)
    np.testing.assert_array_equal(crop.image, image)


def test_padding_only_when_the_photo_is_very_tight():
    image = np.random.default_rng(0).integers(0, 255, (400, 300, 3), np.uint8)
    crop = square_crop(image, face_in(400, 300, 20, 30, 330))
    assert crop.area_fraction == pytest.approx(TIGHTEST_AREA, rel=0.02)
    assert crop.side > 300
    np.testing.assert_array_equal(crop.image[:, 0], crop.image[:, 1])  # repeated border


def test_the_window_moves_into_the_photo_but_not_far():
    image = np.zeros((1000, 1000, 3), np.uint8)
    crop = square_crop(image, face_in(1000, 1000, 5, 400, 200))
    free = 5 + 80 - crop.side / 2
    assert crop.left == pytest.approx(free + min(-free, MAX_SHIFT * crop.side), abs=1)


def test_points_and_the_way_back_agree():
    image = np.zeros((700, 900, 3), np.uint8)
    face = face_in(700, 900, 300, 200, 150)
    crop = square_crop(image, face)
    back = np.concatenate([crop.landmarks[:, :2], np.ones((478, 1))], 1) @ crop.to_photo.T
    np.testing.assert_allclose(back, face.landmarks[:, :2] * (900, 700), atol=1e-2)
    assert crop.scale == pytest.approx(512 / crop.side)


def test_window_repeats_the_border():
    image = np.random.default_rng(0).integers(0, 255, (40, 30, 3), np.uint8)
    expected = np.pad(image, ((50, 50), (50, 50), (0, 0)), mode="edge")
    for left, top, side in ((0, 0, 30), (-7, 5, 20), (20, 35, 25), (-5, -6, 50), (-50, -50, 40), (35, 45, 10)):
        np.testing.assert_array_equal(cut_square(image, left, top, side, side), expected[top + 50 :, left + 50 :][:side, :side])


def test_detection_agrees_in_photo_and_crop():
    pytest.importorskip("mediapipe")
    photo = pytest.importorskip("skimage.data").astronaut()
    crop = square_crop(photo, find_face(photo))
    again = find_face(crop.image)
    assert np.linalg.norm(again.landmarks[:, :2] - crop.landmarks[:, :2], axis=1).mean() < 0.006
    assert crop.area_fraction == pytest.approx(TARGET_AREA, rel=0.05)
