"""Brows and nods: what a face does besides speaking, from the melody of a voice or from a video."""

import logging

import numpy as np
import torch
from audio2motion.prosody import Accents, find_accents, nod_angle
from core.camera import rotation_from_euler
from core.face.coeffs import FaceCoeffs
from core.face.expression import MEASURES, MOTIONS, motion_axis
from core.face.model import FaceModel
from core.face.regions import OUTER_EYE_CORNERS
from core.media.sound import Sound
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from portrait.listening import PIECE, RATE, SHARED, STEP, pieces
from portrait.pose import NECK

log = logging.getLogger(__name__)


def hear_accents(sound: Sound | None) -> Accents:
    """Accents of sound of any length, heard piece by piece as in `portrait.listening`; none, and the warning ``W_NO_SOUND``, without."""
    if sound is None:
        log.warning("W_NO_SOUND: there is no voice whose melody could move brows or head.")
        return Accents(np.zeros(0, np.int64), np.zeros(0, np.float32), 0)
    frames: list[int] = []
    strength: list[float] = []
    length = 0
    for number, piece in enumerate(pieces(sound.blocks(RATE), PIECE * STEP, SHARED * STEP)):
        found = find_accents(piece)
        start = number * PIECE
        seam = start + SHARED // 2 if number else 0
        kept = sum(frame < seam for frame in frames)
        later = found.frames + start >= seam
        frames = frames[:kept] + (found.frames[later] + start).tolist()
        strength = strength[:kept] + found.strength[later].tolist()
        length = start + found.length
    return Accents(np.array(frames, np.int64), np.array(strength, np.float32), length)


def seen_brows(face: FaceModel, coeffs: FaceCoeffs) -> Float[Tensor, " t"]:
    """How far the brows of a fitted video are above where they usually are, in units of ``apply_brows``; negative below."""
    above, below, axis = MEASURES["brow_height"]
    points = face.keypoints(coeffs.id, coeffs.exp)[..., axis]
    right, left = face.mean[face.keypoints468[list(OUTER_EYE_CORNERS)]]
    height = (points[:, list(above)].mean(1) - points[:, list(below)].mean(1)) / (left - right).norm()
    return ((height - height.median()) / MOTIONS["brows_up"].effect["brow_height"]).clamp(-1.0, 1.5)


def apply_brows(face: FaceModel, exp: Float[Tensor, "t 64"], amount: Float[Tensor, " t"]) -> Float[Tensor, "t 64"]:
    """Raise the brows by ``amount``: 1 is 0.05 of the eye distance, a clear emphasis; mouth and eyes stay."""
    return exp + amount.to(exp)[:, None] * motion_axis(face, "brows_up")


def apply_nods(
    accents: Accents, euler: Float[Tensor, "t 3"], trans: Float[Tensor, "t 3"]
) -> tuple[Float[Tensor, "t 3"], Float[Tensor, "t 3"]]:
    """Bow the head on accents, about the neck, on top of whatever pose it has; radians and 3DMM units."""
    bowed = euler.clone()
    bowed[:, 0] += fit_length(torch.from_numpy(nod_angle(accents)), len(euler)).to(euler)
    shift = (rotation_from_euler(euler) - rotation_from_euler(bowed)) @ torch.tensor(NECK).to(euler)
    return bowed, trans + shift


def fit_length(amount: Float[Tensor, " s"], frames: int) -> Float[Tensor, " t"]:
    """Cut, or go on with zeros: sound and picture of one file may differ by a frame."""
    return F.pad(amount, (0, max(frames - len(amount), 0)))[:frames]
