"""The volume renderer against its readable twin, a closed form and gradcheck."""

from dataclasses import replace

import pytest
import torch
from core.camera import FIT_FOCAL, Camera, Window
from core.render.decoder import PlaneDecoder, fast_softplus
from core.render.reference import ReferenceRenderer
from core.render.volume import VolumeConfig, VolumeRenderer
from torch.nn import functional as F

SMALL = VolumeConfig(channels=4, hidden=8, features=5, coarse=7, fine=6, density_scale=6.0)
CONFIGS = {
    "published": SMALL,
    "scratch": replace(SMALL, scheme="textbook", plane_axes="xyz", activation="silu", floor=0.003, sigma_bias=-1.0),
    "bounded": replace(SMALL, scheme="textbook", bound_centre=(0.0, 0.02, 0.06), bound_radius=(0.2, 0.25, 0.2)),
    "one pass": replace(SMALL, fine=0),
}


def make(config, batch=2, dtype=torch.float32):
    torch.manual_seed(0)
    fast, slow = VolumeRenderer(config).to(dtype), ReferenceRenderer(config).to(dtype)
    slow.load_state_dict(fast.state_dict())
    planes = torch.randn(batch, 3, config.channels, 9, 9, dtype=dtype)
    camera = Camera.from_pose(0.3 * torch.randn(batch, 3), torch.tensor([[0.0, 0.0, -6.0], [0.1, 0.0, 0.5]])[:batch], FIT_FOCAL)
    return fast, slow, planes, Camera(camera.label.to(dtype))


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("random", [False, True])
def test_equals_the_twin_in_values_and_gradients(name, random):
    fast, slow, planes, camera = make(CONFIGS[name])
    found = []
    for net in (fast, slow):
        leaf = planes.clone().requires_grad_()
        generator = torch.Generator().manual_seed(1) if random else None
        out = net(leaf, camera, 12, generator=generator)
        loss = (out.feature.square().sum(1) + out.weights[:, 0] + 0.1 * out.depth[:, 0]).sum()
        gradients = torch.autograd.grad(loss, [leaf, net.decoder.hidden.weight, net.decoder.out.bias])
        with torch.no_grad():
            again = net(planes, camera, 12, generator=torch.Generator().manual_seed(1) if random else None)
        torch.testing.assert_close(again.feature, out.feature.detach(), atol=5e-5, rtol=0)  # compiled, where it is not random
        found.append(([out.feature.detach(), out.depth.detach(), out.weights.detach()], gradients))
    for mine, twin in zip(found[0][0], found[1][0], strict=True):
        torch.testing.assert_close(mine, twin, atol=1e-4, rtol=0)
    for mine, twin in zip(found[0][1], found[1][1], strict=True):
        assert (mine - twin).abs().max() <= 1e-3 * twin.abs().max()


@pytest.mark.parametrize("name", ["published", "bounded"])
def test_gradients_in_double_precision(name):
    config = replace(CONFIGS[name], channels=2, hidden=3, features=3, coarse=3, fine=0)
    net, _, planes, camera = make(config, batch=1, dtype=torch.float64)

    def render(x):
        out = net(x, camera, 2)
        return out.feature, out.weights

    assert torch.autograd.gradcheck(render, (planes[..., :3, :3].clone().requires_grad_(),))


def test_constant_medium_has_the_closed_form_opacity():
    """Planes of zeros: one density and one colour everywhere; opacity is 1 - exp(-density * covered length)."""
    net, _, planes, camera = make(replace(SMALL, scheme="textbook"), batch=1)
    zero = torch.zeros_like(planes)
    sigma, logits = net.decoder(torch.zeros(1, 4))
    out = net(zero, camera, 5)
    opacity = out.weights[0, 0, 2, 2]
    density = F.softplus(sigma - 1) * 6.0
    covered = -torch.log(1 - opacity) / density
    assert 0.7 < covered.item() < 1.3  # the chord of the unit box less the outer half strata
    colour = (torch.sigmoid(logits) * 1.002 - 0.001)[0] * opacity * 2 - 1
    torch.testing.assert_close(out.feature[0, :, 2, 2], colour, atol=1e-5, rtol=1e-4)


def test_a_window_is_the_crop_of_the_whole_image():
    net, _, planes, camera = make(CONFIGS["bounded"], dtype=torch.float64)  # in float32 the order of sums shows at 2e-5
    window = Window(torch.tensor([2, 5]), torch.tensor([4, 0]), 6)
    with torch.no_grad():
        whole, part = net(planes, camera, 12), net(planes, camera, 12, window)
    torch.testing.assert_close(part.feature, window.crop(whole.feature), atol=1e-10, rtol=0)
    torch.testing.assert_close(part.weights, window.crop(whole.weights), atol=1e-10, rtol=0)


def test_missing_rays_are_empty():
    net, _, planes, camera = make(CONFIGS["bounded"])
    out = net(planes, camera, 12)
    corner = out.feature[:, :, 0, 0]
    torch.testing.assert_close(corner, torch.full_like(corner, -1.0))
    assert out.weights[:, :, 0, 0].abs().max() == 0
    away = Camera.from_pose(torch.tensor([[0.0, 3.14, 0.0]]), torch.tensor([[0.0, 0.0, 30.0]]), FIT_FOCAL)  # behind the camera
    assert net(planes[:1], away, 4).weights.abs().max() == 0


