"""The inside of a photograph's mouth, drawn by itself: teeth, tongue and cavity of a lifted person between the lips of any expression.

Networks of the size of ``tiny`` draw teeth as a grey blur; ``compose`` lays these over what they draw.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, UInt8

from core.face.coeffs import FaceCoeffs
from core.people.canvas import PAD, to_canvas
from core.people.geometry import LAYER_BACK, LAYER_FRONT, LAYER_MADE, LAYER_TEETH, HeadMesh, Pose, project
from core.people.lifted import enamel_of, face_and_loops
from core.people.lifted import mouth as mouth_meshes
from core.people.openings import continue_colours, made_texture, mouth_light, polygon_mask
from core.people.surface import FaceMotion, face_surface

STEP = 2
"""Samples per pixel side."""
REACH = 0.02
"""How far beyond the lips the drawn window reaches, in image sides."""


@dataclass(frozen=True)
class Mouth:
    """What a mouth shows when it opens.

    Attributes:
        motion: expression code to displacement of the face.
        mesh: face, which hides what is not between the lips, and mouth.
        textures: (5, c, c, 4) RGBA.
        lips: vertices of the face along the inner lips.
    """

    motion: FaceMotion
    mesh: HeadMesh
    textures: UInt8[np.ndarray, "5 c c 4"]
    lips: np.ndarray

    @classmethod
    def of(cls, image: UInt8[np.ndarray, "s s 3"], coeffs: FaceCoeffs) -> "Mouth":
        """The mouth of a photograph.

        Args:
            image: RGB; only the face matters.
            coeffs: of the embedded face model, fitted to it; batch of one.
        """
        face, loops = face_and_loops()
        triangles, lips = face.triangles.numpy(), loops["mouth"]
        fitted = face.vertices(coeffs.id, coeffs.exp)[0].detach().cpu().double().numpy()
        pose = Pose.from_euler(coeffs.euler[0].detach().cpu().numpy(), coeffs.trans[0].detach().cpu().numpy())
        motion = FaceMotion(face.exp_basis.double().numpy(), fitted, fitted, coeffs.exp[0].detach().cpu().double().numpy())
        pad = round(PAD * len(image))
        picture = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), mode="edge")
        side, xy = len(picture), to_canvas(project(pose.apply(fitted)))
        gap, inside = (polygon_mask(xy[loops[name]], side) for name in ("mouth", "oval"))
        teeth = continue_colours(picture, gap if gap.sum() > 20 else inside, 1.5)
        textures = np.full((5, side, side, 4), 255, np.uint8)
        textures[LAYER_FRONT, ..., :3], textures[LAYER_TEETH, ..., :3] = picture, teeth
        textures[LAYER_MADE, ..., :3] = made_texture(side, enamel_of(picture, gap, inside))
        mesh = HeadMesh.cat([face_surface(triangles, fitted, pose, LAYER_FRONT), *mouth_meshes(fitted, lips, pose)])
        return cls(motion, mesh, textures, lips)

    @cached_property
    def _no_classes(self) -> UInt8[np.ndarray, "5 c c"]:
        """Labels that nobody asks for."""
        return np.zeros(self.textures.shape[:3], np.uint8)

    def draw(
        self, exp: Float[np.ndarray, "64"], euler: Float[np.ndarray, "3"], trans: Float[np.ndarray, "3"], size: int
    ) -> tuple[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "h w"], tuple[int, int]]:
        """The mouth of one frame.

        Args:
            exp: whitened expression code.
            euler: pitch, yaw, roll in radians.
            trans: 3DMM units.
            size: side of the frame in pixels.

        Returns:
            Colours of a window around the mouth; which share of each pixel shows what is behind the lips; top and left of the window.
        """
        from core.people.drawing import draw, place
        from core.people.shading import shade

        motion, pose, mesh = self.motion(exp), Pose.from_euler(euler, trans), self.mesh
        rows = np.empty((len(mesh.vertices), 6), np.float32)
        arrays = mesh.vertices, mesh.uvw, mesh.anchors, mesh.weights, motion
        place(*arrays, np.ascontiguousarray(pose.rotation), pose.trans, float(size * STEP), float(self.textures.shape[1]), rows)
        edge = rows[self.lips, 1::-1] / STEP
        low = np.clip(np.floor(edge.min(0) - REACH * size), 0, size - 1).astype(int)
        high = np.clip(np.ceil(edge.max(0) + REACH * size), low + 1, size).astype(int)
        height, width = high - low
        near, texel = np.zeros((height * STEP, width * STEP), np.float32), np.zeros((height * STEP, width * STEP, 2), np.float32)
        kind = np.zeros(near.shape, np.uint8)
        draw(rows, mesh.triangles, mesh.layer, LAYER_BACK, (int(low[0]) * STEP, int(low[1]) * STEP), near, texel, kind)
        gain = np.ones(5, np.float32)
        gain[LAYER_MADE] = mouth_light(self.motion.measured + motion)
        colour, depth = np.zeros((height, width, 4), np.float32), np.zeros((height, width), np.float32)
        nothing = np.zeros_like(near), np.zeros_like(texel), np.zeros_like(kind)
        shade(
            (near, texel, kind), nothing, STEP, (self.textures, self._no_classes, gain), colour, depth, np.zeros((height, width), np.uint8)
        )
        behind = ((kind == LAYER_TEETH + 1) | (kind == LAYER_MADE + 1)).reshape(height, STEP, width, STEP)
        return np.clip(colour[..., :3] + 0.5, 0, 255).astype(np.uint8), behind.mean((1, 3), dtype=np.float32), (int(low[0]), int(low[1]))
