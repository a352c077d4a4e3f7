"""``rasterize`` and ``interpolate``: one signature, four backends."""

from importlib.util import find_spec
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

Backend = Literal["auto", "numba", "scatter", "torch", "nvdiffrast"]
Size = tuple[int, int]


def rasterize(
    clip: Float[Tensor, "b v 4"], triangles: Int[Tensor, "f 3"], size: Size, backend: Backend = "auto"
) -> Float[Tensor, "b h w 4"]:
    """Find the nearest triangle at every pixel centre.

    Args:
        clip: vertices in clip coordinates.
        triangles: vertex numbers, any orientation.
        size: (height, width) of the result.
        backend: ``auto`` takes nvdiffrast for CUDA tensors if it is installed and ``scatter`` if not, for others the numba z-buffer (on the
            host); ``torch`` is the twin for reading.

    Returns:
        Per pixel ``(b0, b1, z/w, triangle + 1)``, where ``b0`` and ``b1`` are the perspective-correct barycentric weights of the triangle's
        first two vertices (the third is ``1 - b0 - b1``); all zero where no triangle is seen. Only nvdiffrast passes gradients to ``clip``.

    Raises:
        ModuleNotFoundError: ``backend="nvdiffrast"`` and the package is not installed.
    """
    if backend == "auto":
        backend = "numba" if not clip.is_cuda else "nvdiffrast" if find_spec("nvdiffrast") else "scatter"
    if backend == "nvdiffrast":
        from core.raster import nvdiffrast_backend as chosen
    elif backend == "scatter":
        from core.raster import scatter_backend as chosen
    elif backend == "torch":
        from core.raster import torch_backend as chosen
    else:
        from core.raster import numba_backend as chosen
    return chosen.rasterize(clip, triangles, size)


def interpolate(
    attributes: Float[Tensor, "b v c"], fragments: Float[Tensor, "b h w 4"], triangles: Int[Tensor, "f 3"]
) -> Float[Tensor, "b h w c"]:
    """Blend vertex attributes with the weights of ``rasterize``; 0 where no triangle is seen. Differentiable in ``attributes``."""
    needs_torch = attributes.is_cuda or fragments.is_cuda or attributes.dtype != torch.float32
    if needs_torch or (torch.is_grad_enabled() and (attributes.requires_grad or fragments.requires_grad)):
        from core.raster import torch_backend as chosen
    else:
        from core.raster import numba_backend as chosen
    return chosen.interpolate(attributes, fragments, triangles)
