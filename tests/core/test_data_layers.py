import numpy as np
import pytest
import torch
from core.data.layers import DARKENING, RESTS, inpaint_background, inpaint_torso, one_hot, split_layers
from core.perception.parsing import Parsing, Part

pytest.importorskip("cv2")
SIZE = 128


@pytest.fixture
def portrait():
    """A head on a neck on shoulders, in flat colours with hard edges."""
    y, x = np.mgrid[:SIZE, :SIZE]
    labels = np.zeros((SIZE, SIZE), np.uint8)
    labels[(y > 100) & (np.abs(x - 64) < 50)] = Part.CLOTHES
    labels[(y > 60) & (y <= 105) & (np.abs(x - 64) < 14)] = Part.BODY_SKIN
    head = (y - 50) ** 2 + (x - 64) ** 2 < 30**2
    labels[head & (y < 35)] = Part.HAIR
    labels[head & (y >= 35)] = Part.FACE_SKIN
    colours = np.array([[40, 90, 160], [60, 40, 30], [200, 150, 130], [220, 170, 150], [90, 20, 20], [0, 0, 0]], np.uint8)
    alpha = (labels > 0).astype(np.float32)
    return colours[labels], Parsing(labels, np.isin(labels, (1, 3)).astype(np.float32), alpha)


def test_background_equals_nearest_pixel_by_brute_force():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (24, 20, 3), np.uint8)
    alpha = np.zeros((24, 20), np.float32)
    alpha[6:18, 5:14] = 1
    person = np.argwhere(alpha > 0)
    grid = np.argwhere(np.ones_like(alpha))
    away = np.sqrt(np.square(grid[:, None] - person[None]).sum(-1).min(1))
    trusted = grid[away > 10 * 24 / 512]
    result = inpaint_background(image, alpha, smooth=False)
    for y, x in person:
        distance = np.square(trusted - (y, x)).sum(1)
        best = trusted[distance == distance.min()]
        assert any((result[y, x] == image[v, u]).all() for v, u in best)
    outside = tuple(trusted.T)
    np.testing.assert_array_equal(result[outside], image[outside])


def test_smooth_background_keeps_what_is_seen_and_flat_colours(portrait):
    image, parsing = portrait
    result = inpaint_background(image, parsing.person_alpha)
    assert np.abs(result.astype(int) - (40, 90, 160)).max() <= 1
    noisy = np.random.default_rng(0).integers(0, 255, image.shape, np.uint8)
    result = inpaint_background(noisy, parsing.person_alpha)
    np.testing.assert_array_equal(result[:10], noisy[:10])
    assert result[45:55, 60:68].std() < 0.5 * noisy.std()  # deep inside: no noise, no streaks


def test_background_when_the_person_fills_the_picture():
    image = np.full((32, 32, 3), 77, np.uint8)
    assert (inpaint_background(image, np.ones((32, 32), np.float32)) == 77).all()
    assert (inpaint_background(image, np.zeros((32, 32), np.float32)) == 77).all()


def test_neck_continues_behind_the_head_and_darkens(portrait):
    image, parsing = portrait
    colours, mask = inpaint_torso(image, parsing)
    chin = int(np.argmax(parsing.labels[:, 64] == Part.BODY_SKIN))
    rows = round(53 * SIZE / 512)
    assert (mask[chin - rows + 3 : chin + 20, 64] > 0.95).all()
    assert mask[chin - rows - 4, 64] < 0.05
    for k in (3, 6, 9):
        assert colours[chin - k, 64] == pytest.approx(np.array((200, 150, 130)) * DARKENING**k, abs=6)
    assert mask[:, 20][:95].max() == 0  # nothing beside the neck
    np.testing.assert_allclose(mask[112:], (parsing.labels[112:] > 0), atol=1e-6)


def test_hair_rests_below_the_chin_and_beside_clothes(portrait):
    image, parsing = portrait
    labels = parsing.labels.copy()
    labels[40:, 34:44] = Part.HAIR  # a strand beside the face, over the shoulder and down to the border
    labels[70:76, 84:90] = Part.CLOTHES  # a hood's edge with hair beside it, above the chin
    labels[60:80, 90:96] = Part.HAIR
    alpha = (labels > 0).astype(np.float32)
    parsing = Parsing(labels, np.isin(labels, (Part.HAIR, Part.FACE_SKIN)).astype(np.float32), alpha)
    colours, mask = inpaint_torso(image, parsing, hair_rests=True)
    chin = int(np.flatnonzero((labels == Part.FACE_SKIN).any(1))[-1])
    reach = round(RESTS * SIZE)
    assert mask[chin + reach + 1 :, 36:42].min() > 0.95
    assert 0.3 < mask[chin + reach // 2, 38] < 0.7
    assert mask[45, 36:42].max() == 0  # beside the eyes it moves with the head
    assert 0.5 < mask[73, 91] < 1
    assert np.abs(colours[110, 39].astype(int) - image[110, 39]).max() <= 6
    _, without = inpaint_torso(image, parsing)
    assert without[120, 36:42].max() == 0


def test_a_collar_tip_makes_no_notch(portrait):
    image, parsing = portrait
    labels = parsing.labels.copy()
    chin = int(np.argmax(labels[:, 60] == Part.BODY_SKIN))
    labels[chin:, 58:62][labels[chin:, 58:62] == Part.BODY_SKIN] = Part.CLOTHES
    _, mask = inpaint_torso(image, Parsing(labels, parsing.head_alpha, parsing.person_alpha))
    np.testing.assert_allclose(mask[chin - 8, 54:74], 1, atol=0.05)


def test_layers_over_each_other_show_the_portrait(portrait):
    image, parsing = portrait
    layers = split_layers(image, parsing)
    shown = layers.background.astype(float)
    for colours, mask in ((layers.torso_image, layers.torso_mask), (layers.head_image, layers.head_mask)):
        shown = shown * (1 - mask[..., None]) + colours * mask[..., None]
    assert np.abs(shown - image).mean() < 1.5


def test_one_hot_against_torch(portrait):
    labels = portrait[1].labels
    expected = torch.nn.functional.one_hot(torch.from_numpy(labels).long(), 6).permute(2, 0, 1).float()
    assert torch.equal(torch.from_numpy(one_hot(labels)), expected)


def test_tensors(portrait):
    layers = split_layers(*portrait)
    tensors = layers.tensors()
    assert tensors.segmap.shape == (1, 6, SIZE, SIZE)
    for picture, mask in ((tensors.head, tensors.head_mask), (tensors.torso, tensors.torso_mask)):
        assert picture.dtype == torch.float32
        assert (picture[(mask == 0).expand_as(picture)] == -1).all()
        assert picture.min() >= -1
        assert picture.max() <= 1
    np.testing.assert_array_equal(
        ((tensors.background[0].permute(1, 2, 0) + 1) * 127.5).round().numpy().astype(np.uint8), layers.background
    )
