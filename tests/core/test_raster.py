"""Rasteriser: both backends against each other, against closed forms and at its edges."""

import numpy as np
import pytest
import torch
from core.raster import interpolate, rasterize
from core.raster.numba_backend import rasterize_arrays
from core.raster.torch_backend import interpolate as interpolate_slow

BACKENDS = ("numba", "torch")


def soup(seed: int, vertices: int = 60, triangles: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    """Random distinct triangles, some of which reach behind the camera."""
    generator = torch.Generator().manual_seed(seed)
    clip = torch.randn(2, vertices, 4, generator=generator)
    clip[..., 3] += 1
    order = torch.stack([torch.randperm(vertices, generator=generator)[:3] for _ in range(triangles)])
    return clip, order.sort(dim=1).values.unique(dim=0)


def ndc(size: int) -> torch.Tensor:
    return (2 * torch.arange(size) + 1) / size - 1


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_twins_agree(seed: int) -> None:
    clip, triangles = soup(seed)
    fast, slow = (rasterize(clip, triangles, (33, 48), name) for name in BACKENDS)
    assert torch.equal(fast[..., 3], slow[..., 3])
    assert (fast[..., 3] > 0).float().mean() > 0.2
    torch.testing.assert_close(fast, slow, rtol=1e-6, atol=1e-6)
    values = torch.rand(2, clip.shape[1], 5)
    torch.testing.assert_close(interpolate(values, fast, triangles), interpolate_slow(values, fast, triangles))


@pytest.mark.parametrize("backend", BACKENDS)
def test_tilted_plane_in_perspective(backend: str) -> None:
    """A plane z = 3 + x/2 seen with focal 1: eye-space x and depth per pixel have closed forms."""
    eye = torch.tensor([[-2.0, -9, 2], [6, -9, 6], [6, 9, 6], [-2, 9, 2]])
    clip = torch.stack([eye[:, 0], eye[:, 1], (eye[:, 2] - 1) * 0.9, eye[:, 2]], 1)[None]
    fragments = rasterize(clip, torch.tensor([[0, 1, 2], [0, 2, 3]]), (20, 24), backend)
    assert (fragments[..., 3] > 0).all()
    image = interpolate(eye[None], fragments, torch.tensor([[0, 1, 2], [0, 2, 3]]))[0]
    slope = ndc(24)
    x = 3 * slope / (1 - slope / 2)  # x = slope * z and z = 3 + x / 2
    torch.testing.assert_close(image[..., 0], x.expand(20, 24), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(image[..., 1], ndc(20)[:, None] * image[..., 2], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(fragments[0, ..., 2], (image[..., 2] - 1) * 0.9 / image[..., 2], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_first_row_is_ndc_minus_one(backend: str) -> None:
    clip = torch.tensor([[[-1.0, -1, 0, 1], [1, -1, 0, 1], [-1, 0, 0, 1]]])
    seen = rasterize(clip, torch.tensor([[0, 1, 2]]), (8, 8), backend)[0, ..., 3] > 0
    assert seen[0, 0]
    assert not seen[4:].any()


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_pixel_of_a_surface_has_one_triangle(backend: str) -> None:
    """Pixel centres lie exactly on edges and corners of this grid; each triangle alone, they never overlap and leave no gap."""
    ticks = torch.linspace(-1, 1, 5)
    y, x = torch.meshgrid(ticks, ticks + 1 / 8, indexing="ij")
    clip = torch.stack([x, y + 1 / 8, torch.zeros_like(x), torch.ones_like(x)], -1).reshape(1, -1, 4)
    i = torch.arange(25).reshape(5, 5)
    lower = torch.stack([i[:-1, :-1], i[:-1, 1:], i[1:, 1:]], -1).reshape(-1, 3)
    upper = torch.stack([i[:-1, :-1], i[1:, :-1], i[1:, 1:]], -1).reshape(-1, 3)  # wound the other way
    triangles = torch.cat([lower, upper])
    covers = sum((rasterize(clip, t[None], (8, 8), backend)[0, ..., 3] > 0).int() for t in triangles)
    inside = (ndc(8) > -0.87) & (ndc(8) <= 1)
    assert (covers[inside][:, inside] == 1).all()
    assert int(covers.max()) == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_nearest_triangle_wins_in_any_order(backend: str) -> None:
    square = torch.tensor([[-1.0, -1], [3, -1], [-1, 3]])
    clip = torch.cat([torch.cat([square, torch.full((3, 1), z), torch.ones(3, 1)], 1) for z in (0.5, -0.5)])[None]
    for order in ([[0, 1, 2], [3, 4, 5]], [[3, 4, 5], [0, 1, 2]]):
        fragments = rasterize(clip, torch.tensor(order), (4, 4), backend)
        assert (fragments[..., 3] - 1 == order.index([3, 4, 5])).all()
        torch.testing.assert_close(fragments[..., 2], torch.full((1, 4, 4), -0.5))


@pytest.mark.parametrize("backend", BACKENDS)
def test_behind_camera_and_outside_depth_range(backend: str) -> None:
    triangle = torch.tensor([[0, 1, 2]])
    square = torch.tensor([[-1.0, -1], [3, -1], [-1, 3]])
    for z, w in ((0.0, -1.0), (1.5, 1.0), (-1.5, 1.0)):
        clip = torch.cat([square * w, torch.full((3, 1), z), torch.full((3, 1), w)], 1)[None]
        assert not rasterize(clip, triangle, (4, 4), backend).any(), (z, w)


@pytest.mark.parametrize("backend", BACKENDS)
def test_triangle_that_crosses_the_camera_plane(backend: str) -> None:
    """A floor y = -1 from z = -1 (behind) to 9: visible below the horizon only, with depth z = -1 / slope."""
    eye = torch.tensor([[-50.0, -1, -1], [50, -1, -1], [0, -1, 9]])
    clip = torch.stack([eye[:, 0], eye[:, 1], torch.zeros(3), eye[:, 2]], 1)[None]
    fragments = rasterize(clip, torch.tensor([[0, 1, 2]]), (16, 16), backend)
    depth = interpolate(eye[None, :, 2:], fragments, torch.tensor([[0, 1, 2]]))[0, :, 8, 0]
    expected = torch.where((ndc(16) < -1 / 9), -1 / ndc(16), 0.0)
    torch.testing.assert_close(depth, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_degenerate_triangles_are_not_drawn(backend: str) -> None:
    clip = torch.tensor([[[-1.0, -1, 0, 1], [1, 1, 0, 1], [0, 0, 0, 1], [float("nan"), 0, 0, 1]]])
    triangles = torch.tensor([[0, 1, 2], [0, 0, 1], [0, 1, 3]])
    assert not rasterize(clip, triangles, (8, 8), backend).any()


def test_repeats_bit_by_bit_and_ignores_the_batch() -> None:
    clip, triangles = soup(4)
    whole = rasterize(clip, triangles, (32, 32))
    assert torch.equal(whole, rasterize(clip, triangles, (32, 32)))
    single = rasterize_arrays(clip[1].numpy(), triangles.numpy(), 32, 32)
    assert np.array_equal(whole[1].numpy(), single)


def test_interpolation_passes_gradients_to_attributes() -> None:
    clip, triangles = soup(5)
    fragments = rasterize(clip, triangles, (16, 16))
    values = torch.rand(2, clip.shape[1], 1, requires_grad=True)
    interpolate(values, fragments, triangles).sum().backward()
    seen = (fragments[..., 3] > 0).sum()
    torch.testing.assert_close(values.grad.sum(), seen.float(), rtol=1e-4, atol=1e-4)  # weights of a pixel sum to 1


def test_nvdiffrast_is_optional() -> None:
    clip, triangles = soup(6)
    with pytest.raises((ModuleNotFoundError, ValueError), match="nvdiffrast"):
        rasterize(clip, triangles, (8, 8), "nvdiffrast")


@pytest.mark.gpu
def test_nvdiffrast_agrees_inside() -> None:
    pytest.importorskip("nvdiffrast")
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(1, 30, 3, generator=generator) * 1.6 - 0.8
    clip = torch.cat([points, torch.ones(1, 30, 1)], 2)
    triangles = torch.randperm(30, generator=generator).reshape(10, 3)
    ours = rasterize(clip, triangles, (64, 64))
    theirs = rasterize(clip.cuda(), triangles.cuda(), (64, 64), "nvdiffrast").cpu()
    same = ours[..., 3] == theirs[..., 3]
    assert same.float().mean() > 0.99  # silhouettes are snapped to sub-pixels there
    torch.testing.assert_close(ours[same], theirs[same], rtol=0, atol=2e-2)
