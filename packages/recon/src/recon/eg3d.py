"""The EG3D generator (Chan et al. 2022; spec 6.1): random heads as tri-planes, the teacher of stage 1.

Written from the paper. Its super-resolution runs with ``w = ones`` like the student's, so the student can start from its decoder and
super-resolution; NVIDIA's public weights expect a real ``w`` there and need fine-tuning first (spec 3.4).
"""

import math
from dataclasses import dataclass, field

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
    renderer: HeadRendererConfig = field(default_factory=HeadRendererConfig)
    """Volume renderer and super-resolution; its ``volume.channels`` are the channels of a plane."""

    def __post_init__(self) -> None:
        if isinstance(self.renderer, dict):  # as read back from JSON
            object.__setattr__(self, "renderer", HeadRendererConfig(**self.renderer))
        if self.plane_size < 8 or self.plane_size & (self.plane_size - 1):
            raise ValueError(f"plane_size {self.plane_size} is not a power of two of at least 8")

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
        channels = [min(config.channel_base // 2**i, config.channel_max) for i in range(2, int(math.log2(config.plane_size)) + 1)]
        inputs = [0, *channels[:-1]]
        maps = 3 * config.renderer.volume.channels
        self.mapping = MappingNetwork(config.z_dim, 25, config.w_dim, config.mapping_layers)
        self.backbone = nn.ModuleList(SynthesisBlock(i, o, config.w_dim, maps) for i, o in zip(inputs, channels, strict=True))
        self.renderer = HeadRenderer(config.renderer)

    def planes(self, z: Float[Tensor, "b z"], condition: Camera, truncation: float = 1.0) -> Float[Tensor, "b 3 c p p"]:
        """Planes of random heads, ready to render (no flips).

        Args:
            z: standard normal.
            condition: camera that the mapping network is told of; the rendering camera may differ.
            truncation: below 1, heads closer to the average (0.7 when it teaches).
        """
        w = self.mapping(z, condition.label, truncation)
        x = image = None
        for block in self.backbone:
            layers = 2 if block.const is not None else 3
            x, image = block(x, image, w[:, None].expand(-1, layers, -1))
        return rearrange(image, "b (k c) h w -> b k c h w", k=3)

    def forward(
        self,
        z: Float[Tensor, "b z"],
        condition: Camera,
        camera: Camera,
        truncation: float = 1.0,
        window: Window | None = None,
        generator: torch.Generator | None = None,
    ) -> HeadRendering:
        """Render random heads; see ``planes`` and ``HeadRenderer.forward``."""
        return self.renderer(self.planes(z, condition, truncation), camera, window, generator)
