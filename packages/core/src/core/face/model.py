"""The morphable face: identity and expression codes to vertices, and how a posed face is seen.

Units and axes of the 3DMM (spec 1.2; Real3D-Portrait B.1): +x to the viewer's right, +y up, +z towards the viewer, outer eye corners 0.88
apart, the origin in the middle of the face. ``V = mean + B_id i + B_exp e``; ``V_pose = V R^T + t``; a camera at z = 10 with a focal length
of 1015/224 image sides looks along -z.
"""

import copy
import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from safetensors.torch import load
from torch import Tensor, nn

from core.camera import FIT_DISTANCE, FIT_FOCAL, rotation_from_euler
from core.errors import PortraitError
from core.exact import exact
from core.face.regions import LM68, POINTS


class FaceModel(nn.Module):
    """A linear 3D morphable face model with whitened codes.

    Its numbers stay out of checkpoints (a licence may forbid passing them on): a checkpoint holds the fingerprint and fits no other model.

    Args:
        mean: mean vertices, the origin in their middle.
        id_basis: vertex motion per unit of every identity code.
        exp_basis: vertex motion per unit of every expression code.
        triangles: surface seen from the front; eyes and mouth are holes.
        keypoints468: vertex of every MediaPipe point; negative where the model has none.
        name: what to call the model in messages.
        keypoints68: vertex of every iBUG point; None takes those of the MediaPipe points ``regions.LM68``.

    Attributes:
        ncc: normalised coordinate code, the mean vertex scaled to [0, 1] per axis: the colours of PNCC (Eq. 1).
        matched468: False for MediaPipe points without a vertex, which ``keypoints468`` sends to vertex 0; fits and losses leave them out.
        fingerprint: 12 hex digits that differ between models; weights trained on one model do not fit another.
    """

    mean: Float[Tensor, "v 3"]
    id_basis: Float[Tensor, "v 3 80"]
    exp_basis: Float[Tensor, "v 3 64"]
    triangles: Int[Tensor, "f 3"]
    ncc: Float[Tensor, "v 3"]
    keypoints468: Int[Tensor, "468"]
    matched468: Bool[Tensor, "468"]
    keypoints68: Int[Tensor, "68"]

    def __init__(
        self,
        mean: Float[Tensor, "v 3"],
        id_basis: Float[Tensor, "v 3 80"],
        exp_basis: Float[Tensor, "v 3 64"],
        triangles: Int[Tensor, "f 3"],
        keypoints468: Int[Tensor, "468"],
        name: str,
        keypoints68: Int[Tensor, "68"] | None = None,
    ) -> None:
        super().__init__()
        low, high = mean.amin(0), mean.amax(0)
        points = keypoints468.long().clamp_min(0)
        buffers = {
            "mean": mean.float(),
            "id_basis": id_basis.float(),
            "exp_basis": exp_basis.float(),
            "triangles": triangles.long(),
            "ncc": ((mean - low) / (high - low)).float(),
            "keypoints468": points,
            "matched468": keypoints468 >= 0,
            "keypoints68": points[list(LM68)] if keypoints68 is None else keypoints68.long(),
        }
        for key, value in buffers.items():
            self.register_buffer(key, value, persistent=False)
        self.name = name
        numbers = (self.mean, self.id_basis, self.exp_basis, self.triangles)
        self.fingerprint = hashlib.sha256(b"".join(x.cpu().numpy().tobytes() for x in numbers)).hexdigest()[:12]

    @staticmethod
    def embedded() -> "FaceModel":
        """The statistical model that ships with the package, in MediaPipe's topology (one shared instance, on the host)."""
        return _embedded()

    @staticmethod
    def from_bfm(folder: str | Path, lm68_one_based: bool = False) -> "FaceModel":
        """The Basel Face Model 2009 with the expressions of Guo et al., from the user's own files; see ``core.face.bfm.load_bfm``."""
        from core.face.bfm import load_bfm

        return load_bfm(Path(folder), lm68_one_based)

    @classmethod
    def load(cls, source: str | Path = "embedded", lm68_one_based: bool = False) -> "FaceModel":
        """An instance of one's own of the model that an option names.

        Args:
            source: ``embedded``, or a folder with the files of BFM 2009.
            lm68_one_based: see ``core.face.bfm.load_bfm``; without effect on the embedded model, whose numbers count from 0.

        Raises:
            PortraitError: ``E_FACE_MODEL`` when a file of the folder is missing or wrong.
        """
        if str(source) == "embedded":
            return copy.deepcopy(_embedded())
        return cls.from_bfm(source, lm68_one_based)

    def require(self, fingerprint: str, owner: str) -> None:
        """See that something was made with this model; an empty ``fingerprint`` says that any will do.

        Raises:
            PortraitError: ``E_FACE_MODEL``; ``owner`` says what was made, in the plural.
        """
        if fingerprint and fingerprint != self.fingerprint:
            raise PortraitError("E_FACE_MODEL", f"{owner} belong to face model {fingerprint}, this is {self.fingerprint} ({self.name})",
                                "Choose the face model that they were made with: --face-model or model.face_model.")  # fmt: skip

    def get_extra_state(self) -> str:
        """What a checkpoint keeps of the model."""
        return self.fingerprint

    def set_extra_state(self, state: str) -> None:
        """Refuse a checkpoint that was made with another model.

        Raises:
            PortraitError: ``E_FACE_MODEL``.
        """
        self.require(state, "the numbers of this checkpoint")

    @exact
    def vertices(self, id: Float[Tensor, "b 80"], exp: Float[Tensor, "b 64"]) -> Float[Tensor, "b v 3"]:
        """Vertices in canonical pose, 3DMM units."""
        return self.mean + (id @ self.id_basis.flatten(0, 1).T + exp @ self.exp_basis.flatten(0, 1).T).unflatten(1, (-1, 3))

    @exact
    def keypoints(self, id: Float[Tensor, "b 80"], exp: Float[Tensor, "b 64"], which: int = 468) -> Float[Tensor, "b n 3"]:
        """MediaPipe's 468 or iBUG's 68 points in canonical pose, 3DMM units.

        Raises:
            ValueError: ``which`` is neither 468 nor 68.
        """
        if which not in (POINTS, len(LM68)):
            raise ValueError(f"which={which}: there are keypoint sets of {POINTS} and {len(LM68)} points")
        index = self.keypoints468 if which == POINTS else self.keypoints68
        offset = id @ self.id_basis[index].flatten(0, 1).T + exp @ self.exp_basis[index].flatten(0, 1).T
        return self.mean[index] + offset.unflatten(1, (-1, 3))


@cache
def _embedded() -> FaceModel:
    tensors = load(files("core.face").joinpath("embedded.safetensors").read_bytes())
    return FaceModel(**tensors, keypoints468=torch.arange(POINTS), name="mediapipe468").requires_grad_(False)


@exact
def pose_points(points: Float[Tensor, "b n 3"], euler: Float[Tensor, "b 3"], trans: Float[Tensor, "b 3"]) -> Float[Tensor, "b n 3"]:
    """Turn (radians) and move (3DMM units) canonical points: ``V R^T + t``."""
    return points @ rotation_from_euler(euler).transpose(1, 2) + trans[:, None]


def project(points: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n 2"]:
    """Image coordinates of posed points, [0, 1] across the square image, y down (spec 1.2)."""
    depth = FIT_DISTANCE - points[..., 2:]
    return 0.5 + FIT_FOCAL * points[..., :2] * points.new_tensor([1.0, -1.0]) / depth
