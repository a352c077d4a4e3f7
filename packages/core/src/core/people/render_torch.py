"""Many views of one person at once on any device: the twin of ``core.people.person.render`` in torch, for training machines with a GPU.

Small numbers (motion of the face, poses, the torso's place) come from the same code on the host; vertices, samples and pixels are tensors.
nvdiffrast draws the triangles where it is installed, else ``core.raster``'s scattering rasteriser.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from core.camera import FIT_DISTANCE, FIT_FOCAL, Camera
from core.face.coeffs import FaceCoeffs
from core.people.geometry import DEPTH_A, DEPTH_B, LAYER_BACK, LAYER_MADE, HeadMesh, Pose
from core.people.openings import mouth_light
from core.people.person import Person, torso_map
from core.people.shading_torch import Head, Samples, Torso, Wardrobe, compose, shade, wear
from core.raster import interpolate, rasterize
from core.raster.api import Backend


@dataclass(frozen=True)
class PersonFrames:
    """Views of a person with their labels, as ``core.people.person.PersonFrame`` describes them.

    Attributes:
        image: composite RGB.
        head: head over black.
        head_alpha: soft head mask in [0, 1].
        torso: torso over black where no head hides it.
        torso_alpha: its soft visible mask.
        labels: segmentation 0..5.
        depth: distance from the camera in 3DMM units where the head is, else 0.
        coeffs: identity, expression, pose.
        camera: the same pose as a camera label.
    """

    image: UInt8[Tensor, "b s s 3"]
    head: UInt8[Tensor, "b s s 3"]
    head_alpha: Float[Tensor, "b s s"]
    torso: UInt8[Tensor, "b s s 3"]
    torso_alpha: Float[Tensor, "b s s"]
    labels: UInt8[Tensor, "b s s"]
    depth: Float[Tensor, "b s s"]
    coeffs: FaceCoeffs
    camera: Camera

    def __len__(self) -> int:
        return len(self.image)


class DevicePerson:
    """A person whose meshes and textures lie on a device.

    Args:
        person: whom.
        device: where.
        backend: of ``core.raster.rasterize``.
    """

    def __init__(self, person: Person, device: torch.device | str = "cpu", backend: Backend = "auto") -> None:
        self.person, self.device, self.backend = person, torch.device(device), backend
        self.solid, self.fringe = _DeviceMesh.of(person.solid, self.device), _DeviceMesh.of(person.fringe, self.device)
        worn = (torch.from_numpy(np.ascontiguousarray(x)).to(self.device) for x in (person.textures, person.classes))
        self.textures, self.classes = worn
        self.torso = Torso.of(person.torso.image, person.torso.alpha, person.torso.classes, self.device)

    @torch.no_grad()
    def render(
        self,
        exp: Float[np.ndarray, "b 64"],
        euler: Float[np.ndarray, "b 3"],
        trans: Float[np.ndarray, "b 3"],
        size: int = 512,
        step: int = 2,
        gaze: Float[np.ndarray, "b 2"] | None = None,
        torso_lag: Float[np.ndarray, "b 3"] | None = None,
    ) -> PersonFrames:
        """Show the person ``b`` times; see ``core.people.person.render``."""
        person = self.person
        poses = [Pose.from_euler(*pose) for pose in zip(euler, trans, strict=True)]
        motions = np.stack([person.motion(code) for code in exp])
        looks = [None] * len(motions) if gaze is None else gaze
        uvw = np.stack([person.worn(motion, look) for motion, look in zip(motions, looks, strict=True)])
        solid = self._samples(self.solid, motions, poses, size * step, uvw)
        fringe = self._samples(self.fringe, motions, poses, size * step, None)
        gain = np.ones((len(exp), len(person.textures)), np.float32)
        gain[:, LAYER_MADE] = [mouth_light(person.motion.measured + motion) for motion in motions]
        head = shade(solid, fringe, step, Wardrobe(self.textures, self.classes, self._send(gain)))
        lags = np.zeros((len(exp), 3)) if torso_lag is None else torso_lag
        maps = np.stack([torso_map(person, pose, lag, size) for pose, lag in zip(poses, lags, strict=True)])
        return self._frames(head, maps, size, (exp, euler, trans))

    def _frames(self, head: Head, maps: np.ndarray, size: int, codes: Sequence[np.ndarray]) -> PersonFrames:
        worn, cloth = wear(self.torso, self._send(maps, torch.float64), size)
        plate = self._send(self.person.plate(size), torch.uint8)
        pictures, masks, labels = compose(head, worn, cloth, plate)
        exp, euler, trans = (self._send(code) for code in codes)
        return PersonFrames(
            image=pictures[0],
            head=pictures[1],
            head_alpha=masks[0],
            torso=pictures[2],
            torso_alpha=masks[1],
            labels=labels,
            depth=masks[2],
            coeffs=FaceCoeffs(self.person.coeffs.id.to(self.device).expand(len(exp), -1), exp, euler, trans),
            camera=Camera.from_pose(euler, trans, FIT_FOCAL),
        )

    def _send(self, array: np.ndarray, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device, dtype)

    def _samples(self, mesh: "_DeviceMesh", motions: np.ndarray, poses: Sequence[Pose], side: int, uvw: np.ndarray | None) -> Samples:
        """What every sample of ``side x side`` shows of a mesh."""
        motion, turn = self._send(motions, torch.float64), self._send(np.stack([pose.rotation for pose in poses]), torch.float64)
        shift = self._send(np.stack([pose.trans for pose in poses]), torch.float64)
        clip, looks = mesh.placed(motion, turn, shift, None if uvw is None else self._send(uvw))
        fragments = rasterize(clip, mesh.triangles, (side, side), self.backend)
        u, v, w, distance = interpolate(looks, fragments, mesh.triangles).unbind(-1)
        number = fragments[..., 3].long()
        seen = number > 0
        width = self.textures.shape[1]
        texel = torch.stack([u, v], -1) / torch.where(seen, w, 1.0)[..., None] * width - 0.5
        near = torch.where(seen, 1 / torch.where(seen, distance, 1.0), 0.0)
        return Samples(near, texel, torch.where(seen, mesh.layer[number - 1] + 1, 0))


@dataclass(frozen=True)
class _DeviceMesh:
    """A ``HeadMesh`` whose triangles of the back have corners of their own, so that those seen from inside can be taken away.

    Attributes:
        vertices: followed by the corners of the back.
        anchors, weights, uvw: of all of them.
        triangles: of the whole mesh.
        layer: which texture each triangle wears.
        own: number of each vertex in the ``HeadMesh``.
        back: number of corners at the end that belong to the back.
    """

    vertices: Float[Tensor, "v 3"]
    anchors: Int[Tensor, "v 3"]
    weights: Float[Tensor, "v 3"]
    uvw: Float[Tensor, "v 3"]
    triangles: Int[Tensor, "f 3"]
    layer: Int[Tensor, " f"]
    own: Int[Tensor, " v"]
    back: int

    @classmethod
    def of(cls, mesh: HeadMesh, device: torch.device) -> "_DeviceMesh":
        """Give the back its own corners."""
        rear = mesh.layer == LAYER_BACK
        own = np.concatenate([np.arange(len(mesh.vertices)), mesh.triangles[rear].reshape(-1)])
        triangles = mesh.triangles.astype(np.int64)
        count = 3 * int(rear.sum())
        triangles[rear] = len(mesh.vertices) + np.arange(count).reshape(-1, 3)
        floats = [torch.from_numpy(x[own].astype(np.float64)).to(device) for x in (mesh.vertices, mesh.weights)]
        numbers = [torch.from_numpy(x.astype(np.int64)).to(device) for x in (mesh.anchors[own], triangles, mesh.layer, own)]
        uvw = torch.from_numpy(mesh.uvw[own].astype(np.float32)).to(device)
        return cls(floats[0], numbers[0], floats[1], uvw, numbers[1], numbers[2], numbers[3], count)

    def placed(
        self, motion: Float[Tensor, "b m 3"], turn: Float[Tensor, "b 3 3"], shift: Float[Tensor, "b 3"], uvw: Float[Tensor, "b u 3"] | None
    ) -> tuple[Float[Tensor, "b v 4"], Float[Tensor, "b v 4"]]:
        """Clip coordinates, and what is blended over triangles: homogeneous texture coordinates and distance."""
        moved = self.vertices + (self.weights[..., None] * motion[:, self.anchors]).sum(2)
        posed = moved @ turn.transpose(1, 2) + shift[:, None]
        distance = FIT_DISTANCE - posed[..., 2]
        x, y = 2 * FIT_FOCAL * posed[..., 0], -2 * FIT_FOCAL * posed[..., 1]
        clip = torch.stack([x, y, DEPTH_A * distance + DEPTH_B, distance], -1)
        clip = torch.cat([clip[:, : clip.shape[1] - self.back], self._outside(clip[:, clip.shape[1] - self.back :])], 1)
        looks = self.uvw.expand(len(motion), -1, -1) if uvw is None else uvw[:, self.own]
        return clip.float(), torch.cat([looks, distance[..., None].float()], -1)

    @staticmethod
    def _outside(clip: Float[Tensor, "b n 4"]) -> Float[Tensor, "b n 4"]:
        """Triangles that turn their inner side to the camera shrink to a point beside the picture."""
        corners = rearrange(clip, "b (t k) q -> b t k q", k=3)
        flat = corners[..., :2] / corners[..., 3:]
        (ax, ay), (bx, by) = ((flat[:, :, k] - flat[:, :, 0]).unbind(-1) for k in (1, 2))
        inner = (ax * by - ay * bx > 0)[..., None, None]
        nowhere = clip.new_tensor([9.0, 9.0, 0.0, 1.0])
        return rearrange(torch.where(inner, nowhere, corners), "b t k q -> b (t k) q")
