"""The Inception v3 of the FID (TensorFlow 2015): torchvision's, with the pooling that the published weights were made with."""

from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import inception_v3
from torchvision.models.inception import InceptionA, InceptionC, InceptionE


class _EdgeMean(nn.Module):
    """The last branch averages over what lies inside the picture, not over padding."""

    def _forward(self, x: Tensor) -> list[Tensor]:
        pooled = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        return [*super()._forward(x)[:-1], self.branch_pool(pooled)]


class _A(_EdgeMean, InceptionA):
    pass


class _C(_EdgeMean, InceptionC):
    pass


class _E(_EdgeMean, InceptionE):
    pass


class _EMax(InceptionE):
    """The last block takes the maximum in place of the mean, as the published network does."""

    def _forward(self, x: Tensor) -> list[Tensor]:
        return [*super()._forward(x)[:-1], self.branch_pool(F.max_pool2d(x, 3, stride=1, padding=1))]


class FIDInception(nn.Module):
    """Pictures to the 2048 pooled features of the FID; names of tensors as in ``pt_inception-2015-12-05-6726825d.pth``, less ``fc``."""

    def __init__(self) -> None:
        super().__init__()
        net = inception_v3(num_classes=1008, aux_logits=False, init_weights=False)
        net.Mixed_5b, net.Mixed_5c, net.Mixed_5d = _A(192, 32), _A(256, 64), _A(288, 64)
        net.Mixed_6b, net.Mixed_6c, net.Mixed_6d, net.Mixed_6e = _C(768, 128), _C(768, 160), _C(768, 160), _C(768, 192)
        net.Mixed_7b, net.Mixed_7c = _E(1280), _EMax(2048)
        net.fc = nn.Identity()
        self.net = net.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> Tensor:
        """(b, 3, h, w) in [0, 1] to (b, 2048); resized to 299 x 299 bilinearly without antialiasing, as pytorch-fid does."""
        return self.net(F.interpolate(image, (299, 299), mode="bilinear", align_corners=False) * 2 - 1)
