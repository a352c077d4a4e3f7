"""In which type the convolutions of a frame are computed."""

import torch
from compose import HTBSRConfig
from core.errors import PortraitError

from portrait.channels import PRECISIONS


def choose_precision(name: str, config: HTBSRConfig) -> torch.dtype:
    """Type of the features of the head-torso-background network.

    Args:
        name: ``auto``, ``float32`` or ``bfloat16``. ``auto`` is float32 wherever bfloat16 was not measured to make a whole frame 1.3 times
            as fast, which is everywhere so far (docs/measurements.md). bfloat16 needs AVX-512 BF16 or AMX to gain anything on a CPU.
        config: of the network; with the published fusion there is nothing but float32.

    Raises:
        PortraitError: ``E_PRECISION`` for another name, or bfloat16 with a network that cannot.
    """
    if name not in PRECISIONS:
        raise PortraitError("E_PRECISION", f"there is no precision {name!r}", f"Choose one of {', '.join(PRECISIONS)}.")
    if name != "bfloat16":
        return torch.float32
    if not config.final_composite or config.fuse != "v1":
        raise PortraitError("E_PRECISION", "bfloat16, but these weights fuse features and colours as published", "Use float32 or auto.")
    return torch.bfloat16
