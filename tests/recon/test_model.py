"""I2P: shapes, coordinate channels, flips, input sizes, weights folders."""

from dataclasses import replace

import pytest
import torch
from core.errors import PortraitError
from core.render.triplane import sample_planes
from recon.config import I2PConfig
from recon.model import I2P, with_coordinates


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return I2P(I2PConfig.preset("debug")).eval()


def test_planes_of_any_square_image(net):
    for size in (32, 64, 50):
        assert net(torch.rand(2, 3, size, size) * 2 - 1).shape == (2, 3, 8, 16, 16)
    with pytest.raises(ValueError, match="square"):
        net(torch.rand(1, 3, 32, 64))


def test_tiny_reads_192_and_writes_96():
    config = I2PConfig.preset("tiny")
    assert (config.image_size, config.plane_size, config.plane_channels) == (192, 96, 16)
    with torch.device("meta"):
        net = I2P(config)
        assert net.fuse(net.lift(net.low(torch.rand(1, 6, 192, 192))), net.detail(torch.rand(1, 6, 192, 192))).shape == (1, 48, 96, 96)


def test_paper_shapes_on_the_meta_device():
    with torch.device("meta"):
        assert I2P(I2PConfig.preset("paper")).eval()(torch.rand(1, 3, 512, 512)).shape == (1, 3, 32, 256, 256)


def test_coordinates_are_row_then_column_from_zero():
    x = with_coordinates(torch.zeros(1, 3, 4, 4))
    assert x[0, 3, :, 0].tolist() == x[0, 4, 0, :].tolist() == [0.0, 0.25, 0.5, 0.75]


def test_both_sides_make_mirrored_heads_alike():
    """The mirrored photograph gives the mirrored head, which one pass of an untrained network does not; mirrored points tell."""
    torch.manual_seed(0)
    photo, points = torch.rand(1, 3, 32, 32) * 2 - 1, torch.rand(1, 50, 3) - 0.5
    for both in (True, False):
        net = I2P(replace(I2PConfig.preset("debug"), both_sides=both)).eval()
        with torch.no_grad():
            found = sample_planes(net(photo.flip(3)), points * torch.tensor([-1.0, 1.0, 1.0]), "xyz")
            expected = sample_planes(net(photo), points, "xyz")
            assert torch.allclose(found, expected, atol=1e-5) == both
            trained = net.train()(photo)
    assert torch.equal(trained, net(photo)), "training draws one side"


def test_outputs_are_flipped_as_published(net, monkeypatch):
    upright = torch.randn(1, 24, 16, 16)
    monkeypatch.setattr(net.fuse, "forward", lambda *_: upright)
    planes = net(torch.zeros(1, 3, 32, 32))
    torch.testing.assert_close(planes[:, 0], upright[:, :8].flip(2))
    torch.testing.assert_close(planes[:, 1], upright[:, 8:16].flip(2))
    torch.testing.assert_close(planes[:, 2], upright[:, 16:].flip(2, 3))


def test_samples_do_not_mix_in_training(net):
    """Group normalisation: the planes of one head do not depend on who else is in the batch."""
    x = torch.rand(3, 3, 32, 32)
    torch.testing.assert_close(net.train()(x)[:1], net(x[:1]), atol=1e-5, rtol=1e-4)
    net.eval()


def test_saved_and_loaded(net, tmp_path):
    net.save_pretrained(tmp_path)
    again = I2P.from_pretrained(tmp_path)
    assert again.config == net.config
    x = torch.rand(1, 3, 32, 32)
    assert torch.equal(again(x), net(x))


def test_no_imagenet_weights_for_a_light_encoder(net):
    with pytest.raises(PortraitError, match="no ImageNet encoder"):
        net.load_imagenet()


def test_unknown_preset_and_bad_size_are_named():
    with pytest.raises(ValueError, match="87M"):
        I2PConfig.preset("88M")
    with pytest.raises(ValueError, match="multiple of 32"):
        I2PConfig(image_size=100)
