"""LPIPS (Zhang et al. 2018) with AlexNet: torchmetrics' network and calibrated layers, ImageNet features from the user's file."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from core.errors import PortraitError
from core.metrics.running_mean import RunningMean


def lpips_network(arrays: dict[str, Tensor]) -> nn.Module:
    """The network of LPIPS v0.1 from torchvision's AlexNet weights (``features.*``).

    Raises:
        PortraitError: ``E_WEIGHTS`` when they belong to another network.
    """
    from torchmetrics.functional.image.lpips import _NoTrainLpips

    network = _NoTrainLpips(net="alex", pnet_rand=True)
    own = {name: tensor for name, tensor in network.net.state_dict().items()}
    foreign = {name: arrays.get("features." + name.partition(".")[2]) for name in own}
    if any(value is None or value.shape != own[name].shape for name, value in foreign.items()):
        raise PortraitError("E_WEIGHTS", "the file for LPIPS is not torchvision's AlexNet", "Use alexnet-owt-7be5be79.pth.")
    network.net.load_state_dict(foreign)
    return network.eval().requires_grad_(False)


@torch.no_grad()
def lpips(network: nn.Module, image: Float[Tensor, "b 3 h w"], target: Float[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
    """Perceptual distance per frame, from 0; frames in [0, 1]."""
    return network(image, target, normalize=True).reshape(len(image))


class LPIPS(RunningMean):
    """Mean over frames of ``lpips``.

    Args:
        network: from ``lpips_network``.
        options: of ``torchmetrics.Metric``.
    """

    higher_is_better = False

    def __init__(self, network: nn.Module, **options: Any) -> None:
        super().__init__(**options)
        self.network = network

    def update(self, image: Float[Tensor, "b 3 h w"], target: Float[Tensor, "b 3 h w"]) -> None:
        """Take in frames."""
        self.add(lpips(self.network, image, target))
