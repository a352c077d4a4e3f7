"""In which type the convolutions of a frame are computed."""

import torch
from compose import HTBSRConfig
from core.errors import PortraitError

from portrait.channels import PRECISIONS


def has_bfloat16(device: torch.device) -> bool:
    """Whether a processor multiplies bfloat16 in hardware (AVX-512 BF16, which every processor with AMX has).

    False for anything else: elsewhere it is imitated and slow, or nobody measured that it pays.
    """
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # not in every torch
    return device.type == "cpu" and torch.backends.mkldnn.is_available() and probe is not None and bool(probe())


def choose_precision(name: str, device: torch.device, config: HTBSRConfig) -> torch.dtype:
    """Type of the features of the head-torso-background network.

    Args:
        name: ``auto`` (bfloat16 where ``has_bfloat16`` and the network can, else float32), ``float32`` or ``bfloat16``.
        device: where the network runs.
        config: of the network; with the published fusion there is nothing but float32.

    Raises:
        PortraitError: ``E_PRECISION`` for another name, or bfloat16 with a network that cannot.
    """
    if name not in PRECISIONS:
        raise PortraitError("E_PRECISION", f"there is no precision {name!r}", f"Choose one of {', '.join(PRECISIONS)}.")
    able = config.final_composite and config.fuse == "v1"
    if name == "bfloat16" and not able:
        raise PortraitError("E_PRECISION", "bfloat16, but these weights fuse features and colours as published", "Use float32 or auto.")
    if name == "bfloat16" or (name == "auto" and able and has_bfloat16(device)):
        return torch.bfloat16
    return torch.float32
