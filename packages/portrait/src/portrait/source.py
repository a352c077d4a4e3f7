"""From a photograph to everything that depends on the photograph only (spec 11.1 to 11.3)."""

from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from core.data.layers import LayerTensors, split_layers
from core.face.coeffs import FaceCoeffs
from core.face.fitting import fit_image
from core.face.model import FaceModel, pose_points, project
from core.face.torso_points import torso_keypoints
from core.media.image import read_image
from core.perception.crop import square_crop
from core.perception.landmarks import find_face
from core.perception.parsing import parse
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

PERCEPTION_SIZE = 512
"""Side of the crop in which the face is fitted and the layers are found."""


@dataclass(frozen=True)
class Source:
    """A photograph, taken apart. Network images are float32 RGB in [-1, 1], empty = -1, batch of one.

    Attributes:
        image: the square crop that is animated, uint8 RGB.
        head: hair and face, empty elsewhere.
        head_mask: opacity of the head in [0, 1].
        torso: neck and clothes, continued upwards behind the head.
        torso_mask: opacity of the torso in [0, 1].
        background: what is behind the person, filled in.
        segmap: one-hot classes: background, hair, body skin, face skin, clothes, other.
        coeffs: identity, expression and pose fitted to the crop.
        keypoints: 68 projected points of the photograph, x and y in [-1, 1], z = 0.
        planes: canonical planes that learnt this photograph (``Portrait.refine``), for the same weights only; None: those of stage 1.
    """

    image: UInt8[np.ndarray, "s s 3"]
    head: Float[Tensor, "1 3 s s"]
    head_mask: Float[Tensor, "1 1 s s"]
    torso: Float[Tensor, "1 3 s s"]
    torso_mask: Float[Tensor, "1 1 s s"]
    background: Float[Tensor, "1 3 s s"]
    segmap: Float[Tensor, "1 6 s s"]
    coeffs: FaceCoeffs
    keypoints: Float[Tensor, "1 68 3"]
    planes: Float[Tensor, "1 3 c p p"] | None = None


def face_points(face: FaceModel, coeffs: FaceCoeffs) -> Float[Tensor, "b 468 2"]:
    """MediaPipe's points as the coefficients put them, [0, 1] across the square, y down."""
    return project(pose_points(face.keypoints(coeffs.id, coeffs.exp, 468), coeffs.euler, coeffs.trans))


def to_network(image: UInt8[np.ndarray, "h w 3"], size: int) -> Float[Tensor, "1 3 s s"]:
    """A square uint8 picture as float32 in [-1, 1] at ``size``."""
    tensor = rearrange(torch.from_numpy(np.ascontiguousarray(image)).float(), "h w c -> 1 c h w")
    if tensor.shape[-1] != size:
        tensor = F.interpolate(tensor, (size, size), mode="bilinear", antialias=True)
    return tensor / 127.5 - 1


def to_image(image: Float[Tensor, "b 3 s s"]) -> UInt8[np.ndarray, "b s s 3"]:
    """[-1, 1] to uint8 RGB, rounded."""
    pixels = image.clamp(-1, 1).add_(1).mul_(127.5).add_(0.5).to(torch.uint8)
    return rearrange(pixels, "b c h w -> b h w c").contiguous().cpu().numpy()


def prepare_source(photo: "str | Path | UInt8[np.ndarray, 'h w 3']", face: FaceModel, size: int, index: int | None = None) -> Source:
    """Find the face, cut out head and shoulders, divide them into layers and fit the 3DMM.

    Args:
        photo: file or RGB pixels.
        face: the 3DMM.
        size: side of the networks' images.
        index: which face, 0 is the largest; None takes the largest, with a warning when there are several.

    Raises:
        PortraitError: as ``core.media.image.read_image`` and ``core.perception.landmarks.find_face``.
    """
    pixels = photo if isinstance(photo, np.ndarray) else read_image(photo)
    name = "the picture" if isinstance(photo, np.ndarray) else str(photo)
    crop = square_crop(pixels, find_face(pixels, index, name), PERCEPTION_SIZE)
    layers = split_layers(crop.image, parse(crop.image, crop.landmarks), texture=True, hair_rests=True).tensors()
    coeffs = fit_image(face, crop.landmarks[:468])
    image = crop.image
    if size != PERCEPTION_SIZE:
        layers = _resized(layers, size)
        image = to_image(to_network(image, size))[0]
    return Source(
        image,
        layers.head,
        layers.head_mask,
        layers.torso,
        layers.torso_mask,
        layers.background,
        layers.segmap,
        coeffs,
        torso_keypoints(face, coeffs),
    )


def _resized(layers: LayerTensors, size: int) -> LayerTensors:
    """The layers at another size; classes stay one-hot."""
    values = {item.name: getattr(layers, item.name) for item in fields(layers)}
    classes = F.interpolate(values.pop("segmap"), (size, size), mode="nearest-exact")
    smaller = {name: F.interpolate(value, (size, size), mode="bilinear", antialias=True) for name, value in values.items()}
    return replace(layers, segmap=classes, **smaller)
