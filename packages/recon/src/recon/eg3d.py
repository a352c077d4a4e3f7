"""The EG3D generator (Chan et al. 2022; spec 6.1): random heads as tri-planes, the teacher of stage 1.

Written from the paper. With ``sr_w: ones`` its super-resolution runs with a constant style like the student's, so the student can start
from its decoder and super-resolution. NVIDIA's public weights expect the latent's own style there: ``sr_w: latent`` (spec 3.4).
``recon.eg3d_pickle`` reads them.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from core.camera import Camera, Window
from core.hub import Pretrained
from core.nn.stylegan import MappingNetwork, SynthesisBlock
from core.presets import from_preset
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from recon.config import HeadRendererConfig
from recon.renderer import HeadRenderer, HeadRendering


@dataclass(frozen=True)
class EG3DConfig:
    """Sizes of ``EG3DGenerator``; the defaults are the published model, 30.66 M parameters."""

    z_dim: int = 512
    """Width of the latent."""
    w_dim: int = 512
    """Width of the intermediate latent."""
    mapping_layers: int = 2
    """Layers from z and camera to w."""
    plane_size: int = 256
    """Side of a plane; a power of two."""
    channel_base: int = 32768
    """Channels at side ``s`` are ``channel_base / s``, at most ``channel_max``."""
    channel_max: int = 512
    """Largest number of channels."""
    clamp: float | None = 256.0
    """Largest magnitude that a layer of the backbone gives; None for no limit."""
    condition_scale: float = 1.0
    """Factor on the camera that the mapping network is told of; 0 for weights trained without pose conditioning."""
    sr_w: Literal["ones", "latent"] = "ones"
    """Style of the super-resolution: all ones, as the student's, or the latent's ``w``, as in NVIDIA's weights."""
    renderer: HeadRendererConfig = field(default_factory=HeadRendererConfig)
    """Volume renderer and super-resolution; its ``volume.channels`` are the channels of a plane."""

    def __post_init__(self) -> None:
        if isinstance(self.renderer, dict):  # as read back from JSON
            object.__setattr__(self, "renderer", HeadRendererConfig(**self.renderer))
        if self.plane_size < 8 or self.plane_size & (self.plane_size - 1):
            raise ValueError(f"plane_size {self.plane_size} is not a power of two of at least 8")
        if self.sr_w == "latent" and self.w_dim != self.renderer.w_dim:
            raise ValueError(f"sr_w: latent needs renderer.w_dim {self.renderer.w_dim} to be w_dim {self.w_dim}")

    @property
    def block_channels(self) -> list[int]:
        """Channels of the backbone's blocks, from side 4 to ``plane_size``."""
        return [min(self.channel_base // 2**i, self.channel_max) for i in range(2, int(math.log2(self.plane_size)) + 1)]

    @classmethod
    def preset(cls, name: str) -> "EG3DConfig":
        """``debug`` or ``paper``."""
        return from_preset(cls, PRESETS, name)


PRESETS = {
    "debug": {
        "z_dim": 16,
        "w_dim": 16,
        "plane_size": 16,
        "channel_base": 256,
        "channel_max": 16,
        "renderer": HeadRendererConfig.preset("debug"),
    },
    "paper": {},
}


class EG3DGenerator(nn.Module, Pretrained):
    """Latent and conditioning camera to planes; planes and camera to an image."""

    def __init__(self, config: EG3DConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.block_channels
        maps = 3 * config.renderer.volume.channels
        self.mapping = MappingNetwork(config.z_dim, 25, config.w_dim, config.mapping_layers)
        self.backbone = nn.ModuleList(
            SynthesisBlock(i, o, config.w_dim, maps, clamp=config.clamp) for i, o in zip([0, *channels[:-1]], channels, strict=True)
        )
        self.renderer = HeadRenderer(config.renderer)

    def style(self, z: Float[Tensor, "b z"], condition: Camera, truncation: float = 1.0) -> Float[Tensor, "b w"]:
        """The intermediate latent of random heads.

        Args:
            z: standard normal.
            condition: camera that the mapping network is told of; the rendering camera may differ.
            truncation: below 1, heads closer to the average (0.7 when it teaches).
        """
        return self.mapping(z, condition.label * self.config.condition_scale, truncation)

    def planes(self, w: Float[Tensor, "b w"]) -> Float[Tensor, "b 3 c p p"]:
        """Planes of heads by their ``style``, ready to render (no flips)."""
        x = image = None
        for block in self.backbone:
            layers = 2 if block.const is not None else 3
            x, image = block(x, image, w[:, None].expand(-1, layers, -1))
        return rearrange(image, "b (k c) h w -> b k c h w", k=3)

    def render(
        self,
        planes: Float[Tensor, "b 3 c p p"],
        w: Float[Tensor, "b w"],
        camera: Camera,
        window: Window | None = None,
        generator: torch.Generator | None = None,
    ) -> HeadRendering:
        """Planes and style to an image; see ``HeadRenderer.forward``. One set of planes serves many cameras."""
        return self.renderer(planes, camera, window, generator, w if self.config.sr_w == "latent" else None)

    def forward(self, z: Float[Tensor, "b z"], condition: Camera, camera: Camera, truncation: float = 1.0) -> HeadRendering:
        """Render random heads without noise and jitter; see ``style`` and ``render``."""
        w = self.style(z, condition, truncation)
        return self.render(self.planes(w), w, camera)
