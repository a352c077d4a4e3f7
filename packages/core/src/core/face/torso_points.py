"""The key points that a torso follows (Eq. 9), those of the head or of what its neck stands on."""

from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from core.exact import exact
from core.face.coeffs import FaceCoeffs
from core.face.model import FaceModel, pose_points, project

Follows = Literal["head", "neck"]
"""``head``: the face's key points, as published. ``neck``: those of ``carried``."""
NECK = (0.0, -0.95, -0.45)
"""Foot of the neck, about which heads turn: canonical point, 3DMM units."""


@exact
def carried(source: FaceCoeffs, frame: FaceCoeffs) -> FaceCoeffs:
    """The source's face as its torso would carry it: expression and turn of ``source``, moved by how far its neck's foot is in ``frame``.

    While a head only turns about its neck this face holds still, and so does a torso that follows it.

    Args:
        source: one face, or one per frame.
        frame: faces of any expression and pose.
    """
    foot = torch.tensor(NECK).to(frame.trans)
    before, after = (pose_points(foot.expand(len(c), 1, 3), c.euler, c.trans)[:, 0] for c in (source, frame))
    still = FaceCoeffs(*(getattr(source, name).expand(len(frame), -1) for name in ("id", "exp", "euler", "trans")))
    return replace(still, trans=source.trans + after - before)


@exact
def torso_keypoints(face: FaceModel, coeffs: FaceCoeffs) -> Float[Tensor, "b 68 3"]:
    """The 68 points as HTB-SR takes them: projected, x and y in [-1, 1] (clamped), z = 0 (spec 7.1)."""
    points = pose_points(face.keypoints(coeffs.id, coeffs.exp, 68), coeffs.euler, coeffs.trans)
    flat = (project(points) * 2 - 1).clamp(-1, 1)
    return torch.cat([flat, torch.zeros_like(flat[..., :1])], -1)


def followed_keypoints(face: FaceModel, source: FaceCoeffs, frame: FaceCoeffs, follows: Follows) -> Float[Tensor, "b 68 3"]:
    """Where the torso of ``source`` goes in ``frame``, as ``torso_keypoints``."""
    return torso_keypoints(face, frame if follows == "head" else carried(source, frame))
