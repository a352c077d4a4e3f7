"""nvdiffrast (Laine et al. 2020) behind the signature of ``core.raster.rasterize``. Optional, CUDA only, NVIDIA's own licence."""

from functools import cache
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor


@cache
def _context(device: torch.device) -> tuple[Any, Any]:
    """The module and one rasteriser context per device."""
    try:
        import nvdiffrast.torch as nvdiffrast
    except ImportError as error:
        raise ModuleNotFoundError("nvdiffrast is not installed; take backend='numba', or install it from its own repository") from error
    return nvdiffrast, nvdiffrast.RasterizeCudaContext(device=device)


def rasterize(clip: Float[Tensor, "b v 4"], triangles: Int[Tensor, "f 3"], size: tuple[int, int]) -> Float[Tensor, "b h w 4"]:
    """See ``core.raster.rasterize``; gradients reach ``clip``.

    Raises:
        ValueError: ``clip`` is not a CUDA tensor.
    """
    if not clip.is_cuda:
        raise ValueError(f"backend='nvdiffrast' needs CUDA tensors, not {clip.device}")
    module, context = _context(clip.device)
    fragments, _ = module.rasterize(context, clip.float().contiguous(), triangles.to(clip.device, torch.int32).contiguous(), list(size))
    return fragments
