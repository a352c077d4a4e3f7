"""The Triton kernels of the volume renderer against the tensors' version and the readable twin.

Without a GPU they run through Triton's interpreter, which has to be chosen before they are defined: in a process of its own.
"""

import os
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import torch
from core.camera import FIT_FOCAL, Camera
from core.render.reference import ReferenceRenderer
from core.render.volume import VolumeConfig, VolumeRenderer

pytest.importorskip("triton", reason="triton comes with torch's wheels for Linux only")

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
WHERE = [
    pytest.param("cpu", marks=pytest.mark.skipif(not INTERPRETED, reason="part of test_through_the_interpreter")),
    pytest.param("cuda", marks=pytest.mark.gpu),
]
SMALL = VolumeConfig(channels=4, hidden=8, features=5, coarse=4, fine=3, density_scale=6.0)
CONFIGS = {
    "published": SMALL,
    "scratch": replace(SMALL, scheme="textbook", plane_axes="xyz", activation="silu", floor=0.003, sigma_bias=-1.0, box=0.8),
    "bounded": replace(SMALL, scheme="textbook", bound_centre=(0.0, 0.02, 0.06), bound_radius=(0.2, 0.25, 0.2)),
    "one pass": replace(SMALL, fine=0, channels=17, misses="eg3d"),
}
OPAQUE = replace(SMALL, density_scale=300.0, coarse=6, fine=0, scheme="textbook")
PAPER = VolumeConfig()


@pytest.fixture
def fused(monkeypatch) -> None:
    """Kernels wherever they can run at all, in programs that suit the interpreter."""
    monkeypatch.setattr(VolumeRenderer, "_fused_fits", lambda self, *_: self.fused)
    if INTERPRETED:
        monkeypatch.setattr("core.render.volume_triton.RAYS_BACK", 64)
        monkeypatch.setattr("core.render.volume_triton.BLOCK", 256)


def make(config: VolumeConfig, device: str, side: int = 9, seed: int = 0) -> tuple:
    """Three renderers with the same weights, planes and two cameras; a part of the first one's rays misses the box."""
    torch.manual_seed(seed)
    fast, eager, slow = VolumeRenderer(config), VolumeRenderer(config), ReferenceRenderer(config)
    eager.fused = False
    for net in (eager, slow):
        net.load_state_dict(fast.state_dict())
    planes = torch.randn(2, 3, config.channels, side, side + 2)
    camera = Camera.from_pose(0.3 * torch.randn(2, 3), torch.tensor([[1.5, 0.0, -6.0], [0.1, 0.0, 0.5]]), FIT_FOCAL)
    return *(net.to(device) for net in (fast, eager, slow)), planes.to(device), camera.to(device)


def drawn(net: VolumeRenderer, planes: torch.Tensor, camera: Camera, size: int, seed: int | None = 1) -> tuple:
    """Maps, and the gradients of planes and of all weights for random ones of the maps."""
    leaf = planes.clone().requires_grad_()
    out = net(leaf, camera, size, generator=None if seed is None else torch.Generator().manual_seed(seed))
    maps = (out.feature, out.depth, out.weights)
    weigh = torch.Generator().manual_seed(5)
    loss = sum((x * torch.randn(x.shape, generator=weigh).to(x)).sum() for x in maps)
    return [x.detach() for x in maps], torch.autograd.grad(loss, [leaf, *net.parameters()])


def compare(mine: tuple, twin: tuple, values: float, gradients: float) -> None:
    """Maps within an absolute, gradients within a relative tolerance of the largest."""
    for a, b in zip(mine[0], twin[0], strict=True):
        torch.testing.assert_close(a, b, atol=values, rtol=0)
    for a, b in zip(mine[1], twin[1], strict=True):
        assert (a - b).abs().max() <= gradients * b.abs().max()


