"""A photograph's head in three dimensions, without body and background: stage 1 alone."""

from pathlib import Path

import numpy as np
import torch
from animate import HeadAvatar
from core.camera import Camera
from core.face.model import FaceModel
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from portrait.networks import choose_device, weights_folder
from portrait.source import prepare_source, to_image

GREY = 0.6
"""Brightness behind the head, in [-1, 1]."""
FRAMING = (0.0, -0.3, -2.5)
"""Where the middle of the face is, in 3DMM units: lower and farther than in photographs, so that all of the hair is seen."""


class Head:
    """A photograph's head as a tri-plane.

    Args:
        photo: file, or RGB pixels.
        weights: ``tiny`` or a folder with ``i2p``, ``adapter`` and ``renderer``.
        device: ``auto``, ``cpu`` or ``cuda``.
        face_model: the 3DMM that finds the pose: ``embedded``, or a folder with the files of BFM 2009.
        index: which face of the photograph; None takes the largest.

    Attributes:
        planes: canonical planes, ready for ``renderer``.
        renderer: volume rendering and super-resolution, prepared for inference.

    Raises:
        PortraitError: unusable photograph or weights.
    """

    @torch.inference_mode()
    def __init__(
        self,
        photo: "str | Path | UInt8[np.ndarray, 'h w 3']",
        weights: str | Path = "tiny",
        device: str = "auto",
        face_model: str = "embedded",
        index: int | None = None,
    ) -> None:
        self.device = choose_device(device)
        avatar = HeadAvatar.from_folder(weights_folder(weights)).to(self.device)
        self.renderer = avatar.renderer.prepare_for_inference()
        source = prepare_source(photo, FaceModel.load(face_model), self.renderer.config.image_size, index)
        camera = Camera.from_pose(source.coeffs.euler, source.coeffs.trans, self.renderer.config.focal).to(self.device)
        self.planes: Float[Tensor, "1 3 c p p"] = avatar.canonical(source.head.to(self.device), camera)

    @torch.inference_mode()
    def seen_from(self, pitch: float, yaw: float) -> UInt8[np.ndarray, "s s 3"]:
        """The head over grey; pitch and yaw of the head in radians, as the 3DMM has them."""
        camera = Camera.from_pose(torch.tensor([[pitch, yaw, 0.0]]), torch.tensor([FRAMING]), self.renderer.config.focal)
        view = self.renderer(self.planes, camera.to(self.device))
        opacity = F.interpolate(view.weights, view.image.shape[2:], mode="bilinear")
        return to_image(view.image + (1 - opacity) * (GREY + 1))[0]
