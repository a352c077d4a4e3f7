"""SyncNet v2 (Chung & Zisserman 2016): five video frames and 0.2 s of sound to embeddings that agree when both belong together."""

from jaxtyping import Float
from torch import Tensor, nn

WIDTH = 1024


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, WIDTH))


def _sound(*pool: tuple[int, int], channels: tuple[int, int], kernel: tuple[int, int] = (3, 3), pad: int = 1) -> list[nn.Module]:
    layers = [nn.Conv2d(*channels, kernel, padding=pad), nn.BatchNorm2d(channels[1]), nn.ReLU()]
    return [*layers, nn.MaxPool2d(*pool)] if pool else layers


def _sight(
    channels: tuple[int, int], kernel: tuple[int, int, int], stride: int = 1, pad: int = 1, pool: int | None = None
) -> list[nn.Module]:
    steps, padding = (1, stride, stride), (0, pad, pad)
    layers = [nn.Conv3d(*channels, kernel, steps, padding), nn.BatchNorm3d(channels[1]), nn.ReLU()]
    return layers if pool is None else [*layers, nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, pool, pool))]


class SyncNet(nn.Module):
    """Names of tensors as in ``syncnet_v2.model``."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_sound((1, 1), (1, 1), channels=(1, 64)),
            *_sound((3, 3), (1, 2), channels=(64, 192)),
            *_sound(channels=(192, 384)),
            *_sound(channels=(384, 256)),
            *_sound((3, 3), (2, 2), channels=(256, 256)),
            *_sound(channels=(256, 512), kernel=(5, 4), pad=0),
        )
        self.netfcaud, self.netfclip = _head(), _head()
        self.netcnnlip = nn.Sequential(
            *_sight((3, 96), (5, 7, 7), stride=2, pad=0, pool=0),
            *_sight((96, 256), (1, 5, 5), stride=2, pool=1),
            *_sight((256, 256), (1, 3, 3)),
            *_sight((256, 256), (1, 3, 3)),
            *_sight((256, 256), (1, 3, 3), pool=0),
            *_sight((256, 512), (1, 6, 6), pad=0),
        )
        self.eval().requires_grad_(False)

    def hear(self, mfcc: Float[Tensor, "b 1 13 20"]) -> Float[Tensor, "b 1024"]:
        """Embedding of 20 vectors of ``core.metrics.mfcc``."""
        return self.netfcaud(self.netcnnaud(mfcc).flatten(1))

    def see(self, faces: Float[Tensor, "b 3 5 224 224"]) -> Float[Tensor, "b 1024"]:
        """Embedding of five frames, channels blue, green, red, 0 to 255."""
        return self.netfclip(self.netcnnlip(faces).flatten(1))
