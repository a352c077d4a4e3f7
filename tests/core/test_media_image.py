import logging
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from core.errors import PortraitError
from core.media.image import read_image, write_image
from PIL import Image, ImageCms

QUADRANTS = np.zeros((64, 96, 3), np.uint8)
QUADRANTS[:32, :48], QUADRANTS[:32, 48:] = (220, 30, 30), (30, 200, 30)
QUADRANTS[32:, :48], QUADRANTS[32:, 48:] = (30, 30, 220), (240, 240, 240)


def code(path):
    with pytest.raises(PortraitError) as caught:
        read_image(path)
    assert str(path) in caught.value.message
    return caught.value.code


@pytest.mark.parametrize(
    ("tag", "stored"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: np.rot90(a, 2)),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.transpose(1, 0, 2)),
        (6, lambda a: np.rot90(a, 1)),
        (7, lambda a: np.rot90(a, 2).transpose(1, 0, 2)),
        (8, lambda a: np.rot90(a, 3)),
    ],
)
def test_turned_upright_by_exif(tmp_path, tag, stored):
    exif = Image.Exif()
    exif[0x0112] = tag
    Image.fromarray(np.ascontiguousarray(stored(QUADRANTS))).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), QUADRANTS)


@pytest.mark.parametrize("ending", ["png", "bmp", "gif", "tiff", "webp", "ppm"])
def test_lossless_formats_and_awkward_names(tmp_path, ending):
    path = tmp_path / f"имя 肖像 été (1) #2.{ending}"
    Image.fromarray(QUADRANTS).save(path, **({"lossless": True} if ending == "webp" else {}))
    np.testing.assert_array_equal(read_image(path), QUADRANTS)


def test_the_name_does_not_matter(tmp_path):
    Image.fromarray(QUADRANTS).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), QUADRANTS)


def test_transparency_lies_over_light_grey(tmp_path):
    alpha = np.full((64, 96, 1), 255, np.uint8)
    alpha[:, :10] = 0
    Image.fromarray(np.concatenate([QUADRANTS, alpha], -1)).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert (image[:, :10] == 200).all()
    np.testing.assert_array_equal(image[:, 10:], QUADRANTS[:, 10:])


def test_grey_modes_agree(tmp_path):
    grey = np.linspace(0, 255, 64 * 96).reshape(64, 96).round().astype(np.uint8)
    expected = np.repeat(grey[..., None], 3, -1)
    variants = {"l": Image.fromarray(grey), "la": Image.fromarray(grey).convert("LA"), "i16": Image.fromarray(grey.astype(np.uint16) * 257)}
    for name, image in variants.items():
        image.save(tmp_path / f"{name}.png")
        np.testing.assert_array_equal(read_image(tmp_path / f"{name}.png"), expected, err_msg=name)
    Image.fromarray(grey.astype(np.float32) / 255).save(tmp_path / "f.tiff")
    np.testing.assert_array_equal(read_image(tmp_path / "f.tiff"), expected)


def test_palette_and_one_bit(tmp_path):
    Image.fromarray(QUADRANTS).quantize(16).save(tmp_path / "p.png")
    np.testing.assert_array_equal(read_image(tmp_path / "p.png"), QUADRANTS)
    Image.fromarray(QUADRANTS[..., 0] > 100).save(tmp_path / "1.png")
    assert set(np.unique(read_image(tmp_path / "1.png"))) == {0, 255}


def test_cmyk_is_not_inverted(tmp_path):
    Image.fromarray(QUADRANTS).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - QUADRANTS).mean() < 6


def test_colour_profile_is_applied(tmp_path):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(QUADRANTS).save(tmp_path / "a.png", icc_profile=lab)
    assert np.abs(read_image(tmp_path / "a.png").astype(int) - QUADRANTS).max() <= 1
    Image.fromarray(QUADRANTS).save(tmp_path / "b.png", icc_profile=b"not a profile")
    np.testing.assert_array_equal(read_image(tmp_path / "b.png"), QUADRANTS)


def test_animation_gives_its_first_frame_and_a_warning(tmp_path, caplog):
    frames = [Image.fromarray(np.roll(QUADRANTS, 20 * k, 1)) for k in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(read_image(tmp_path / "a.gif"), QUADRANTS)
    assert "animated" in caplog.text


def test_large_pictures_are_shrunk(tmp_path):
    Image.fromarray(np.zeros((400, 2000, 3), np.uint8)).save(tmp_path / "a.jpg")
    assert read_image(tmp_path / "a.jpg", max_side=500).shape == (100, 500, 3)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "L", "CMYK", "P", "1", "I;16", "F"])
def test_shrinking_happens_before_copies_are_made_and_changes_nothing(tmp_path, mode):
    """Three bars of 100 rows, at a seventh of the size, with the camera held sideways."""
    bars = np.repeat(np.array([0, 128, 255], np.uint8), 100)[:, None].repeat(630, 1)
    if mode in ("I;16", "F"):
        image = Image.fromarray(bars.astype(np.uint16) * 257 if mode == "I;16" else bars.astype(np.float32))
    else:
        image = Image.fromarray(bars).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.tiff", exif=exif)
    shrunk = read_image(tmp_path / "a.tiff", max_side=90)
    assert shrunk.shape[0] == 90
    assert abs(shrunk.shape[1] - 43) <= 1
    middle = shrunk[45, [36, 21, 7], 0].astype(int)  # turned clockwise: the first row is at the right
    assert np.abs(middle[[0, 2]] - [0, 255]).max() <= 2
    assert mode == "1" or abs(middle[1] - 128) <= 2


def test_shrinking_is_cheap(tmp_path):
    Image.fromarray(np.full((3000, 3000), 30000, np.uint16)).save(tmp_path / "a.png")
    tracemalloc.start()
    read_image(tmp_path / "a.png", max_side=500)
    assert tracemalloc.get_traced_memory()[1] < 40e6  # 18 MB of pixels twice; as float32 they took 120 MB
    tracemalloc.stop()


def test_bad_files_are_named(tmp_path):
    (tmp_path / "zero.png").touch()
    (tmp_path / "text.jpg").write_text("not a picture")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)).save(tmp_path / "whole.jpg")
    data = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    Image.fromarray(np.zeros((8, 8, 4), np.uint8)).save(tmp_path / "clear.png")
    header = struct.pack(">IIBBBBB", 30000, 30000, 1, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
        + struct.pack(">I", 100)
        + b"IDAT"
        + bytes(104)
    )
    (tmp_path / "bomb.png").write_bytes(bomb)
    found = {name: code(tmp_path / name) for name in ("zero.png", "text.jpg", "cut.jpg", "clear.png", "bomb.png", "missing.png", ".")}
    assert found == {
        "zero.png": "E_IMAGE_EMPTY",
        "text.jpg": "E_IMAGE_READ",
        "cut.jpg": "E_IMAGE_READ",
        "clear.png": "E_IMAGE_EMPTY",
        "bomb.png": "E_IMAGE_TOO_LARGE",
        "missing.png": "E_NOT_FOUND",
        ".": "E_NOT_FOUND",
    }


def test_write_image_is_atomic(tmp_path):
    write_image(tmp_path / "new" / "a.png", QUADRANTS)
    np.testing.assert_array_equal(read_image(tmp_path / "new" / "a.png"), QUADRANTS)
    with pytest.raises(PortraitError, match="E_FORMAT"):
        write_image(tmp_path / "a.xyz", QUADRANTS)
    (tmp_path / "file").touch()
    with pytest.raises(PortraitError, match="E_WRITE"):
        write_image(tmp_path / "file" / "a.png", QUADRANTS)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.png", "file", "new"]
