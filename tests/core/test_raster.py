"""Rasteriser: both backends against each other, against closed forms and at its edges."""

import numpy as np
import pytest
import torch
from core.raster import interpolate, rasterize
from core.raster.numba_backend import rasterize_arrays
from core.raster.torch_backend import interpolate as interpolate_slow
from torch.nn.functional import max_pool2d

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


def sphere(rows: int, centre: tuple[float, float, float], radius: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Vertices on a sphere (eye space, z forward) whose axis is tilted, and a closed surface of 4 rows^2 - 4 rows triangles."""
    polar, turn = torch.linspace(0, torch.pi, rows + 1).double(), torch.arange(2 * rows).double() * torch.pi / rows
    ring = torch.stack([turn.cos(), turn.sin()], -1) * polar.sin()[:, None, None]
    points = torch.cat([ring, polar.cos()[:, None, None].expand(-1, 2 * rows, 1)], 2).flatten(0, 1)
    axes = torch.linalg.qr(torch.tensor([[0.3, 1, 0.2], [1, 0.4, -0.5], [0.1, -0.7, 1]]).double()).Q
    i = torch.arange((rows + 1) * 2 * rows).reshape(rows + 1, -1)
    i[0], i[-1] = i[0, 0], i[-1, 0]  # poles are one vertex
    a, b, c, d = i[:-1], i[:-1].roll(-1, 1), i[1:].roll(-1, 1), i[1:]
    triangles = torch.cat([torch.stack([a, b, c], -1)[1:], torch.stack([a, c, d], -1)[:-1]]).reshape(-1, 3)
    return radius * points @ axes.T + torch.tensor(centre).double(), triangles


def in_clip(eye: torch.Tensor) -> torch.Tensor:
    """Focal length 1.5, near 1, far 9."""
    return torch.stack([1.5 * eye[:, 0], 1.5 * eye[:, 1], (10 * eye[:, 2] - 18) / 8, eye[:, 2]], 1).float()[None]


@pytest.mark.parametrize("size", [(7, 9), (24, 20)])
def test_twins_agree_on_triangles_smaller_than_pixels(size: tuple[int, int]) -> None:
    """Their boxes hold no pixel centre or one; the twin knows no boxes."""
    eye, triangles = sphere(30, (0.3, -0.2, 3.5), 1.2)
    fast, slow = (rasterize(in_clip(eye), triangles, size, name) for name in BACKENDS)
    assert torch.equal(fast[..., 3], slow[..., 3])
    torch.testing.assert_close(fast, slow, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("seed", [0, 1])
def test_twins_agree_on_pixel_centres_and_borders(seed: int) -> None:
    """Corners lie exactly on pixel centres, pixel borders and the border of the image."""
    generator = torch.Generator().manual_seed(seed)
    grid = torch.randint(-2, 19, (1, 60, 2), generator=generator) / 8 - 1  # half pixels of an 8 x 8 image
    clip = torch.cat([grid, torch.rand(1, 60, 1, generator=generator), torch.ones(1, 60, 1)], 2)
    clip = clip * torch.randint(1, 4, (1, 60, 1), generator=generator)  # the same places at other depths
    triangles = torch.randperm(60, generator=generator).reshape(20, 3)
    fast, slow = (rasterize(clip, triangles, (8, 8), name) for name in BACKENDS)
    assert torch.equal(fast[..., 3], slow[..., 3])
    torch.testing.assert_close(fast, slow, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_sphere(backend: str) -> None:
    """Where the pixel's ray meets the ball; outside, nothing. Facets of 3 degrees lie less than 0.0004 radii below the ball."""
    centre, radius, size = torch.tensor([0.3, -0.2, 3.5]), 1.2, 40
    eye, triangles = sphere(60 if backend == "numba" else 30, tuple(centre.tolist()), radius)
    fragments = rasterize(in_clip(eye), triangles, (size, size), backend)
    image = interpolate(eye[None].float(), fragments, triangles)[0]
    slopes = torch.stack([ndc(size).expand(size, size) / 1.5, ndc(size)[:, None].expand(size, size) / 1.5, torch.ones(size, size)], -1)
    towards, length = (slopes * centre).sum(-1), slopes.norm(dim=-1)
    root = towards**2 - length**2 * (centre.norm() ** 2 - radius**2)
    seen = fragments[0, ..., 3] > 0
    inner, outer = root > 0.3, root < 0
    assert inner.sum() > 300
    assert seen[inner].all()
    assert not seen[outer].any()
    expected = slopes * ((towards - root.clamp_min(0).sqrt()) / length**2)[..., None]
    tolerance = 0.004 if backend == "numba" else 0.016  # the sagitta, divided by the cosine at grazing rays
    assert (image - expected)[inner].norm(dim=1).max() < tolerance
    assert (image[inner] / image[inner][:, 2:] - slopes[inner]).abs().max() < 1e-5  # perspective-correct: the point lies on the ray


@pytest.mark.parametrize("backend", BACKENDS)
def test_closed_surface_in_perspective_has_no_gap_and_no_double_cover(backend: str) -> None:
    """Every triangle alone: a ray that enters the ball leaves it once, also between vertices at no special places."""
    eye, triangles = sphere(9, (0.3, -0.2, 3.5), 1.2)
    clip = in_clip(eye)
    covers = sum((rasterize(clip, t[None], (24, 24), backend)[0, ..., 3] > 0).int() for t in triangles)
    assert set(covers.unique().tolist()) == {0, 2}
    assert torch.equal(covers > 0, rasterize(clip, triangles, (24, 24), backend)[0, ..., 3] > 0)


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
    number = ours[:, None, ..., 3]
    band = max_pool2d(number, 3, 1, 1) != -max_pool2d(-number, 3, 1, 1)  # next to another triangle: corners are snapped to sub-pixels there
    inside = ~band[:, 0]
    assert inside.float().mean() > 0.5
    torch.testing.assert_close(ours[inside], theirs[inside], rtol=0, atol=1e-3)


@pytest.mark.gpu
def test_torch_twin_on_cuda_agrees() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    clip, triangles = soup(7)
    ours = rasterize(clip, triangles, (48, 48))
    theirs = rasterize(clip.cuda(), triangles.cuda(), (48, 48), "torch")
    assert theirs.is_cuda
    same = ours[..., 3] == theirs[..., 3].cpu()
    assert same.float().mean() > 0.999  # a sum in another order may flip a pixel centre that lies on an edge
    torch.testing.assert_close(theirs.cpu()[same], ours[same], rtol=1e-5, atol=1e-5)
