"""Meshes out of planes: closed-form shapes, and the volume renderer's own opinion of where the surface is."""

import numpy as np
import pytest
import torch
from core.errors import PortraitError
from core.render.volume import VolumeConfig, VolumeRenderer
from recon.export import closed_surface, extract_mesh

N = 40


def field(centre, radius):
    """Distance inside a sphere, in grid cells."""
    axes = np.indices((N, N, N)).transpose(1, 2, 3, 0)
    return radius - np.linalg.norm(axes - np.array(centre), axis=-1)


def measures(vertices, faces):
    """Enclosed volume (positive if the faces look outwards) and area."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    cross = np.cross(b - a, c - a)
    return (a * cross).sum() / 6, np.linalg.norm(cross, axis=1).sum() / 2


def assert_closed(faces):
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    forward = {tuple(edge) for edge in edges.tolist()}
    assert len(forward) == len(edges)
    assert {(b, a) for a, b in forward} == forward


def test_a_sphere():
    vertices, faces = closed_surface(field((20, 21, 19), 12.0) + 10, 10.0)
    np.testing.assert_allclose(np.linalg.norm(vertices - (20, 21, 19), axis=1), 12, atol=0.02)
    volume, area = measures(vertices, faces)
    assert volume == pytest.approx(4 / 3 * np.pi * 12**3, rel=0.01)
    assert area == pytest.approx(4 * np.pi * 12**2, rel=0.01)
    assert_closed(faces)


def test_hollows_specks_and_cut_sides():
    shell = np.minimum(field((20, 20, 20), 12.0), -field((20, 20, 20), 7.0)) + 10
    with_speck = np.maximum(shell, field((3, 3, 3), 2.0) + 10)
    volume, _ = measures(*closed_surface(with_speck, 10.0))
    assert volume == pytest.approx(4 / 3 * np.pi * 12**3, rel=0.01)
    vertices, faces = closed_surface(field((0, 20, 20), 10.0) + 10, 10.0)  # half of it lies outside the grid
    assert_closed(faces)
    assert vertices[:, 0].min() >= -1
    assert measures(vertices, faces)[0] == pytest.approx(2 / 3 * np.pi * 10**3, rel=0.1)


@pytest.fixture
def slab():
    """Planes and decoder in which the density depends on y alone: dense below y = 0.1, empty above; red grows with x."""
    volume = VolumeRenderer(VolumeConfig(2, 2, 3, activation="silu", plane_axes="xyz", bound_radius=(0.4, 0.4, 0.4)))
    side = 64
    ticks = (torch.arange(side) + 0.5) / side - 0.5
    planes = torch.zeros(1, 3, 2, side, side)
    planes[0, 0, 0] = (600 * (0.1 - ticks)).clamp(-60, 60)[:, None]  # the row of plane 0 is y
    planes[0, 0, 1] = 3 * ticks + 3  # its column is x
    with torch.no_grad():
        volume.decoder.hidden.weight.copy_(torch.eye(2) / volume.decoder.hidden.gain)
        volume.decoder.out.weight.zero_()
        volume.decoder.out.weight[0, 0] = 30 / volume.decoder.out.gain
        volume.decoder.out.weight[1, 1] = 1 / volume.decoder.out.gain
        volume.decoder.out.bias.zero_()
    return volume, planes


def test_the_surface_is_where_the_density_is(slab):
    mesh = extract_mesh(*slab, cells=64)
    top = mesh.vertices[(np.abs(mesh.vertices[:, [0, 2]]) < 0.2).all(1) & (mesh.vertices[:, 1] > -0.1)]
    assert len(top) > 100
    np.testing.assert_allclose(top[:, 1], 0.1, atol=0.02)
    radius = np.linalg.norm(mesh.vertices, axis=1)
    assert radius.max() < 0.4 + 1.5 / 64  # the cut of the bounding sphere is smoothed
    below = mesh.vertices[:, 1] < 0.0
    assert radius[below].min() > 0.36
    assert_closed(mesh.faces)
    assert measures(mesh.vertices, mesh.faces)[0] > 0
    colours = mesh.colours[below]
    assert np.corrcoef(mesh.vertices[below, 0], colours[:, 0])[0, 1] > 0.95
    assert np.abs(colours[:, 1:].astype(int) - 128).max() <= 1


def test_empty_planes_have_no_surface(slab):
    volume, planes = slab
    with pytest.raises(PortraitError, match="E_MESH"):
        extract_mesh(volume, planes - 100, cells=32)
