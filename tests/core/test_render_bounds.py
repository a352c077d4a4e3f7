"""Fixed ray ranges and rays that miss, against closed forms of a fog that is the same everywhere."""

import math

import pytest
import torch
from core.camera import Camera
from core.render.reference import ReferenceRenderer
from core.render.volume import VolumeConfig, VolumeRenderer

SIGMA = 0.7
DENSITY = math.log1p(math.exp(SIGMA - 1))


def fog(kind=VolumeRenderer, **options):
    """A renderer whose decoder answers every point alike, and empty planes."""
    renderer = kind(VolumeConfig(4, 8, 4, coarse=9, fine=0, **options)).eval()
    for parameter in renderer.parameters():
        torch.nn.init.zeros_(parameter)
    torch.nn.init.constant_(renderer.decoder.out.bias, SIGMA)
    return renderer, torch.zeros(1, 3, 4, 8, 8)


def camera(radius):
    return Camera.look_at(torch.tensor([0.3]), torch.zeros(1), torch.tensor([radius]), pivot=(0.0, 0.0, 0.0))


@pytest.mark.parametrize("kind", [VolumeRenderer, ReferenceRenderer])
def test_a_fixed_range_holds_for_all_rays_also_outside_the_box(kind):
    renderer, planes = fog(kind, ray_range=(1.0, 3.5))
    with torch.no_grad():
        out = renderer(planes, camera(6.0), 8)
    opacity = 1 - math.exp(-2.5 * DENSITY)
    torch.testing.assert_close(out.weights, torch.full_like(out.weights, opacity), atol=1e-5, rtol=0)
    colour = (torch.sigmoid(torch.tensor(SIGMA)) * 1.002 - 0.001) * opacity * 2 - 1
    torch.testing.assert_close(out.feature, colour.expand_as(out.feature), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", [VolumeRenderer, ReferenceRenderer])
@pytest.mark.parametrize("misses", ["empty", "eg3d"])
def test_rays_that_miss(kind, misses):
    renderer, planes = fog(kind, misses=misses)
    view = camera(6.0)
    rays = view.rays(8)
    slabs = torch.stack([(side / 2 - rays.origins) / rays.directions for side in (-1, 1)])
    near, far = slabs.amin(0).amax(-1), slabs.amax(0).amin(-1)
    hit = far > near
    assert 0.1 < hit.float().mean() < 0.9
    missed = near[hit].max() - near[hit].min() if misses == "eg3d" else 0.0
    length = torch.where(hit, far - near, missed)
    with torch.no_grad():
        out = renderer(planes, view, 8)
    torch.testing.assert_close(out.weights.flatten(1), 1 - torch.exp(-length * DENSITY), atol=1e-5, rtol=0)
