"""StyleGAN2 layers against zero-insertion FIR, per-sample convolution and folding."""

import math

import pytest
import torch
from core.nn.fir_numba import blur_and_activate
from core.nn.rgb_numba import rgb_over
from core.nn.rows_numba import fits
from core.nn.stylegan import (
    EqualConv2d,
    EqualLinear,
    MappingNetwork,
    ModulatedConv2d,
    SynthesisBlock,
    blur2d,
    downsample2d,
    upsample2d,
)
from core.nn.superres import SuperResolution
from scipy.signal import convolve2d
from torch.nn import functional as F

TAPS = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 64


def insert_zeros(x):
    out = torch.zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
    out[:, :, ::2, ::2] = x
    return out


def test_upsampling_is_zero_insertion_and_fir_with_gain_four():
    x = torch.randn(2, 3, 5, 6)
    padded = F.pad(insert_zeros(x), (2, 1, 2, 1))
    expected = torch.stack([torch.stack([torch.from_numpy(convolve2d(c.numpy(), 4 * TAPS.numpy(), "valid")) for c in b]) for b in padded])
    torch.testing.assert_close(upsample2d(x), expected, atol=1e-5, rtol=1e-5)


def test_downsampling_is_fir_and_every_second_pixel():
    x = torch.randn(1, 1, 8, 8)
    full = convolve2d(F.pad(x, (1, 1, 1, 1))[0, 0].numpy(), TAPS.numpy(), "valid")
    torch.testing.assert_close(downsample2d(x)[0, 0], torch.from_numpy(full[::2, ::2].copy()), atol=1e-6, rtol=1e-5)


def test_equalised_layers_scale_by_fan_in():
    torch.manual_seed(0)
    linear, conv = EqualLinear(5, 3, bias=0.5, lr_multiplier=0.1), EqualConv2d(2, 3)
    x, image = torch.randn(4, 5), torch.randn(1, 2, 6, 6)
    torch.testing.assert_close(linear(x), x @ linear.weight.T * (0.1 / math.sqrt(5)) + 0.5 * 0.1)
    torch.testing.assert_close(conv(image), F.conv2d(image, conv.weight / math.sqrt(18), conv.bias, padding=1))
    assert EqualConv2d(2, 3, down=True)(image).shape == EqualConv2d(2, 3, kernel=1, down=True)(image).shape == (1, 3, 3, 3)


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("demodulate", [False, True])
def test_modulation_equals_one_convolution_per_sample(up, demodulate):
    torch.manual_seed(0)
    layer = ModulatedConv2d(3, 4, 5, up=up, demodulate=demodulate)
    x, w = torch.randn(2, 3, 6, 6), torch.randn(2, 5)
    together = layer(x, w)
    for i in range(2):
        torch.testing.assert_close(layer(x[i : i + 1], w[i : i + 1]), together[i : i + 1], atol=1e-5, rtol=1e-4)
    norm = layer.constant_weight(w[:1]).flatten(1).norm(dim=1)
    assert not demodulate or torch.allclose(norm, torch.full((4,), layer.gain), atol=1e-4)


def test_transposed_convolution_is_a_true_convolution_of_inserted_zeros():
    torch.manual_seed(0)
    layer = ModulatedConv2d(1, 1, 2, up=True, demodulate=False, activate=False)
    x = torch.randn(1, 1, 4, 4)
    weight = layer.constant_weight(torch.ones(1, 2))[0, 0].detach().numpy()
    wide = convolve2d(insert_zeros(x)[0, 0].numpy()[:-1, :-1], weight, "full")
    expected = convolve2d(F.pad(torch.from_numpy(wide), (1, 1, 1, 1)).numpy(), 4 * TAPS.numpy(), "valid")
    torch.testing.assert_close(layer(x, None)[0, 0], torch.from_numpy(expected).float(), atol=1e-5, rtol=1e-4)


