"""Cameras: the 25-number EG3D label, poses of the 3DMM, look-at sampling and rays.

World: x to the viewer's right, y up, z towards the viewer; the face looks at +z. Camera axes are OpenCV: x right, y down, z forward.
A label is the camera-to-world matrix (16, row-major) followed by the intrinsics (9) normalised by the image size.

The 3DMM lives in its own units (about a decimetre): ``V_pose = V R^T + t`` seen by a camera at z = 10, focal 1015/224 of the image side.
``Camera.from_pose`` puts that camera into the world of the tri-plane: 0.27 units per 3DMM unit, shifted by (0, 0.006, 0.161)
(spec 2; Real3D-Portrait B.1). ``FIT_FOCAL`` keeps the geometry exact; ``EG3D_FOCAL`` is what published weights were trained with.
"""

import math
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from core.compilable import compilable
from core.exact import exact

FIT_FOCAL = 1015 / 224
EG3D_FOCAL = 2985.29 / 700
WORLD_SCALE = 0.27
WORLD_SHIFT = (0.0, 0.006, 0.161)
FIT_DISTANCE = 10.0


@exact
def rotation_from_euler(euler: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 3"]:
    """(pitch, yaw, roll) in radians to ``R = Rz(roll) Ry(yaw) Rx(pitch)``, right-handed."""
    a, b, c = euler.unbind(-1)
    zero, one = torch.zeros_like(a), torch.ones_like(a)
    rx = torch.stack([one, zero, zero, zero, a.cos(), -a.sin(), zero, a.sin(), a.cos()], -1)
    ry = torch.stack([b.cos(), zero, b.sin(), zero, one, zero, -b.sin(), zero, b.cos()], -1)
    rz = torch.stack([c.cos(), -c.sin(), zero, c.sin(), c.cos(), zero, zero, zero, one], -1)
    x, y, z = (m.unflatten(-1, (3, 3)) for m in (rx, ry, rz))
    return z @ y @ x


def euler_from_rotation(rotation: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 3"]:
    """Inverse of ``rotation_from_euler`` for yaw within (-90, 90) degrees."""
    pitch = torch.atan2(rotation[..., 2, 1], rotation[..., 2, 2])
    yaw = torch.asin((-rotation[..., 2, 0]).clamp(-1, 1))
    roll = torch.atan2(rotation[..., 1, 0], rotation[..., 0, 0])
    return torch.stack([pitch, yaw, roll], -1)


def length(vectors: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b"]:
    """Euclidean; the library's norm over so short an axis is several times slower on a CPU."""
    x, y, z = vectors.unbind(-1)
    return (x * x + y * y + z * z).sqrt()


@dataclass(frozen=True)
class Window:
    """A square part of an image, per sample: where patch-wise training looks.

    Attributes:
        top, left: first row and column, in pixels of the full image.
        size: side of the window in the same pixels.
    """

    top: Int[Tensor, " b"]
    left: Int[Tensor, " b"]
    size: int

    def crop(self, image: Float[Tensor, "b c h w"], scale: int = 1) -> Float[Tensor, "b c p p"]:
        """Cut the window out of an image that has ``scale`` pixels per window pixel."""
        side = self.size * scale
        corners = zip(image, (self.top * scale).tolist(), (self.left * scale).tolist(), strict=True)
        return torch.stack([sample[:, row : row + side, column : column + side] for sample, row, column in corners])


@dataclass(frozen=True)
class Rays:
    """Rays through pixel centres, row-major.

    Attributes:
        origins: world units.
        directions: unit vectors.
    """

    origins: Float[Tensor, "b n 3"]
    directions: Float[Tensor, "b n 3"]


@dataclass(frozen=True)
class Camera:
    """A batch of cameras.

    Attributes:
        label: 16 numbers camera-to-world (row-major) and 9 numbers intrinsics, normalised by the image side.
    """

    label: Float[Tensor, "b 25"]

    @property
    def cam2world(self) -> Float[Tensor, "b 4 4"]:
        """Camera-to-world matrices."""
        return self.label[:, :16].unflatten(1, (4, 4))

    @property
    def intrinsics(self) -> Float[Tensor, "b 3 3"]:
        """Intrinsics in units of the image side."""
        return self.label[:, 16:].unflatten(1, (3, 3))

    def __len__(self) -> int:
        return self.label.shape[0]

    def __getitem__(self, index: slice | Tensor) -> "Camera":
        return Camera(self.label[index])

    def to(self, device: torch.device | str) -> "Camera":
        """The same cameras on another device."""
        return Camera(self.label.to(device))

    @classmethod
    @exact
    def from_matrices(cls, rotation: Float[Tensor, "b 3 3"], centre: Float[Tensor, "b 3"], focal: float = EG3D_FOCAL) -> "Camera":
        """Build labels from camera-to-world rotation, camera centre and focal length in image sides."""
        matrix = torch.eye(4).to(rotation).repeat(rotation.shape[0], 1, 1)
        matrix[:, :3, :3] = rotation
        matrix[:, :3, 3] = centre
        intrinsics = torch.tensor([focal, 0, 0.5, 0, focal, 0.5, 0, 0, 1]).to(rotation).expand(rotation.shape[0], 9)
        return cls(torch.cat([matrix.flatten(1), intrinsics], 1))

    @classmethod
    @exact
    def from_pose(cls, euler: Float[Tensor, "b 3"], trans: Float[Tensor, "b 3"], focal: float = EG3D_FOCAL) -> "Camera":
        """Camera that sees the canonical head as the 3DMM pose (radians, 3DMM units) shows it (spec 2)."""
        rotation = rotation_from_euler(euler)
        offset = trans - torch.tensor([0.0, 0.0, FIT_DISTANCE]).to(trans)
        centre = -torch.einsum("bji,bj->bi", rotation, offset) * WORLD_SCALE + torch.tensor(WORLD_SHIFT).to(trans)
        flip = torch.diag(torch.tensor([1.0, -1.0, -1.0])).to(trans)
        return cls.from_matrices(rotation.transpose(1, 2) @ flip, centre, focal)

    @exact
    def to_pose(self) -> tuple[Float[Tensor, "b 3"], Float[Tensor, "b 3"]]:
        """Inverse of ``from_pose``: euler (radians) and trans (3DMM units)."""
        flip = torch.diag(torch.tensor([1.0, -1.0, -1.0])).to(self.label)
        rotation = (self.cam2world[:, :3, :3] @ flip).transpose(1, 2)
        centre = (self.cam2world[:, :3, 3] - torch.tensor(WORLD_SHIFT).to(self.label)) / WORLD_SCALE
        trans = -torch.einsum("bij,bj->bi", rotation, centre) + torch.tensor([0.0, 0.0, FIT_DISTANCE]).to(self.label)
        return euler_from_rotation(rotation), trans

    @exact
    def project(self, points: Float[Tensor, "b n 3"]) -> tuple[Float[Tensor, "b n 2"], Float[Tensor, "b n"]]:
        """Where world points appear, (x, y) in [0, 1] across the image, y down, and their distance from the camera centre."""
        offset = points - self.cam2world[:, None, :3, 3]
        local = torch.einsum("bij,bni->bnj", self.cam2world[:, :3, :3], offset)
        image = torch.einsum("bij,bnj->bni", self.intrinsics, local)
        return image[..., :2] / image[..., 2:], length(offset)

    @classmethod
    @exact
    def look_at(
        cls,
        yaw: Float[Tensor, " b"],
        pitch: Float[Tensor, " b"],
        radius: Float[Tensor, " b"],
        pivot: tuple[float, float, float] = (0.0, 0.0, 0.2),
        focal: float = EG3D_FOCAL,
    ) -> "Camera":
        """Cameras on a sphere that look at ``pivot`` (spec 2): ``cos(phi) = -2 pitch / pi``, so positive pitch looks from below."""
        cos_phi = -2 * pitch / math.pi
        sin_phi = (1 - cos_phi**2).clamp_min(0).sqrt()
        centre = radius[:, None] * torch.stack([sin_phi * yaw.sin(), cos_phi, sin_phi * yaw.cos()], -1)
        forward = F.normalize(torch.tensor(pivot).to(centre) - centre, dim=-1)
        up = torch.tensor([0.0, 1.0, 0.0]).to(centre).expand_as(centre)
        right = -F.normalize(torch.linalg.cross(up, forward), dim=-1)
        down = torch.linalg.cross(forward, right)
        return cls.from_matrices(torch.stack([right, down, forward], -1), centre, focal)

    @exact
    def rays(self, size: int, window: Window | None = None) -> Rays:
        """Rays through the pixel centres of a ``size x size`` image, or of one window of it per sample."""
        if window is None and compilable(self.label):
            from core.render.rays_numba import directions

            found = directions(self.cam2world, self.intrinsics, size)
            return Rays(self.cam2world[:, None, :3, 3].expand_as(found), found)
        return self.rays_torch(size, window)

    def rays_torch(self, size: int, window: Window | None) -> Rays:
        """``rays`` with gradients and on any device; ``core.render.rays_numba`` is the compiled twin."""
        side = size if window is None else window.size
        ticks = torch.arange(side, device=self.label.device)
        top, left = (torch.zeros(len(self), dtype=torch.long, device=ticks.device),) * 2 if window is None else (window.top, window.left)
        rows = (top.to(ticks)[:, None] + ticks + 0.5) / size
        columns = (left.to(ticks)[:, None] + ticks + 0.5) / size
        y = rows[:, :, None].expand(-1, side, side).flatten(1)
        x = columns[:, None, :].expand(-1, side, side).flatten(1)
        k = self.intrinsics
        fx, fy, cx, cy, skew = (rearrange(v, "b -> b 1") for v in (k[:, 0, 0], k[:, 1, 1], k[:, 0, 2], k[:, 1, 2], k[:, 0, 1]))
        local = torch.stack([(x - cx + cy * skew / fy - skew * y / fy) / fx, (y - cy) / fy, torch.ones_like(x)], -1)
        directions = torch.einsum("bij,bnj->bni", self.cam2world[:, :3, :3], local)
        directions = directions / length(directions)[..., None]
        return Rays(self.cam2world[:, None, :3, 3].expand_as(directions), directions)
