"""Dual discriminator: what it looks at."""

import pytest
import torch
from core.nn.discriminator import DualDiscriminator, DualDiscriminatorConfig, camera_spread, with_batch_deviation

SMALL = DualDiscriminatorConfig(image_size=32, raw_size=8, channel_base=256, channel_max=16, mapping_layers=2)


def test_it_depends_on_image_raw_and_camera():
    torch.manual_seed(0)
    net = DualDiscriminator(SMALL).eval()
    inputs = [torch.rand(2, 3, 32, 32) - 0.5, torch.rand(2, 3, 8, 8) - 0.5, torch.randn(2, 25)]
    base = net(*inputs)
    assert base.shape == (2, 1)
    for i in range(3):
        changed = [x + 0.3 if k == i else x for k, x in enumerate(inputs)]
        assert not torch.allclose(net(*changed), base)


def test_camera_noise_only_while_training_and_by_generator():
    net = DualDiscriminator(SMALL)
    inputs = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 8, 8), torch.randn(2, 25)
    first, second = (net(*inputs, generator=torch.Generator().manual_seed(s)) for s in (1, 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, net(*inputs, generator=torch.Generator().manual_seed(2)))
    assert torch.equal(net.eval()(*inputs), net(*inputs))


def test_batch_deviation_is_zero_for_equal_samples():
    x = torch.randn(1, 3, 4, 4).expand(2, -1, -1, -1)
    torch.testing.assert_close(with_batch_deviation(x, 2)[:, 3:], torch.full((2, 1, 4, 4), 1e-4))
    y = torch.stack([x[0], x[0] + 2])
    torch.testing.assert_close(with_batch_deviation(y, 2)[:, 3:], torch.ones(2, 1, 4, 4))


def test_noise_leaves_the_homogeneous_row_alone():
    spread = camera_spread()
    assert spread[12:16].abs().sum() == 0
    assert (spread[[3, 7, 11]] > 0.1).all()


def test_sizes_must_be_powers_of_two():
    with pytest.raises(ValueError, match="power of two"):
        DualDiscriminatorConfig(image_size=100)
