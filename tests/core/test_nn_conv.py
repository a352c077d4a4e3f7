"""Encoders: strides, receptive fields, independence of the batch."""

import torch
from core.nn.conv import AtrousPyramid, LightResNet


def test_light_resnet_has_output_stride_eight_and_samples_do_not_mix():
    torch.manual_seed(0)
    net = LightResNet(5, (8, 16, 16, 24))
    x = torch.randn(2, 5, 64, 64)
    assert net(x).shape == (2, 24, 8, 8)
    torch.testing.assert_close(net(x)[:1], net(x[:1]), atol=1e-5, rtol=1e-4)


def test_atrous_pyramid_sees_the_whole_image():
    torch.manual_seed(0)
    net = AtrousPyramid(4, 8, (1, 2), dropout=0.0)
    x = torch.randn(1, 4, 16, 16, requires_grad=True)
    net(x)[0, :, 0, 0].sum().backward()
    assert (x.grad.abs().sum(1) > 0).all()
