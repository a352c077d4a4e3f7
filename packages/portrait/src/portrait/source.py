"""From a photograph to everything that depends on the photograph only (spec 11.1 to 11.3)."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from core.errors import PortraitError
from core.face.coeffs import FaceCoeffs
from core.face.fitting import fit_image
from core.face.model import FaceModel, pose_points, project
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """A photograph, taken apart. Network images are float32 RGB in [-1, 1], empty = -1, batch of one.

    Attributes:
        image: the square crop that is animated, uint8 RGB.
        head: hair and face, empty elsewhere.
        torso: neck and clothes, continued upwards behind the head.
        background: what is behind the person, filled in.
        segmap: one-hot classes: background, hair, body skin, face skin, clothes, other.
        coeffs: identity, expression and pose fitted to the crop.
        keypoints: 68 projected points of the photograph, x and y in [-1, 1], z = 0.
    """

    image: UInt8[np.ndarray, "s s 3"]
    head: Float[Tensor, "1 3 s s"]
    torso: Float[Tensor, "1 3 s s"]
    background: Float[Tensor, "1 3 s s"]
    segmap: Float[Tensor, "1 6 s s"]
    coeffs: FaceCoeffs
    keypoints: Float[Tensor, "1 68 3"]


def torso_keypoints(face: FaceModel, coeffs: FaceCoeffs) -> Float[Tensor, "b 68 3"]:
    """The 68 points as HTB-SR takes them: projected, x and y in [-1, 1] (clamped), z = 0 (spec 7.1)."""
    points = pose_points(face.keypoints(coeffs.id, coeffs.exp, 68), coeffs.euler, coeffs.trans)
    flat = (project(points) * 2 - 1).clamp(-1, 1)
    return torch.cat([flat, torch.zeros_like(flat[..., :1])], -1)


def to_network(image: UInt8[np.ndarray, "h w 3"], size: int) -> Float[Tensor, "1 3 s s"]:
    """A square uint8 picture as float32 in [-1, 1] at ``size``."""
    tensor = rearrange(torch.from_numpy(np.ascontiguousarray(image)).float(), "h w c -> 1 c h w")
    if tensor.shape[-1] != size:
        tensor = F.interpolate(tensor, (size, size), mode="bilinear", antialias=True)
    return tensor / 127.5 - 1


def choose_face(faces: list, index: int | None, name: str) -> object:
    """The face to animate, of faces sorted from large to small.

    Args:
        faces: what ``detect_faces`` found.
        index: 1 for the largest, 2 for the next; None takes the largest and says so when there are several.
        name: of the input, for messages.

    Raises:
        PortraitError: ``E_NO_FACE`` or ``E_FACE_INDEX``.
    """
    if not faces:
        raise PortraitError("E_NO_FACE", f"no face found in {name}", "Use a photograph with one clearly visible, upright human face.")
    if index is None:
        if len(faces) > 1:
            log.warning("W_FACES: %d faces in %s; the largest is animated, choose another with --face 2 and so on", len(faces), name)
        return faces[0]
    if not 1 <= index <= len(faces):
        raise PortraitError("E_FACE_INDEX", f"--face {index}, but {name} shows {len(faces)} face(s)",
                            "Faces count from 1, the largest first.")  # fmt: skip
    return faces[index - 1]
