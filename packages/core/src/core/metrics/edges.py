"""Edges where they tell something: mouth sharpness (too few: blurred lips) and neck-seam energy (too many: a cut below the jaw)."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from core.face.regions import LM68, OUTER_EYE_CORNERS
from core.losses.reconstruction import lip_crops
from core.metrics.running_mean import RunningMean

JAW = LM68[3:14]
"""Points along the jaw from one side over the chin to the other."""
SEAM = (-0.05, 0.35)
"""Where heads meet necks: from inside to outside of the jaw line, down the face, in eye distances."""
BRIDGE, CHIN = 168, 152
LUMINANCE = (0.299, 0.587, 0.114)


def gradient_energy(image: Float[Tensor, "t 3 h w"], mask: Float[Tensor, "t 1 h w"] | None = None) -> Float[Tensor, " t"]:
    """Root mean square of the luminance gradient (differences to the right and down), in 8-bit levels per pixel.

    Args:
        image: in [0, 1].
        mask: which pixels count; all without one. NaN for frames where none does.
    """
    grey = 255 * torch.einsum("tchw,c->thw", image, image.new_tensor(LUMINANCE))
    across, down = grey[:, :-1, 1:] - grey[:, :-1, :-1], grey[:, 1:, :-1] - grey[:, :-1, :-1]
    power = across.square() + down.square()
    weight = torch.ones_like(power) if mask is None else mask[:, 0, :-1, :-1].to(power)
    return ((power * weight).sum((1, 2)) / weight.sum((1, 2))).sqrt()


def mouth_sharpness(image: Float[Tensor, "t 3 s s"], points: Float[np.ndarray, "t n d"]) -> Float[Tensor, " t"]:
    """Gradient energy of the mouth, resampled to a square of a quarter of the picture's side; NaN where no face was found."""
    keypoints = torch.from_numpy(points[:, list(LM68), :2] * 2 - 1).to(image)
    seen = keypoints.isfinite().all(2).all(1)
    energy = image.new_full((len(image),), torch.nan)
    energy[seen] = gradient_energy(lip_crops(image[seen], keypoints[seen]))
    return energy


def seam_mask(points: Float[np.ndarray, "n d"], side: int) -> Float[np.ndarray, "s s"]:
    """1 in the strip below the jaw where the head is joined to the neck, 0 elsewhere."""
    import cv2

    down = points[CHIN, :2] - points[BRIDGE, :2]
    unit = np.linalg.norm(points[OUTER_EYE_CORNERS[1], :2] - points[OUTER_EYE_CORNERS[0], :2])
    step = down / np.linalg.norm(down) * unit
    jaw = points[list(JAW), :2]
    outline = np.concatenate([jaw + SEAM[0] * step, (jaw + SEAM[1] * step)[::-1]]) * side - 0.5
    mask = np.zeros((side, side), np.uint8)
    cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], 1, shift=4)
    return mask.astype(np.float32)


def neck_seam_energy(image: Float[Tensor, "t 3 s s"], points: Float[np.ndarray, "t n d"]) -> Float[Tensor, " t"]:
    """Gradient energy in the strip of ``seam_mask``; NaN where no face was found. A natural jaw has some: compare with the driver's."""
    seen = np.isfinite(points).all((1, 2))
    masks = [seam_mask(p, image.shape[-1]) if ok else np.zeros(image.shape[2:], np.float32) for p, ok in zip(points, seen, strict=True)]
    return gradient_energy(image, torch.from_numpy(np.stack(masks)[:, None]).to(image))


class MouthSharpness(RunningMean):
    """Mean over frames of ``mouth_sharpness``."""

    higher_is_better = True

    def update(self, image: Float[Tensor, "t 3 s s"], points: Float[np.ndarray, "t n d"]) -> None:
        """Take in frames and their points."""
        self.add(mouth_sharpness(image, points))


class NeckSeamEnergy(RunningMean):
    """Mean over frames of ``neck_seam_energy``."""

    higher_is_better = False

    def update(self, image: Float[Tensor, "t 3 s s"], points: Float[np.ndarray, "t n d"]) -> None:
        """Take in frames and their points."""
        self.add(neck_seam_energy(image, points))