def test_faint_rays_get_one_pass_and_all_others_two():
    net, _, planes, camera = make(CONFIGS["scratch"], batch=1)
    rough = VolumeRenderer(replace(net.config, fine=0))
    rough.load_state_dict(net.state_dict())
    with torch.no_grad():
        one, two = rough(planes, camera, 16), net(planes, camera, 16)
        limit = one.weights.median().item() + 1e-5  # not on the edge: that ray's opacity is only known up to rounding
        skipping = VolumeRenderer(replace(net.config, skip_below=limit))
        skipping.load_state_dict(net.state_dict())
        mixed = skipping(planes, camera, 16)
    expected = torch.where(one.weights > limit, two.feature, one.feature)
    torch.testing.assert_close(mixed.feature, expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(one.feature, two.feature, atol=1e-3)
    assert torch.equal(skipping(planes, camera, 16).weights, net(planes, camera, 16).weights)  # never while training


def test_deterministic_without_generator_and_random_with():
    net, _, planes, camera = make(SMALL)
    assert torch.equal(net(planes, camera, 8).feature, net(planes, camera, 8).feature)
    first, second, third = (net(planes, camera, 8, generator=torch.Generator().manual_seed(s)).feature for s in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def test_half_precision_planes_are_rendered_in_single():
    net, _, planes, camera = make(SMALL)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = net(planes.half(), camera, 8)
    assert out.feature.dtype == torch.float32
    torch.testing.assert_close(out.feature, net(planes.half().float(), camera, 8).feature)


def test_softplus_shortcut():
    x = torch.cat([torch.linspace(-100, 100, 2001), torch.tensor([1e4, -1e4])])
    torch.testing.assert_close(fast_softplus(x), F.softplus(x), atol=1e-6, rtol=1e-6)


def test_decoder_splits_density_and_colour():
    torch.manual_seed(0)
    net, x = PlaneDecoder(4, 8, 5, sigma_bias=-2.0), torch.randn(7, 4)
    sigma, logits = net(x)
    torch.testing.assert_close(torch.cat([sigma[:, None], logits], 1), net.out(net.embed(x)))
    torch.testing.assert_close(net.sigma(x), sigma)
    assert net.out.bias[0].item() == -2.0


def test_chord_is_that_of_the_ellipsoid():
    centre, radius = (0.0, 0.02, 0.06), (0.3, 0.3, 0.3)
    net = VolumeRenderer(replace(SMALL, bound_centre=centre, bound_radius=radius))
    camera = Camera.from_pose(torch.tensor([[0.1, 0.3, 0.0]]), torch.tensor([[0.1, 0.0, 0.5]]), FIT_FOCAL)
    rays = camera.rays(16)
    offset = torch.tensor(centre) - rays.origins
    miss = torch.linalg.cross(offset, rays.directions, dim=-1).norm(dim=-1)  # distance of the ray from the centre of the ball
    expected = 2 * (0.3**2 - miss**2).clamp_min(0).sqrt()
    torch.testing.assert_close(net.chord(camera, 16).flatten(1), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("scheme", "least"), [("eg3d", 4), ("textbook", 2)])
def test_too_few_samples_for_a_second_pass_are_refused(scheme, least):
    with pytest.raises(ValueError, match=f"coarse={least - 1}: {least} samples"):
        VolumeConfig(coarse=least - 1, fine=2, scheme=scheme)
    renderer = VolumeRenderer(VolumeConfig(channels=2, hidden=3, features=3, coarse=least, fine=2, scheme=scheme))
    camera = Camera.from_pose(torch.zeros(1, 3), torch.zeros(1, 3))
    assert renderer(torch.rand(1, 3, 2, 8, 8), camera, 4).feature.isfinite().all()
    VolumeConfig(coarse=1, fine=0, scheme=scheme)


def test_quickened_volumes_take_fewer_samples_until_they_train():
    fast, _, planes, camera = make(replace(CONFIGS["scratch"], coarse=12, fine=8, quick=(6, 4)))
    sparse = VolumeRenderer(replace(CONFIGS["scratch"], coarse=6, fine=4))
    sparse.load_state_dict(fast.state_dict())
    with torch.no_grad():
        full = fast(planes, camera, 12).feature
        assert torch.equal(fast.quicken()(planes, camera, 12).feature, sparse(planes, camera, 12).feature)
        assert torch.equal(fast.eval()(planes, camera, 12).feature, sparse(planes, camera, 12).feature)
        assert torch.equal(fast.train()(planes, camera, 12).feature, full)
    assert not torch.equal(sparse(planes, camera, 12).feature, full)


def test_without_a_setting_quickening_changes_nothing():
    fast, _, planes, camera = make(SMALL)
    with torch.no_grad():
        assert torch.equal(fast(planes, camera, 12).feature, fast.quicken()(planes, camera, 12).feature)
