"""Procedural people: a seed becomes a painted portrait with known coefficients, which is then lifted like a photograph.

No file and no detector is needed: identity comes from the face model's own distribution, so labels are exact by construction.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import gaussian_filter

from core.camera import FIT_DISTANCE
from core.face.coeffs import FaceCoeffs
from core.people.geometry import Pose, project
from core.people.lifted import Fit, StillLayers, assemble, face_and_loops
from core.people.painting import Look, paint
from core.people.person import Person
from core.people.surface import FaceMotion


def random_fit(rng: np.random.Generator) -> Fit:
    """A random face with closed lips, nearly frontal, framed like a portrait photograph."""
    from core.face.expression import close_lips

    face, _ = face_and_loops()
    identity = torch.as_tensor(np.clip(rng.normal(size=(1, 80)), -2, 2) * 0.8, dtype=torch.float32)
    exp = close_lips(face, identity, torch.as_tensor(rng.normal(size=(1, 64)) * 0.15, dtype=torch.float32), torch.ones(1))
    euler = np.radians(np.clip(rng.normal(size=3), -2, 2) * [3.0, 5.0, 2.0]).astype(np.float32)
    trans = np.array([rng.normal() * 0.04, rng.normal() * 0.04 + 0.05, rng.uniform(-4.0, -2.5)], np.float32)
    coeffs = FaceCoeffs(identity, exp, torch.from_numpy(euler)[None], torch.from_numpy(trans)[None])
    vertices = face.vertices(identity, exp)[0].double().numpy()
    pose = Pose.from_euler(euler, trans)
    posed = pose.apply(vertices)
    basis = face.exp_basis.double().numpy()
    return Fit(coeffs, pose, FaceMotion(basis, vertices, vertices, exp[0].double().numpy()), project(posed), FIT_DISTANCE - posed[:, 2])


def face_light(fit: Fit, side: int, light: Float[np.ndarray, "3"]) -> Float[np.ndarray, "s s"]:
    """Brightness of the face mesh under a directional light in camera space, 1 outside of it."""
    from core.people.geometry import to_clip
    from core.raster.numba_backend import rasterize_arrays

    face, _ = face_and_loops()
    triangles = face.triangles.numpy()
    posed = fit.pose.apply(fit.motion.measured)
    normals = np.zeros_like(posed)
    corners = posed[triangles]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    flat *= np.sign(flat[:, 2:])
    for k in range(3):
        np.add.at(normals, triangles[:, k], flat)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    value = 0.62 + 0.45 * np.clip(normals @ (light / np.linalg.norm(light)), 0, 1)
    fragments = rasterize_arrays(to_clip(posed), triangles, side, side)
    seen = fragments[..., 3] > 0
    vertex = triangles[fragments[..., 3].astype(int) - 1]
    b0, b1 = fragments[..., 0], fragments[..., 1]
    shaded = b0 * value[vertex[..., 0]] + b1 * value[vertex[..., 1]] + (1 - b0 - b1) * value[vertex[..., 2]]
    weight = gaussian_filter(seen.astype(np.float64), side / 100) + 1e-6
    smooth = gaussian_filter(np.where(seen, shaded, 0.0), side / 100) / weight
    edge = np.clip(weight * 2 - 1, 0, 1)
    return (edge * smooth + (1 - edge)).astype(np.float32)


def make_person(seed: int, size: int = 512) -> Person:
    """The person of one seed; the same seed gives the same person."""
    rng = np.random.default_rng((seed, 0x9E3779B9))
    fit, look = random_fit(rng), Look.sample(rng)
    _, loops = face_and_loops()
    light = np.array([rng.normal() * 0.6, rng.uniform(0.2, 0.8), 1.0])
    portrait = paint(fit, loops, look, face_light(fit, size, light), size, rng)
    layers = StillLayers(portrait.head, portrait.torso, portrait.torso_alpha, portrait.background)
    return assemble(portrait.image, f"seed{seed:06d}", fit, portrait.labels, portrait.head_alpha, layers)


@dataclass(frozen=True)
class SeedSource:
    """One procedural person (a ``core.data.clips.ClipSource``); every seventh seed is kept out of training.

    Attributes:
        seed: who.
        size: side of the painted portrait.
    """

    seed: int
    size: int = 512

    @property
    def name(self) -> str:
        """``seed000007``."""
        return f"seed{self.seed:06d}"

    @property
    def split(self) -> str:
        """``train`` or ``val``."""
        return "val" if self.seed % 7 == 6 else "train"

    def make(self, rng: np.random.Generator) -> Person:
        """Paint and lift; everything follows from the seed alone."""
        del rng
        return make_person(self.seed, self.size)
