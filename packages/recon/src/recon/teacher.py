"""Where stage 1 gets heads from that have no end: a teacher makes them while the student learns (paper 3.1; spec 9.1)."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import torch
from core.camera import Camera
from core.render.triplane import PlaneAxes
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from recon.eg3d import EG3DGenerator
from recon.eg3d_pickle import read_eg3d
from recon.views import HeadView, ViewBatch


class Teacher(Protocol):
    """Heads by number: the same number is the same head, seen by the same cameras."""

    def views(self, numbers: Int[Tensor, " b"], count: int) -> ViewBatch:
        """A source view and ``count`` target views of every head, on the device of ``numbers``."""
        ...


@dataclass(frozen=True)
class CameraRange:
    """Cameras on a sphere around ``Camera.look_at``'s pivot, drawn evenly. Angles in degrees, distances in world units."""

    pitch: float = 26.0
    """Largest pitch up and down; as ``Camera.look_at`` counts it, 0.64 of the angle."""
    yaw: float = 38.0
    """Largest yaw to either side."""
    near: float = 2.7
    """Smallest distance."""
    far: float = 4.0
    """Largest distance."""

    def draw(self, focal: float, generator: torch.Generator) -> Camera:
        """One camera."""
        u = torch.rand(3, generator=generator)
        pitch, yaw = ((2 * u[i : i + 1] - 1) * math.radians(limit) for i, limit in enumerate((self.pitch, self.yaw)))
        return Camera.look_at(yaw, pitch, self.near + (self.far - self.near) * u[2:], focal=focal)


@dataclass(frozen=True)
class TeacherOptions:
    """The EG3D teacher of a training."""

    pickle: str | None = None
    """NVIDIA's ``.pkl``, for example ffhqrebalanced512-128.pkl; null: no teacher, the heads come from ``data.root``."""
    truncation: float = 0.7
    """Below 1, heads closer to the average."""
    plane_axes: PlaneAxes = "eg3d"
    """``eg3d`` for published weights, ``xyz`` for weights trained with the corrected third plane."""
    sr_w: Literal["ones", "latent"] = "latent"
    """Style of the teacher's super-resolution: ``latent`` for NVIDIA's weights, ``ones`` for those trained with a constant style."""
    rays: Literal["file", "box"] = "box"
    """Sample rays between the distances that the file names, or where they meet the box; cameras beyond 2.8 need the second."""
    condition: CameraRange = CameraRange(10.0, 16.0, 2.7, 3.2)
    """Cameras that the mapping network is told of."""
    cameras: CameraRange = CameraRange()
    """Cameras that look at the heads."""
    real_share: float = 0.5
    """How often a camera is one of the clips in ``data.root`` instead, if there are any."""
    heads: int = 1_000_000
    """Heads in an epoch."""


class EG3DTeacher(nn.Module):
    """Random heads of an EG3D generator.

    Attributes:
        generator: frozen, in eval mode.
    """

    def __init__(
        self,
        generator: EG3DGenerator,
        options: TeacherOptions,
        seed: int = 0,
        poses: Float[Tensor, "n 25"] | None = None,
        size: int | None = None,
    ) -> None:
        """Options.

        Args:
            generator: makes the heads.
            options: truncation and cameras.
            seed: of heads and cameras, together with a head's number.
            poses: labels of real cameras; their intrinsics are replaced by the generator's.
            size: side of the pictures; None is the generator's.
        """
        super().__init__()
        self.generator = generator.eval().requires_grad_(False)
        self.options, self.seed, self.poses = options, seed, poses
        self.size = size or generator.config.renderer.image_size

    @classmethod
    def from_pickle(
        cls,
        path: str | Path,
        options: TeacherOptions | None = None,
        seed: int = 0,
        poses: Float[Tensor, "n 25"] | None = None,
        size: int | None = None,
    ) -> "EG3DTeacher":
        """Read NVIDIA's weights, executing nothing of the file; see ``recon.eg3d_pickle.read_eg3d``.

        Raises:
            PortraitError: ``E_WEIGHTS`` when the file is absent (the message says where to get it) or is not EG3D's.
        """
        options = options or TeacherOptions()
        return cls(read_eg3d(path, options.plane_axes, options.sr_w, options.rays), options, seed, poses, size)

    @torch.no_grad()
    def views(self, numbers: Int[Tensor, " b"], count: int) -> ViewBatch:
        """Heads by number, each with a source view and ``count`` target views: the teacher's final image, clamped to [-1, 1]."""
        device = numbers.device
        if next(self.generator.parameters()).device != device:
            self.to(device)
        draws = [self._draw(int(number), 1 + count) for number in numbers.tolist()]
        z = torch.stack([draw[0] for draw in draws]).to(device)
        condition, *cameras = (Camera(torch.cat(labels)).to(device) for labels in zip(*(draw[1] for draw in draws), strict=True))
        w = self.generator.style(z, condition, self.options.truncation)
        planes = self.generator.planes(w)
        source, *targets = (self._view(planes, w, camera) for camera in cameras)
        return ViewBatch(source, targets, numbers)

    def _draw(self, number: int, views: int) -> tuple[Float[Tensor, " z"], list[Float[Tensor, "1 25"]]]:
        """Latent and cameras of one head: first the conditioning camera, then those of its views."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        focal = self.generator.config.renderer.focal
        z = torch.randn(self.generator.config.z_dim, generator=generator)
        cameras = [self.options.condition.draw(focal, generator).label]
        for _ in range(views):
            drawn = self.options.cameras.draw(focal, generator).label
            real = torch.rand((), generator=generator) < self.options.real_share
            if self.poses is not None and len(self.poses) and real:
                pose = self.poses[torch.randint(len(self.poses), (1,), generator=generator)]
                drawn = torch.cat([pose[:, :16], drawn[:, 16:]], 1)
            cameras.append(drawn)
        return z, cameras

    def _view(self, planes: Float[Tensor, "b 3 c p p"], w: Float[Tensor, "b w"], camera: Camera) -> HeadView:
        rendering = self.generator.render(planes, w, camera)
        image = rendering.image.clamp(-1, 1)
        if image.shape[-1] != self.size:
            image = F.interpolate(image, (self.size, self.size), mode="bilinear", antialias=True)
        return HeadView(image, F.interpolate(rendering.weights, image.shape[2:], mode="bilinear"), camera)
