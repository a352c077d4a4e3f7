"""The residual networks of ArcFace (Deng et al. 2019; insightface "iresnet", 18 to 100 layers), to load published weights into."""

from collections.abc import Iterable

from jaxtyping import Float
from torch import Tensor, nn

DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 14, 3), 100: (3, 13, 30, 3)}
WIDTHS = (64, 128, 256, 512)


class _Block(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.prelu = nn.PReLU(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.downsample = None
        if stride > 1:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        kept = x if self.downsample is None else self.downsample(x)
        return kept + self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x))))))


class IResNet(nn.Module):
    """Aligned faces to identity embeddings; names of tensors as in insightface's ``backbone.pth``.

    Args:
        depths: blocks per stage, one of ``DEPTHS``.
    """

    def __init__(self, depths: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.prelu = nn.PReLU(64)
        inputs = 64
        for number, (width, depth) in enumerate(zip(WIDTHS, depths, strict=True), 1):
            blocks = [_Block(inputs if i == 0 else width, width, 2 if i == 0 else 1) for i in range(depth)]
            setattr(self, f"layer{number}", nn.Sequential(*blocks))
            inputs = width
        self.bn2 = nn.BatchNorm2d(512)
        self.fc = nn.Linear(512 * 7 * 7, 512)
        self.features = nn.BatchNorm1d(512)
        self.eval().requires_grad_(False)

    @staticmethod
    def depths_of(names: Iterable[str]) -> tuple[int, ...]:
        """Blocks per stage that the tensors of a file tell of; zeros when it holds another network."""
        names = set(names)
        return tuple(sum(name.startswith(f"layer{k}.") and name.endswith(".conv1.weight") for name in names) for k in range(1, 5))

    def forward(self, face: Float[Tensor, "b 3 112 112"]) -> Float[Tensor, "b 512"]:
        """Embeddings, not normalised, of aligned RGB faces in [-1, 1]."""
        x = self.prelu(self.bn1(self.conv1(face)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.features(self.fc(self.bn2(x).flatten(1)))