@pytest.mark.parametrize("device", WHERE)
@pytest.mark.parametrize("name", CONFIGS)
def test_equals_both_twins_in_values_and_gradients(name, device, fused):
    fast, eager, slow, planes, camera = make(CONFIGS[name], device, seed=len(name))
    size = 9 if name == "one pass" else 6  # more rays than one program takes
    mine = drawn(fast, planes, camera, size)
    assert (mine[0][2].amin() == 0) == (CONFIGS[name].misses == "empty")  # some rays miss
    for twin in (eager, slow):
        compare(mine, drawn(twin, planes, camera, size), 1e-4, 1e-3)


@pytest.mark.parametrize("device", WHERE)
def test_leaving_opaque_rays_early_does_not_show(device, fused):
    fast, _, slow, planes, camera = make(OPAQUE, device)
    with torch.no_grad():
        mine, twin = fast(planes, camera, 6), slow(planes, camera, 6)
    assert twin.weights.max() > 1 - 1e-5
    torch.testing.assert_close(mine.feature, twin.feature, atol=1e-4, rtol=0)
    torch.testing.assert_close(mine.depth, twin.depth, atol=1e-4, rtol=0)


@pytest.mark.parametrize("device", WHERE)
def test_half_precision_planes_are_rendered_as_they_are(device, fused):
    """What they hold is read exactly; on a GPU products round to ten bits, gradients to the planes' precision everywhere."""
    fast, _, slow, planes, camera = make(CONFIGS["scratch"], device)
    halves = planes.half()
    mine, twin = drawn(fast, halves, camera, 6), drawn(slow, halves.float(), camera, 6)
    assert mine[0][0].dtype == torch.float32
    assert mine[1][0].dtype == torch.float16
    compare(mine, twin, 1e-4 if device == "cpu" else 2e-3, 1e-2)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_paper_scale(dtype):
    fast, eager, _, planes, camera = make(PAPER, "cuda", side=254)
    planes = planes.to(dtype)
    exact = dtype == torch.float32
    compare(drawn(fast, planes, camera, 64), drawn(eager, planes.float(), camera, 64), 1e-4 if exact else 2e-3, 1e-3 if exact else 1e-2)
    first, again = (drawn(fast, planes, camera, 64) for _ in range(2))
    for a, b in zip(first[0] + list(first[1][1:]), again[0] + list(again[1][1:]), strict=True):
        assert torch.equal(a, b)  # the planes' gradients alone are added up in any order


@pytest.mark.gpu
def test_is_what_a_renderer_takes_on_a_gpu():
    fast, eager, _, planes, camera = make(SMALL, "cuda")
    bundle, _ = fast._bundle(camera.rays(4), None)
    assert fast._fused_fits(planes, bundle)
    assert not eager._fused_fits(planes, bundle)
    assert not fast._fused_fits(planes.double(), bundle)


def test_is_not_taken_on_a_cpu():
    fast, _, _, planes, camera = make(SMALL, "cpu")
    assert not fast._fused_fits(planes, fast._bundle(camera.rays(4), None)[0])


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["density_forward", "march_forward", "march_backward"])
def test_compiles_for_a_gpu_that_is_not_there(kernel, monkeypatch):
    """At published widths: code for an H100, whose loop is found; gradients are added four numbers at a time."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "tools")
    size = import_module("kernel_sizes").measure(kernel, "fp16", 16 if kernel == "march_backward" else 64)
    sys.modules.pop("kernel_sizes")
    assert 50 < size.per_sample < 1000
    assert size.registers <= 255
    assert size.atomics == (12 if kernel == "march_backward" else 0)  # four texels on three planes


@pytest.mark.skipif(INTERPRETED, reason="is what runs now")
def test_through_the_interpreter():
    options = ["-q", "-o", "addopts=--import-mode=importlib", "-m", "not gpu and not slow", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command = [sys.executable, "-m", "pytest", *options, __file__]
    done = subprocess.run(command, env=os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert f"{len(CONFIGS) + 3} passed" in done.stdout
