"""The scattering rasteriser against the z-buffer and the twin that tries every pixel."""

import pytest
import torch
from core.face.model import FaceModel
from core.face.pncc import clip_coordinates
from core.raster import rasterize, scatter_backend


def soup(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two meshes of random triangles, some of which reach behind the camera."""
    generator = torch.Generator().manual_seed(seed)
    clip = torch.randn(2, 60, 4, generator=generator)
    clip[..., 3] += 1
    return clip, torch.stack([torch.randperm(60, generator=generator)[:3] for _ in range(40)])


@pytest.mark.parametrize("tries", [100, 1 << 21])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_random_triangles(seed: int, tries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scatter_backend, "_TRIES", tries)
    clip, triangles = soup(seed)
    ours, plain = (rasterize(clip, triangles, (33, 48), name) for name in ("scatter", "torch"))
    assert torch.equal(ours[..., 3], plain[..., 3])
    assert (ours[..., 3] > 0).float().mean() > 0.2
    torch.testing.assert_close(ours, plain, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("seed", [0, 1])
def test_corners_on_pixel_centres_and_equal_depths(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    grid = torch.randint(-2, 19, (1, 60, 2), generator=generator) / 8 - 1
    clip = torch.cat([grid, torch.full((1, 60, 1), 0.25), torch.ones(1, 60, 1)], 2)
    triangles = torch.randperm(60, generator=generator).reshape(20, 3)
    ours, drawn = (rasterize(clip, triangles, (8, 8), name) for name in ("scatter", "numba"))
    assert torch.equal(ours[..., 3], drawn[..., 3])
    torch.testing.assert_close(ours, drawn, rtol=1e-6, atol=1e-6)


def test_face() -> None:
    face = FaceModel.embedded()
    clip = clip_coordinates(face.mean[None].expand(2, -1, -1) * torch.tensor([1.0, 0.8])[:, None, None])
    ours, drawn = (rasterize(clip, face.triangles, (96, 80), name) for name in ("scatter", "numba"))
    assert torch.equal(ours[..., 3], drawn[..., 3])
    torch.testing.assert_close(ours, drawn, rtol=1e-6, atol=1e-6)


def test_nothing_to_see() -> None:
    clip = torch.tensor([[[3.0, 0, 0, 1], [4, 0, 0, 1], [3, 1, 0, 1]], [[0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 1]]])
    for triangles in (torch.tensor([[0, 1, 2]]), torch.zeros(0, 3, dtype=torch.long)):
        assert not rasterize(clip, triangles, (8, 8), "scatter").any()


@pytest.mark.gpu
def test_same_on_the_gpu() -> None:
    face = FaceModel.embedded()
    clip = clip_coordinates(face.mean[None])
    ours, drawn = rasterize(clip.cuda(), face.triangles.cuda(), (256, 256), "scatter").cpu(), rasterize(clip, face.triangles, (256, 256))
    assert (ours[..., 3] != drawn[..., 3]).float().mean() < 1e-4
    again = rasterize(clip.cuda(), face.triangles.cuda(), (256, 256), "scatter").cpu()
    assert torch.equal(ours, again)
