import numpy as np
import pytest
from core.perception.colours import TEXTURES, colour_bins, colour_density, skin_distance, texture
from core.perception.crop import square_crop
from core.perception.landmarks import find_face
from core.perception.matting import _local_fit, foreground_colours, guided_filter, person_alpha, recolour
from core.perception.parsing import Part, parse

cv2 = pytest.importorskip("cv2")


@pytest.fixture(scope="module")
def crop():
    pytest.importorskip("mediapipe")
    photo = pytest.importorskip("skimage.data").astronaut()
    return square_crop(photo, find_face(photo))


@pytest.fixture(scope="module")
def parsing(crop):
    return parse(crop.image, crop.landmarks)


def test_local_fit_against_least_squares():
    rng = np.random.default_rng(0)
    guide, values = rng.random((15, 17, 3)).astype(np.float32), rng.random((15, 17)).astype(np.float32)
    radius, eps = 2, 1e-2
    slopes = np.zeros((15, 17, 4))
    padded = np.pad(np.concatenate([guide, values[..., None]], -1), ((2, 2), (2, 2), (0, 0)), mode="symmetric").astype(np.float64)
    for y in range(15):
        for x in range(17):
            window = padded[y : y + 5, x : x + 5].reshape(25, 4)
            colour, target = window[:, :3], window[:, 3]
            centred = colour - colour.mean(0)
            a = np.linalg.solve(centred.T @ centred / 25 + eps * np.eye(3), centred.T @ (target - target.mean()) / 25)
            slopes[y, x] = [*a, target.mean() - a @ colour.mean(0)]
    padded = np.pad(slopes, ((2, 2), (2, 2), (0, 0)), mode="symmetric")
    expected = np.stack([[padded[y : y + 5, x : x + 5].mean((0, 1)) for x in range(17)] for y in range(15)])
    np.testing.assert_allclose(_local_fit(guide, values, radius, eps), expected, atol=2e-4)


def test_guided_filter_moves_an_edge_onto_the_image():
    guide = np.zeros((128, 128, 3), np.float32)
    guide[:, 64:] = (0.8, 0.3, 0.5)
    rough = np.zeros((128, 128), np.float32)
    rough[:, 60:] = 1
    sharp = guided_filter(guide, rough, 8, 1e-4)
    assert sharp[64, 61] < 0.5 < sharp[64, 66]
    assert abs(float(np.diff(sharp[64]).argmax()) - 63) <= 1


def test_foreground_colours_undo_a_mixture():
    alpha = np.tile(np.clip((np.arange(96) - 30) / 36, 0, 1).astype(np.float32), (64, 1))
    fore, back = np.array((200.0, 40, 60)), np.array((20.0, 160, 220))
    image = np.round(alpha[..., None] * fore + (1 - alpha[..., None]) * back).astype(np.uint8)
    found = foreground_colours(image, alpha).astype(float)
    assert np.abs(found - fore)[alpha > 0.3].mean() < 18
    assert np.abs(image - fore)[(alpha > 0.3) & (alpha < 0.9)].mean() > 30


def test_recolour_decides_doubt_by_colour():
    image = np.zeros((64, 96, 3), np.uint8)
    image[:, :48], image[:, 48:] = (180, 60, 40), (30, 90, 200)
    rough = np.repeat(np.where(np.arange(96) < 32, 0.999, np.where(np.arange(96) < 64, 0.5, 0.001))[None], 64, 0).astype(np.float32)
    result = recolour(image, rough)
    assert (result[:, 34:44] > 0.95).all()
    assert (result[:, 52:62] < 0.05).all()


def test_colours_are_learnt_from_the_photo():
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, :20], image[:, 20:40], image[:, 40:] = (210, 160, 140), (60, 40, 30), (30, 60, 160)
    columns = np.broadcast_to(np.arange(60), (40, 60))
    assert (skin_distance(image, columns < 15)[:, :18] < 1).all()
    assert (skin_distance(image, columns < 15)[:, 22:] > 20).all()


def test_colour_bins_tell_colours_and_textures_apart():
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, :30], image[:, 30:] = (210, 160, 140), (60, 40, 30)
    image[::2, 30:] = (120, 90, 70)
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    rough = texture(image, (60, 40))
    assert (rough[:, :22] < TEXTURES[0]).all()
    assert (rough[:, 38:] > TEXTURES[1]).all()
    bins = colour_bins(lab, rough)
    assert len(np.unique(bins[:, :22])) == 1
    assert not set(bins[:, :22].ravel()) & set(bins[:, 38:].ravel())
    columns = np.broadcast_to(np.arange(60), (40, 60))
    density = colour_density(bins, (columns < 20).astype(np.float32), 1e-5)
    assert density.sum() == pytest.approx(1 + 1e-5 * density.size, rel=1e-3)
    assert (density[bins[:, :22]] > 0.05).all()
    np.testing.assert_allclose(density[bins[:, 38:]], 1e-5, rtol=1e-6)


def test_astronaut_alpha(crop):
    alpha = person_alpha(crop.image)
    assert alpha.dtype == np.float32
    assert alpha.shape == (512, 512)
    assert alpha.min() >= 0
    assert alpha.max() <= 1
    assert alpha[:60, :60].max() < 0.02
    assert alpha[200:380, 200:300].min() > 0.98
    soft = ((alpha > 0.05) & (alpha < 0.95)).mean()
    assert 0.001 < soft < 0.08


def test_astronaut_parts(crop, parsing):
    labels, points = parsing.labels, (crop.landmarks[:, :2] * 512).round().astype(int)
    assert set(np.unique(labels)) <= set(Part)
    for index in (1, 9, 50, 280, 152):
        x, y = points[index]
        assert labels[y - 3, x] == Part.FACE_SKIN
    assert labels[points[10][1] - 60, points[10][0]] == Part.HAIR
    assert labels[20, 20] == Part.BACKGROUND
    assert labels[points[152][1] + 15, points[152][0]] == Part.BODY_SKIN
    assert labels[505, 250] == Part.CLOTHES


def test_alphas_agree_with_labels(parsing):
    head = np.isin(parsing.labels, (Part.HAIR, Part.FACE_SKIN, Part.OTHER))
    assert (parsing.head_alpha <= parsing.person_alpha + 1e-6).all()
    assert parsing.head_alpha[cv2.erode(head.astype(np.uint8), np.ones((9, 9))) > 0].mean() > 0.97
    assert parsing.head_alpha[cv2.dilate(head.astype(np.uint8), np.ones((25, 25))) == 0].max() < 0.1


def test_parse_at_other_sizes(crop, parsing):
    small = cv2.resize(crop.image, (256, 256), interpolation=cv2.INTER_AREA)
    labels = parse(small, crop.landmarks.astype(np.float64)).labels
    assert (labels == parsing.labels[::2, ::2]).mean() > 0.94
