"""Volume rendering at the published size on a GPU: fused kernels in turns with tensors, for inference and for training.

Random planes (3 x 32 x 256 x 256) and weights, 128 x 128 rays of one camera, 48 + 48 samples. The peak memory of both is in the table.
"""

from collections.abc import Callable
from functools import partial

import torch
from core.camera import Camera
from core.render.volume import VolumeConfig, VolumeRenderer, has_triton
from torch import Tensor

from benchmarks.row import Case, Row, SkippedError

PLANES, SIZE = (1, 3, 32, 256, 256), 128


def _draw(net: VolumeRenderer, planes: Tensor, camera: Camera) -> Tensor:
    with torch.inference_mode():
        return net(planes, camera, SIZE).feature


def _learn(net: VolumeRenderer, planes: Tensor, camera: Camera) -> Tensor:
    """The gradient of planes; that of the decoder comes along."""
    leaf = planes.detach().requires_grad_()
    return torch.autograd.grad(net(leaf, camera, SIZE).feature.square().mean(), [leaf, *net.parameters()])[0]


def _difference(ours: Tensor, theirs: Tensor) -> str:
    off = (ours.float() - theirs.float()).abs().max() / theirs.abs().max()
    return f"largest difference {off.item():.1e} of the largest value"


def _case(run: Callable[[VolumeRenderer, Tensor, Camera], Tensor], dtype: torch.dtype, device: torch.device) -> Case:
    if device.type != "cuda" or not has_triton():
        raise SkippedError("needs CUDA and Triton")
    torch.manual_seed(0)
    fused, tensors = VolumeRenderer(VolumeConfig()).to(device), VolumeRenderer(VolumeConfig()).to(device)
    tensors.load_state_dict(fused.state_dict())
    tensors.fused = False
    planes, camera = torch.randn(PLANES, device=device).to(dtype), Camera.from_pose(torch.zeros(1, 3), torch.zeros(1, 3)).to(device)
    ours, theirs = partial(run, fused, planes, camera), partial(run, tensors, planes, camera)
    return Case(ours, unit="picture", baseline=theirs, baseline_name="tensors, float32", note=_difference)


ROWS = (
    Row("volume.paper", partial(_case, _draw, torch.float32), cuda=True),
    Row("volume.paper.half", partial(_case, _draw, torch.float16), cuda=True),
    Row("volume.paper.train", partial(_case, _learn, torch.float32), cuda=True),
    Row("volume.paper.train.half", partial(_case, _learn, torch.float16), cuda=True),
)
