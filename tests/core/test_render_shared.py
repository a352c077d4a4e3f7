"""A first pass that four rays share: compiled against tensors, and both against many samples."""

from dataclasses import replace

import pytest
import torch
from core.camera import FIT_FOCAL, Camera, Window
from core.render.shared_pass import spread
from core.render.volume import VolumeConfig, VolumeRenderer
from torch.nn import functional as F

TINY = VolumeConfig(
    channels=16, hidden=32, features=16, activation="silu", sigma_bias=-1.5, density_scale=10.0, coarse=16, fine=16, scheme="textbook",
    floor=0.003, plane_axes="xyz", box=0.76, bound_centre=(0.0, 0.0, 0.04), bound_radius=(0.36, 0.38, 0.33), quick=(16, 14),
    quick_shared=True,
)  # fmt: skip
CONFIGS = {
    "tiny": TINY,
    "skipping": replace(TINY, skip_below=0.3, sigma_bias=-3.0),
    "odd": replace(TINY, channels=5, hidden=7, features=3, quick=(9, 5), plane_axes="eg3d", bound_radius=None, box=1.0),
    "eg3d": VolumeConfig(channels=8, hidden=12, features=6, quick=(12, 10), quick_shared=True, density_scale=10.0),
    "nothing hit": replace(TINY, bound_radius=(1e-4, 1e-4, 1e-4), bound_centre=(0.3, 0.3, 0.0)),
}
SIZE = 24


def scene(config: VolumeConfig, batch: int = 2):
    """A volume, planes as smooth as trained ones, and a camera."""
    torch.manual_seed(0)
    net = VolumeRenderer(config).requires_grad_(False)
    planes = F.interpolate(6 * torch.randn(3 * batch, config.channels, 4, 4), (12, 12), mode="bicubic").unflatten(0, (batch, 3))
    camera = Camera.from_pose(0.3 * torch.randn(batch, 3), torch.tensor([[0.0, 0.0, 0.2], [0.1, 0.0, 0.5]])[:batch], FIT_FOCAL)
    return net, planes, camera


@pytest.mark.parametrize("name", CONFIGS)
def test_compiled_equals_tensors(name: str, monkeypatch):
    net, planes, camera = scene(CONFIGS[name])
    with torch.no_grad():
        fast = net.quicken()(planes, camera, SIZE)
        monkeypatch.setattr(VolumeRenderer, "_compiled_fits", lambda *_: False)
        slow = net(planes, camera, SIZE)
    torch.testing.assert_close(fast.feature, slow.feature, atol=1e-4, rtol=0)
    torch.testing.assert_close(fast.weights, slow.weights, atol=1e-4, rtol=0)
    solid = slow.weights > 0.01
    torch.testing.assert_close(fast.depth[solid], slow.depth[solid], atol=2e-4, rtol=0)
    assert (slow.weights.max() > 0.6) == (name != "nothing hit")


def test_tends_to_the_same_picture_as_a_pass_of_ones_own():
    dense, planes, camera = scene(replace(TINY, coarse=128, fine=128, quick=None))
    errors = []
    for samples in ((12, 12), (96, 96)):
        net, _, _ = scene(replace(TINY, quick=samples))
        net.load_state_dict(dense.state_dict())
        with torch.no_grad():
            errors.append((net.quicken()(planes, camera, 64).feature - dense(planes, camera, 64).feature).square().mean().item() / 4)
    assert errors[1] < min(10**-4.5, errors[0] / 20)


def test_only_whole_pictures_without_noise_and_not_in_training():
    net, planes, camera = scene(TINY)
    plain, _, _ = scene(replace(TINY, coarse=16, fine=14, quick=None))
    plain.load_state_dict(net.state_dict())
    net.quicken()
    with torch.no_grad():
        assert not torch.equal(net(planes, camera, SIZE).feature, plain(planes, camera, SIZE).feature)
        for size, window in ((SIZE + 1, None), (SIZE, Window(torch.tensor([4, 4]), torch.tensor([6, 6]), 10))):
            assert torch.equal(net(planes, camera, size, window).feature, plain(planes, camera, size, window).feature)
        jitter = (torch.Generator().manual_seed(1) for _ in range(2))
        assert torch.equal(net(planes, camera, SIZE, None, next(jitter)).feature, plain(planes, camera, SIZE, None, next(jitter)).feature)
    assert torch.equal(net(planes, camera, SIZE).feature, plain(planes, camera, SIZE).feature)  # gradients are allowed
    net.train()
    assert not net.shared
    assert net.config.fine == 16


def test_spread_interpolates_between_the_middles_of_pixels():
    ramp = torch.arange(4.0).repeat(4)[None, :, None]  # a picture of 4 x 4 that grows by 1 from column to column
    found = spread(ramp, 8).unflatten(1, (8, 8))[0, :, :, 0]
    torch.testing.assert_close(found[:, 1:-1], ((torch.arange(1, 7) - 0.5) / 2).expand(8, 6))
