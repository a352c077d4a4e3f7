"""Eq. 2: the avatar is the sum of its parts."""

from pathlib import Path

import pytest
import torch
from animate import HeadAvatar, MotionAdapter, MotionAdapterConfig
from core.camera import FIT_FOCAL, Camera
from core.errors import PortraitError
from recon import I2P, HeadRenderer, HeadRendererConfig, I2PConfig
from torch import nn


@pytest.fixture(scope="module")
def avatar() -> HeadAvatar:
    torch.manual_seed(0)
    adapter = MotionAdapter(MotionAdapterConfig.preset("debug"))
    nn.init.normal_(adapter.to_planes.weight, std=0.1)
    return HeadAvatar(I2P(I2PConfig.preset("debug")), adapter, HeadRenderer(HeadRendererConfig.preset("debug"))).eval()


def images(batch: int, count: int = 4) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(batch, 3, 64, 64, generator=generator) * 2 - 1 for _ in range(count)]


def cameras(batch: int) -> Camera:
    return Camera.from_pose(torch.linspace(-0.2, 0.2, 3 * batch).view(batch, 3), torch.zeros(batch, 3), FIT_FOCAL)


@torch.no_grad()
def test_equation_2_is_the_sum(avatar: HeadAvatar):
    head, src, drv, cano = images(2)
    planes = avatar.i2p(head) + avatar.adapter(src, drv, cano)
    expected = avatar.renderer(planes, cameras(2))
    result = avatar(head, src, drv, cameras(2), pncc_cano=cano)
    for name in ("image", "raw", "feature", "depth", "weights"):
        torch.testing.assert_close(getattr(result, name), getattr(expected, name))
    torch.testing.assert_close(avatar.animate(avatar.canonical(head), src, drv, cano), planes)


@torch.no_grad()
def test_one_source_serves_many_frames(avatar: HeadAvatar):
    head, src, _, cano = images(1)
    drv = images(3)[0]
    planes = avatar.canonical(head)
    together = avatar.animate(planes, src, drv, cano)
    single = avatar.animate(planes, src, drv[2:], cano)
    assert together.shape[0] == 3
    torch.testing.assert_close(together[2:], single, atol=1e-5, rtol=1e-4)


def test_gradients_reach_all_three_networks(avatar: HeadAvatar):
    head, src, drv, cano = images(1)
    avatar(head, src, drv, cameras(1), pncc_cano=cano).image.square().mean().backward()
    for part in (avatar.i2p, avatar.adapter, avatar.renderer):
        assert any(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in part.parameters())
    avatar.zero_grad()


def test_folder_of_stage_2(avatar: HeadAvatar, tmp_path: Path):
    for name in ("i2p", "adapter", "renderer"):
        getattr(avatar, name).save_pretrained(tmp_path / name)
    again = HeadAvatar.from_folder(tmp_path)
    head, src, drv, cano = images(1)
    with torch.no_grad():
        results = [each(head, src, drv, cameras(1), pncc_cano=cano).image for each in (avatar, again)]
    torch.testing.assert_close(*results)
    assert not any(module.training for module in again.modules())


def test_missing_adapter_is_named(avatar: HeadAvatar, tmp_path: Path):
    avatar.i2p.save_pretrained(tmp_path / "i2p")
    with pytest.raises(PortraitError, match=r"E_WEIGHTS: MotionAdapter: no config\.json"):
        HeadAvatar.from_folder(tmp_path)
