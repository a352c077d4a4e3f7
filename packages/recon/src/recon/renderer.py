"""Planes and a camera to the image of a head: volume rendering, then super-resolution (paper 3.1, B.1; spec 3)."""

from dataclasses import dataclass

import torch
from core.camera import Camera, Window
from core.hub import Pretrained
from core.nn.superres import SuperResolution
from core.render.volume import Rendering, VolumeRenderer
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from recon.config import HeadRendererConfig


@dataclass(frozen=True)
class HeadRendering:
    """A rendered head.

    Attributes:
        image: final image, about [-1, 1], not clamped; -1 where empty.
        raw: raw image in [-1.002, 1.002], a quarter of the side.
        feature: feature image that ``raw`` is the first three channels of.
        depth: distance along the ray, world units.
        weights: opacity in [0, 1), ``M_head``.
    """

    image: Float[Tensor, "b 3 S S"]
    raw: Float[Tensor, "b 3 s s"]
    feature: Float[Tensor, "b c s s"]
    depth: Float[Tensor, "b 1 s s"]
    weights: Float[Tensor, "b 1 s s"]


class HeadRenderer(nn.Module, Pretrained):
    """``volume`` renders 32 features per pixel, ``superres`` makes the image four times as large."""

    def __init__(self, config: HeadRendererConfig) -> None:
        super().__init__()
        self.config = config
        self.volume = VolumeRenderer(config.volume)
        self.superres = SuperResolution(config.volume.features, config.channels, config.w_dim, config.start_plain, config.clamp)

    def forward(
        self,
        planes: Float[Tensor, "b 3 c h w"],
        camera: Camera,
        window: Window | None = None,
        generator: torch.Generator | None = None,
        w: Float[Tensor, "b d"] | None = None,
        finish: bool = True,
    ) -> HeadRendering:
        """Render the whole image, or one window of it.

        Args:
            planes: from ``I2P``, with or without motion.
            camera: one per sample, focal length ``config.focal``.
            window: in raw pixels; the image then covers four times its side, ``window.crop(target, scale=4)``. Along the border of a
                window the super-resolution sees zeros in place of its neighbours.
            generator: jitters the samples along rays (training); None is deterministic.
            w: style of the super-resolution; None is all ones, as Real3D-Portrait trains it.
            finish: False leaves the super-resolution out: the image is then the raw one, enlarged.
        """
        volume = self.render_raw(planes, camera, window, generator)
        raw = volume.feature[:, :3]
        image = self.superres(raw, volume.feature, w) if finish else F.interpolate(raw, scale_factor=4.0, mode="bilinear")
        return HeadRendering(image, raw, volume.feature, volume.depth, volume.weights)

    def render_raw(
        self,
        planes: Float[Tensor, "b 3 c h w"],
        camera: Camera,
        window: Window | None = None,
        generator: torch.Generator | None = None,
    ) -> Rendering:
        """The volume rendering alone: feature image, depth and weights at ``config.raw_size`` or the window's size."""
        return self.volume(planes, camera, self.config.raw_size, window, generator)

    def prepare_for_inference(self) -> "HeadRenderer":
        """Eval mode with plain convolutions in place of modulated ones (exact); ``train()`` takes it back."""
        self.eval()
        self.superres.fold()
        return self
