"""Which tensors compiled functions take; light to import, unlike those."""

import torch
from torch import Tensor


def compilable(*tensors: Tensor) -> bool:
    """Whether what is compiled for CPUs can be used for these: float32 on a CPU, without gradients."""
    return not torch.is_grad_enabled() and all(x.device.type == "cpu" and x.dtype == torch.float32 for x in tensors)