def test_folding_changes_nothing_and_training_takes_it_back():
    torch.manual_seed(0)
    net = SuperResolution(6, (8, 4), w_dim=7)
    feature = torch.randn(2, 6, 8, 8)
    expected = net(feature[:, :3], feature)
    assert torch.equal(net.eval().fold()(feature[:, :3], feature), expected)
    assert net.block0.conv0.folded is not None
    with torch.no_grad():  # in place and as planes
        torch.testing.assert_close(net(feature[:, :3], feature), expected, atol=1e-5, rtol=1e-5)
    assert net.train().block0.conv0.folded is None


def test_plain_start_is_bilinear_upsampling():
    feature = torch.randn(1, 4, 8, 8)
    image = SuperResolution(4, (8, 4), w_dim=4, start_plain=True)(feature[:, :3], feature)
    expected = F.interpolate(feature[:, :3], scale_factor=2, mode="bilinear")
    expected = F.interpolate(expected, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(image[..., 4:-4, 4:-4], expected[..., 4:-4, 4:-4], atol=1e-5, rtol=1e-5)


def test_first_block_has_no_input_and_samples_differ_by_style():
    block = SynthesisBlock(0, 4, 6, image_channels=9)
    x, image = block(None, None, torch.randn(3, 2, 6))
    assert x.shape == (3, 4, 4, 4)
    assert image.shape == (3, 9, 4, 4)
    assert not torch.allclose(image[0], image[1])


def test_mapping_normalises_and_truncates():
    torch.manual_seed(0)
    net = MappingNetwork(4, 25, 8, 2)
    z, c = torch.randn(3, 4), torch.randn(3, 25)
    torch.testing.assert_close(net(z, c), net(10 * z, c), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(net(z, c, truncation=0.5), net(z, c) / 2)


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-5), (torch.bfloat16, 0.04)])
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 16, 33, 20), (1, 1, 70, 2)])
def test_compiled_filter_is_the_convolution(shape: tuple[int, ...], dtype: torch.dtype, atol: float):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator).contiguous(memory_format=torch.channels_last)
    bias = torch.randn(shape[1], generator=generator)
    found = blur_and_activate(x.to(dtype), 4.0, bias, 0.2)
    expected = F.leaky_relu(blur2d(x.to(dtype).double(), 1, 4.0, bias.double()), 0.2)
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), expected, atol=atol, rtol=0.005)


def test_the_filter_is_compiled_only_where_it_can_be():
    image = torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        assert fits(image.contiguous(memory_format=torch.channels_last))
        assert not fits(image)
        assert not fits(image.double().contiguous(memory_format=torch.channels_last))
    assert not fits(image.contiguous(memory_format=torch.channels_last))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(2, 3, 6, 8), (1, 16, 70, 2), (1, 5, 2, 34)])
def test_compiled_colours_are_a_convolution_over_the_enlarged_image(shape: tuple[int, ...], dtype: torch.dtype):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator).contiguous(memory_format=torch.channels_last)
    image = torch.randn(shape[0], 4, shape[2] // 2, shape[3] // 2, generator=generator)
    weight, bias = torch.randn(4, shape[1], generator=generator), torch.randn(4, generator=generator)
    x, weight = x.to(dtype), weight.to(dtype)
    expected = F.conv2d(x.float(), weight.float()[:, :, None, None], bias) + upsample2d(image)
    torch.testing.assert_close(rgb_over(x, weight, bias, image), expected, atol=1e-5, rtol=0)


def test_folded_blocks_draw_what_they_did(monkeypatch):
    torch.manual_seed(0)
    block, x, image = SynthesisBlock(6, 5, 8).requires_grad_(False), torch.randn(2, 6, 9, 7), torch.randn(2, 3, 9, 7)
    features, expected = block(x, image)
    calls = []
    monkeypatch.setattr("core.nn.rgb_numba.rgb_over", lambda *a: calls.append(1) or rgb_over(*a))
    with torch.no_grad():
        found = block.fold()(x, image)
    assert calls
    torch.testing.assert_close(found[0], features, atol=1e-5, rtol=0)
    torch.testing.assert_close(found[1], expected, atol=1e-5, rtol=0)
