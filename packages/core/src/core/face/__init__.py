"""The face: a morphable model, its regions, named motions, fitting to landmarks and the PNCC image.

``core.face.expression``, ``core.face.fitting`` and ``core.face.regions`` are imported by name.
"""

from core.face.coeffs import FaceCoeffs
from core.face.model import FaceModel, pose_points, project
from core.face.pncc import pncc_clip, render_pncc

__all__ = ["FaceCoeffs", "FaceModel", "pncc_clip", "pose_points", "project", "render_pncc"]
