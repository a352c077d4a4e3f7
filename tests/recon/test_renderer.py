"""HeadRenderer: sizes, windows, folding, weights folders; that gradient descent on it works."""

import torch
from core.camera import FIT_FOCAL, Camera, Window
from recon.config import HeadRendererConfig, I2PConfig
from recon.eg3d import EG3DConfig, EG3DGenerator
from recon.model import I2P
from recon.renderer import HeadRenderer

DEBUG = HeadRendererConfig.preset("debug")


def frontal(batch):
    return Camera.from_pose(torch.zeros(batch, 3), torch.zeros(batch, 3), FIT_FOCAL)


def test_shapes_and_ranges():
    torch.manual_seed(0)
    net = HeadRenderer(DEBUG)
    out = net(torch.randn(2, 3, 8, 16, 16), frontal(2))
    shapes = [tuple(x.shape) for x in (out.image, out.raw, out.feature, out.depth, out.weights)]
    assert shapes == [(2, 3, 64, 64), (2, 3, 16, 16), (2, 8, 16, 16), (2, 1, 16, 16), (2, 1, 16, 16)]
    assert out.raw.abs().max() <= 1.003
    assert out.weights.min() >= 0
    assert out.weights.max() < 1
    assert DEBUG.image_size == 64


def test_a_window_matches_the_whole_image_inside():
    torch.manual_seed(0)
    net = HeadRenderer(DEBUG).eval()
    planes, window = torch.randn(2, 3, 8, 16, 16), Window(torch.tensor([2, 5]), torch.tensor([6, 1]), 10)
    with torch.no_grad():
        whole, part = net(planes, frontal(2)), net(planes, frontal(2), window)
    torch.testing.assert_close(part.raw, window.crop(whole.raw), atol=1e-5, rtol=1e-5)
    inner = slice(12, -12)  # beyond what the super-resolution sees of the border
    torch.testing.assert_close(part.image[..., inner, inner], window.crop(whole.image, 4)[..., inner, inner], atol=1e-4, rtol=1e-4)


def test_folded_for_inference_is_the_same():
    torch.manual_seed(0)
    net = HeadRenderer(HeadRendererConfig(DEBUG.volume, 16, (16, 8), 8))
    planes = torch.randn(1, 3, 8, 16, 16)
    expected = net(planes, frontal(1)).image
    with torch.no_grad():
        torch.testing.assert_close(net.prepare_for_inference()(planes, frontal(1)).image, expected, atol=1e-5, rtol=1e-4)


def test_saved_and_loaded(tmp_path):
    net = HeadRenderer(DEBUG)
    net.save_half(tmp_path)
    again = HeadRenderer.from_pretrained(tmp_path)
    assert again.config == DEBUG
    torch.testing.assert_close(again.volume.decoder.hidden.weight, net.volume.decoder.hidden.weight.half().float())


def test_reconstruction_learns():
    """I2P and renderer together fit one picture: all gradients arrive."""
    torch.manual_seed(0)
    i2p, renderer = I2P(I2PConfig.preset("debug")), HeadRenderer(DEBUG)
    y, x = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
    disc = ((x**2 + y**2) < 0.4).float()
    target = torch.stack([disc * 1.6 - 1, disc * (x + 1.0) - 1, disc * (y + 1.0) - 1])[None]
    parameters = [*i2p.parameters(), *renderer.parameters()]
    optimiser = torch.optim.Adam(parameters, 3e-3)
    losses = []
    for _ in range(60):
        out = renderer(i2p(target), frontal(1))
        loss = (out.image - target).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        assert all(p.grad is not None for p in parameters)
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.35 * losses[0]


def test_teacher_renders_and_conditions_on_the_camera(tmp_path):
    torch.manual_seed(0)
    net = EG3DGenerator(EG3DConfig.preset("debug"))
    z, camera = torch.randn(2, 16), Camera.look_at(torch.tensor([-0.4, 0.4]), torch.zeros(2), torch.full((2,), 2.7))
    out = net(z, camera, camera, truncation=0.7)
    assert out.image.shape == (2, 3, 64, 64)
    swapped = Camera(camera.label.flip(0))
    assert not torch.allclose(net.planes(net.style(z, camera)), net.planes(net.style(z, swapped)))
    net.save_pretrained(tmp_path)
    assert EG3DGenerator.from_pretrained(tmp_path).config == net.config
