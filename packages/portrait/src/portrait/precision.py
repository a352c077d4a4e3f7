"""In which type the networks of a frame are computed."""

from contextlib import AbstractContextManager

import torch
from compose import HTBSRConfig
from core.errors import PortraitError

from portrait.channels import PRECISIONS

WIDE = 128
"""Channels of the first super-resolution block from which on bfloat16 gains what it costs to convert."""


def choose_precision(name: str, config: HTBSRConfig, device: torch.device | None = None) -> torch.dtype:
    """Type of the convolutions and matrix products of image-to-plane network, motion adapter and head-torso-background network.

    Motion of the torso, volume rendering and what lies at full size are float32 in any case.

    Args:
        name: ``auto``, ``float32`` or ``bfloat16``. ``auto`` is bfloat16 where it was measured to make a whole frame 1.3 times as fast
            (docs/measurements.md): for wide networks, as those of the paper, on a CPU that multiplies in it.
        config: of the head-torso-background network.
        device: where the networks run; None is a CPU.

    Raises:
        PortraitError: ``E_PRECISION`` for another name.
    """
    if name not in PRECISIONS:
        raise PortraitError("E_PRECISION", f"there is no precision {name!r}", f"Choose one of {', '.join(PRECISIONS)}.")
    on_cpu = device is None or device.type == "cpu"
    pays = name == "auto" and on_cpu and config.sr_channels[0] >= WIDE and multiplies_bfloat16()
    return torch.bfloat16 if name == "bfloat16" or pays else torch.float32


def multiplies_bfloat16() -> bool:
    """Whether this CPU has instructions for products of bfloat16 (AVX-512 BF16 or AMX); False where torch does not tell."""
    abilities = getattr(torch.cpu, "get_capabilities", dict)()
    return any(abilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def computing(dtype: torch.dtype, device: torch.device) -> AbstractContextManager:
    """The block in which networks with float32 weights multiply in ``dtype``."""
    return torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16)
