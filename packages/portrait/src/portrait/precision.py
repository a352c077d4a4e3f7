"""In which type the networks of a frame are computed."""

from contextlib import AbstractContextManager

import torch
from compose import HTBSRConfig
from core.errors import PortraitError

from portrait.channels import PRECISIONS

WIDE, WIDEST = 16, 128
"""Channels of the first super-resolution block from which on bfloat16 gains time in that network, and in those of the head; fewer were not
measured."""


def choose_precision(name: str, config: HTBSRConfig, device: torch.device | None = None) -> torch.dtype:
    """Type of the convolutions of the head-torso-background network; motion, masks and what lies at full size are float32 in any case.

    Args:
        name: ``auto``, ``float32`` or ``bfloat16``. ``auto`` is bfloat16 where it was measured to be faster (docs/measurements.md): on a
            CPU that multiplies in it, but for the smallest networks.
        config: of the network.
        device: where it runs; None is a CPU.

    Raises:
        PortraitError: ``E_PRECISION`` for another name.
    """
    if name not in PRECISIONS:
        raise PortraitError("E_PRECISION", f"there is no precision {name!r}", f"Choose one of {', '.join(PRECISIONS)}.")
    on_cpu = device is None or device.type == "cpu"
    pays = name == "auto" and on_cpu and config.sr_channels[0] >= WIDE and multiplies_bfloat16()
    return torch.bfloat16 if name == "bfloat16" or pays else torch.float32


def head_precision(chosen: torch.dtype, config: HTBSRConfig) -> torch.dtype:
    """Type of the image-to-plane network and the motion adapter, given that of the head-torso-background network.

    Narrow ones are float32: they gain nothing, and errors of the planes move edges.
    """
    return chosen if config.sr_channels[0] >= WIDEST else torch.float32


def multiplies_bfloat16() -> bool:
    """Whether this CPU has instructions for products of bfloat16 (AVX-512 BF16 or AMX); False where torch does not tell."""
    abilities = getattr(torch.cpu, "get_capabilities", dict)()
    return any(abilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def computing(dtype: torch.dtype, device: torch.device) -> AbstractContextManager:
    """The block in which networks with float32 weights multiply in ``dtype``."""
    return torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16)
