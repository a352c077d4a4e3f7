"""The discriminator in NVIDIA's EG3D pickles as a ``DualDiscriminator``: the student's begins with it (spec 9.1)."""

import re
from pathlib import Path

from core.errors import PortraitError
from core.nn.discriminator import DualDiscriminator, DualDiscriminatorConfig
from core.restricted_pickle import ForeignObject, read_checkpoint
from torch import Tensor

from recon.eg3d_pickle import SOURCE, UNUSED, check_filter

TAIL = {"conv": "conv", "fc": "hidden", "out": "out"}


def read_critic(path: str | Path, raw_size: int = 128) -> DualDiscriminator:
    """The discriminator ``D`` of a pickle, on the CPU, in training mode.

    Args:
        path: ``.pkl`` of an EG3D training.
        raw_size: side of the raw rendering that it will see; a quarter of the image's.

    Raises:
        PortraitError: ``E_WEIGHTS`` when the file is absent, holds no discriminator or one that this code lacks.
    """
    if not Path(path).is_file():
        raise PortraitError("E_WEIGHTS", f"there is no EG3D pickle {path}", SOURCE)
    content = read_checkpoint(path)
    found = content.get("D") if isinstance(content, dict) else content
    if not isinstance(found, ForeignObject) or found.kind != "DualDiscriminator":
        kind = found.kind if isinstance(found, ForeignObject) else type(found).__name__
        raise PortraitError("E_WEIGHTS", f"{path} holds {kind} in place of a DualDiscriminator", SOURCE)
    tensors = found.tensors()
    try:
        critic = DualDiscriminator(_config(found, tensors, raw_size))
        state = _renamed(tensors, critic.config.image_size)
        critic.load_state_dict({"mapping.w_mean": critic.mapping.w_mean, **state})
    except (KeyError, ValueError, RuntimeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise PortraitError("E_WEIGHTS", f"{path} holds a discriminator that this code does not know: {reason}", SOURCE) from error
    return critic


def _config(found: ForeignObject, tensors: dict[str, Tensor], raw_size: int) -> DualDiscriminatorConfig:
    arguments = found.arguments
    if arguments.get("architecture", "resnet") != "resnet":
        raise ValueError(f"its architecture is {arguments['architecture']}")
    tail = arguments.get("epilogue_kwargs") or {}
    if tail.get("mbstd_num_channels", 1) != 1:
        raise ValueError("its mini-batch deviation has several channels")
    return DualDiscriminatorConfig(
        arguments["img_resolution"],
        raw_size,
        arguments.get("channel_base", 32768),
        arguments.get("channel_max", 512),
        tail.get("mbstd_group_size", 4),
        mapping_layers=sum(bool(re.fullmatch(r"mapping\.fc\d+\.bias", name)) for name in tensors),
    )


def _renamed(tensors: dict[str, Tensor], image_size: int) -> dict[str, Tensor]:
    renamed = {}
    for name, tensor in tensors.items():
        if UNUSED.fullmatch(name):
            check_filter(name, tensor)
            continue
        if match := re.fullmatch(r"b4\.(conv|fc|out)\.(.+)", name):
            ours = f"{TAIL[match[1]]}.{match[2]}"
        elif match := re.fullmatch(r"b(\d+)\.fromrgb\.(.+)", name):
            ours = f"from_rgb.{match[2]}"
        elif match := re.fullmatch(r"b(\d+)\.(.+)", name):
            ours = f"blocks.{image_size.bit_length() - int(match[1]).bit_length()}.{match[2]}"
        else:
            ours = re.sub(r"mapping\.fc(\d+)\.", r"mapping.layers.\1.", name)
        renamed[ours] = tensor.float()
    return renamed
