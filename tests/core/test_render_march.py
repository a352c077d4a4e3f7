"""Compiled ray marching against the tensors' version of it, and its vector functions against the library's."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from core.camera import FIT_FOCAL, Camera
from core.render.vector_math import exp, softplus
from core.render.volume import VolumeConfig, VolumeRenderer
from torch.nn import functional as F

TINY = VolumeConfig(
    channels=16, hidden=32, features=16, activation="silu", sigma_bias=-1.5, density_scale=10.0, coarse=16, fine=16, scheme="textbook",
    floor=0.003, plane_axes="xyz", box=0.76, bound_centre=(0.0, 0.0, 0.04), bound_radius=(0.36, 0.38, 0.33),
)  # fmt: skip
CONFIGS = {
    "tiny": TINY,
    "skipping": replace(TINY, skip_below=0.6, sigma_bias=-3.0),
    "odd": replace(TINY, channels=5, hidden=7, features=3, coarse=9, fine=4, plane_axes="eg3d", bound_radius=None, box=1.0),
    "published": VolumeConfig(channels=8, hidden=12, features=6, coarse=12, fine=10, density_scale=10.0, misses="eg3d"),
    "published range": VolumeConfig(channels=8, hidden=12, features=6, coarse=12, fine=12, density_scale=10.0, ray_range=(2.25, 3.3)),
    "nothing hit": replace(TINY, bound_radius=(1e-4, 1e-4, 1e-4), bound_centre=(0.3, 0.3, 0.0)),
}


def both(config: VolumeConfig, batch: int = 2) -> tuple:
    torch.manual_seed(0)
    net, planes = VolumeRenderer(config).requires_grad_(False), 6 * torch.randn(batch, 3, config.channels, 12, 12)
    camera = Camera.from_pose(0.3 * torch.randn(batch, 3), torch.tensor([[0.0, 0.0, 0.2], [0.1, 0.0, 0.5]])[:batch], FIT_FOCAL)
    slow = net(planes, camera, 24)  # with gradients allowed
    with torch.no_grad():
        return net(planes, camera, 24), slow


@pytest.mark.parametrize("name", CONFIGS)
def test_equals_the_version_for_training(name: str, monkeypatch):
    fast, slow = both(CONFIGS[name], batch=1)
    if CONFIGS[name].skip_below:
        monkeypatch.setattr(VolumeRenderer, "_compiled_fits", lambda *_: False)
        slow = both(CONFIGS[name], batch=1)[0]  # only inference skips
    torch.testing.assert_close(fast.feature, slow.feature, atol=5e-5, rtol=0)
    torch.testing.assert_close(fast.weights, slow.weights, atol=5e-5, rtol=0)
    solid = slow.weights > 0.01
    torch.testing.assert_close(fast.depth[solid], slow.depth[solid], atol=1e-4, rtol=0)
    empty = slow.weights == 0
    torch.testing.assert_close(fast.depth[empty], slow.depth[empty], atol=1e-6, rtol=0)
    assert (slow.weights.max() > 0.7) == (name != "nothing hit")


def test_threads_and_batches_do_not_change_the_result(monkeypatch):
    whole, _ = both(TINY)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.setattr("core.render.march_numba.ROOM", 50 * 32 * 32)
    try:
        parts, _ = both(TINY)
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(parts.feature, whole.feature, atol=1e-6, rtol=0)
    assert torch.equal(parts.depth, whole.depth)


def test_vector_functions_are_the_library_s():
    x = np.concatenate([np.linspace(-87, 87, 4001), [-1e4, -90, 0, 1e-6]]).astype(np.float32)
    bits = np.empty(len(x), np.int32)
    found, e = x.copy(), np.empty_like(x)
    exp(found, bits, bits.view(np.float32))
    inside = np.abs(x) < 87
    np.testing.assert_allclose(found[inside], np.exp(x[inside].astype(float)), rtol=1e-5)
    assert (found[x < -87.5] < 1e-37).all()
    found = x.copy()
    softplus(found, e, bits, bits.view(np.float32))
    expected = F.softplus(torch.from_numpy(x.astype(float)), threshold=1000).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-30)
