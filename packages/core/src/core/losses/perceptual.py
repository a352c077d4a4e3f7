"""VGG19 + VGGFace perceptual distance (Johnson et al. 2016, Parkhi et al. 2015; spec 9.0). Without weights there is no such term.

Weights are never downloaded and never random. VGG19: ``vgg19-dcbb9e9d.pth`` (torchvision, ImageNet) from the folder that is given, or
from torch's own cache. VGGFace: ``vgg_face_dag.pth`` (VGG16, 2,622 people), from the folder only. Whatever is missing is left out,
and said once.
"""

import warnings
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from core.errors import PortraitError

VGG19_FILE, VGGFACE_FILE = "vgg19-dcbb9e9d.pth", "vgg_face_dag.pth"
DEPTHS = {"vgg19": (2, 2, 4, 4, 4), "vgg16": (2, 2, 3, 3, 3)}
WIDTHS = (64, 128, 256, 512, 512)
WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)


class VGGFeatures(nn.Module):
    """Features after relu{1,2,3,4,5}_1 of a VGG network (Simonyan & Zisserman 2015), frozen.

    Args:
        kind: ``vgg19`` or ``vgg16``.
        mean: per channel, subtracted from inputs that were multiplied by ``scale``.
        std: per channel, divides afterwards.
        scale: 1 or 255: what the network's images ranged to.
    """

    def __init__(self, kind: str, mean: tuple[float, ...], std: tuple[float, ...], scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))
        self.stages = nn.ModuleList()
        channels = 3
        for width, depth in zip(WIDTHS, DEPTHS[kind], strict=True):
            widths = [channels] + [width] * depth
            self.stages.append(nn.ModuleList(nn.Conv2d(widths[i], widths[i + 1], 3, 1, 1) for i in range(depth)))
            channels = width
        self.eval().requires_grad_(False)

    def forward(self, x: Float[Tensor, "b 3 h w"], last_only: bool = False) -> list[Tensor]:
        """Five feature maps of images in [0, 1], or only the last."""
        x = (x * self.scale - self.mean) / self.std
        maps = []
        for i, stage in enumerate(self.stages):
            x = F.relu(stage[0](F.max_pool2d(x, 2) if i else x))
            maps.append(x)
            if i < len(self.stages) - 1:
                for conv in stage[1:]:
                    x = F.relu(conv(x))
        return maps[-1:] if last_only else maps

    def load_arrays(self, arrays: dict[str, Tensor]) -> None:
        """Copy convolutions in the order of the file; classifier layers are left out.

        Raises:
            PortraitError: ``E_WEIGHTS`` when their shapes are not those of the network.
        """
        convs = [conv for stage in self.stages for conv in stage]
        weights = [name for name, value in arrays.items() if name.endswith("weight") and value.ndim == 4]
        if [arrays[name].shape for name in weights] != [conv.weight.shape for conv in convs]:
            raise PortraitError("E_WEIGHTS", "the VGG file holds another network", "Use the files named in core.losses.perceptual.")
        with torch.no_grad():
            for name, conv in zip(weights, convs, strict=True):
                conv.weight.copy_(arrays[name])
                conv.bias.copy_(arrays[name.removesuffix("weight") + "bias"])


class PerceptualLoss(nn.Module):
    """Weighted L1 of VGG features; the published combination.

    On top of VGG19 and VGGFace at full scale come three halvings of the image with the last feature map of VGG19 only, as published.

    Args:
        vgg19: ImageNet features.
        vggface: face features, or None.
        size: images are resized to this square first, as published; None leaves them.
    """

    def __init__(self, vgg19: VGGFeatures, vggface: VGGFeatures | None = None, size: int | None = 512) -> None:
        super().__init__()
        self.vgg19, self.vggface, self.size = vgg19, vggface, size

    def forward(self, image: Float[Tensor, "b 3 h w"], target: Float[Tensor, "b 3 h w"]) -> Float[Tensor, ""]:
        """Distance of images in [-1, 1] (the released code forgets to map them to [0, 1] in stages 2 and 3)."""
        x, y = ((v + 1) / 2 for v in (image, target))
        if self.size is not None and x.shape[-1] != self.size:
            x, y = (F.interpolate(v, (self.size, self.size), mode="bilinear", align_corners=False) for v in (x, y))
        loss = feature_distance(self.vgg19, x, y)
        if self.vggface is not None:
            loss = loss + feature_distance(self.vggface, x, y) / 255
        for _ in range(3):
            x, y = (F.interpolate(v, scale_factor=0.5, mode="bilinear", align_corners=False) for v in (x, y))
            loss = loss + feature_distance(self.vgg19, x, y, last_only=True)
        return loss


def feature_distance(
    network: VGGFeatures, image: Float[Tensor, "b 3 h w"], target: Float[Tensor, "b 3 h w"], last_only: bool = False
) -> Float[Tensor, ""]:
    """Weighted L1 between the features of two batches in [0, 1]."""
    with torch.no_grad():
        wanted = network(target, last_only)
    made = network(image, last_only)
    weights = WEIGHTS[-len(made) :]
    return sum(weight * F.l1_loss(a, b) for weight, a, b in zip(weights, made, wanted, strict=True))


def build_perceptual(folder: str | Path | None = None, size: int | None = 512) -> PerceptualLoss | None:
    """The perceptual loss from the weights at hand; None, with one warning, when there are none.

    Args:
        folder: holds ``vgg19-dcbb9e9d.pth`` and, if possible, ``vgg_face_dag.pth``. None looks for VGG19 in torch's cache.
        size: see ``PerceptualLoss``.

    Raises:
        PortraitError: ``E_WEIGHTS`` when a folder is given that lacks VGG19, or a file cannot be read.
    """
    place = Path(torch.hub.get_dir()) / "checkpoints" if folder is None else Path(folder)
    if not (place / VGG19_FILE).is_file():
        if folder is not None:
            raise PortraitError("E_WEIGHTS", f"no {VGG19_FILE} in {place}", "Put torchvision's VGG19 file there.")
        warnings.warn(
            f"no {VGG19_FILE} in torch's cache: training goes on without the perceptual term (give a folder with the file to have it)",
            stacklevel=2,
        )
        return None
    vgg19 = VGGFeatures("vgg19", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 1.0)
    vgg19.load_arrays(read_arrays(place / VGG19_FILE))
    vggface = None
    if (place / VGGFACE_FILE).is_file():
        vggface = VGGFeatures("vgg16", (129.19, 104.76, 93.59), (1.0, 1.0, 1.0), 255.0)
        vggface.load_arrays(read_arrays(place / VGGFACE_FILE))
    else:
        warnings.warn(f"no {VGGFACE_FILE} in {place}: the perceptual term goes without VGGFace", stacklevel=2)
    return PerceptualLoss(vgg19, vggface, size)


def read_arrays(file: Path) -> dict[str, Tensor]:
    """Tensors of a published ``.pth`` file; nothing in it is executed."""
    try:
        return torch.load(file, map_location="cpu", weights_only=True)  # noqa: TID251 - foreign weights, tensors only
    except Exception as error:  # torch raises many kinds for a damaged file
        raise PortraitError("E_WEIGHTS", f"{file} cannot be read: {error}", "Copy the file anew.") from error
