"""Running statistics that a bad batch must not spoil."""

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class RunningStatistics:
    """What the batch normalisations of a module, those in training mode, had learnt at one moment.

    A batch with NaN in it ruins running means for ever, although its gradients are thrown away.

    Args:
        module: whose statistics to remember.
    """

    def __init__(self, module: nn.Module) -> None:
        layers = (layer for layer in module.modules() if isinstance(layer, _BatchNorm) and layer.training)
        self.kept: list[tuple[Tensor, Tensor]] = [(buffer, buffer.clone()) for layer in layers for buffer in layer.buffers(recurse=False)]

    def restore(self) -> None:
        """Put them back."""
        for buffer, kept in self.kept:
            buffer.copy_(kept)
