"""Sizes of stage 1's networks, by name: image to plane, and the head renderer."""

from dataclasses import dataclass, field

from core.camera import EG3D_FOCAL, FIT_FOCAL
from core.nn.conv import Norm
from core.presets import from_preset
from core.render.volume import VolumeConfig


@dataclass(frozen=True)
class I2PConfig:
    """Every size of ``I2P`` (paper 3.1, Table 6; spec 4). The defaults are the paper's 87 M network."""

    image_size: int = 512
    """The input is resized to this square; planes have half its side. A multiple of 32."""
    head_frame: float = 0.0
    """0: the image as it is, as published. Otherwise the image is first aligned with the head by its camera and shows a world
    square of this side (``recon.alignment``), which spares a small network from learning to move pixels."""
    unturn: bool = False
    """With ``head_frame``: also turn the head to the front, as far as an average head's shape allows (``recon.alignment``)."""
    direct: bool = False
    """Give the aligned image straight to the layer that writes the planes, so that colours and detail need not pass through the whole
    network; ours, for small networks."""
    outline: bool = False
    """Give a channel that tells where the image is not empty along with the colours (``recon.alignment.with_outline``), so that dark hair
    and no head are two things and outlines need not be guessed; ours, for small networks."""
    both_sides: bool = False
    """At inference the planes are the mean of those of the image and, mirrored back, of the mirrored image; for planes with axes ``xyz``.
    Ours: twice the time, once per photograph."""
    plane_channels: int = 32
    """Channels of one plane."""
    resnet: str = "resnet34"
    """timm name of the residual encoder; empty for the light one of ``resnet_widths``."""
    resnet_widths: tuple[int, ...] = ()
    """Widths of the light residual encoder: stem, then stages."""
    norm: Norm = "group"
    """Normalisation in the light residual encoder (timm's has batch normalisation)."""
    plain_norm: Norm = "none"
    """Normalisation of the plain convolutions (none in the paper). Small networks trained from scratch at high rates need it: without
    it the biases grow until every head gets the same planes."""
    rates: tuple[int, ...] = (12, 24, 36)
    """Dilations of the atrous pyramid at one eighth of the image size."""
    encoder_channels: int = 256
    """Channels of the atrous pyramid."""
    dropout: float = 0.5
    """In the atrous pyramid, while training."""
    width: int = 1024
    """Token width of the low-resolution transformer."""
    heads: int = 4
    """Its attention heads."""
    blocks: int = 5
    """Its blocks, at 1/16 of the image size."""
    plane_width: int = 1024
    """Token width of the plane transformer."""
    plane_heads: int = 4
    """Its attention heads."""
    plane_blocks: int = 1
    """Its blocks, at 1/4 of the image size, keys and values at 1/8."""
    mlp_ratio: float = 2.0
    """Hidden over token width of both transformers."""
    lift_channels: tuple[int, int] = (128, 96)
    """Low-resolution features on their way up: inner and last convolution."""
    detail_channels: tuple[int, int] = (64, 96)
    """High-resolution encoder: first convolution and the five that follow."""
    fuse_channels: tuple[int, int] = (256, 128)
    """Convolutions that join both encoders, before and after the plane transformer."""

    def __post_init__(self) -> None:
        for name in ("resnet_widths", "rates", "lift_channels", "detail_channels", "fuse_channels"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # JSON knows lists only
        if self.image_size % 32:
            raise ValueError(f"image_size {self.image_size} is not a multiple of 32")

    @property
    def image_channels(self) -> int:
        """Colours, and the outline if there is one."""
        return 3 + self.outline

    @property
    def plane_size(self) -> int:
        """Side of a plane."""
        return self.image_size // 2

    @classmethod
    def preset(cls, name: str) -> "I2PConfig":
        """``debug``, ``tiny`` (``tiny_half``, ``tiny_double``), ``40M``, ``87M`` (= ``paper``) or ``200M``."""
        return from_preset(cls, I2P_PRESETS, name)


@dataclass(frozen=True)
class HeadRendererConfig:
    """Volume renderer and super-resolution (paper 3.1, B.1; spec 3). The defaults are the published model."""

    volume: VolumeConfig = field(default_factory=VolumeConfig)
    """Planes, decoder and samples."""
    raw_size: int = 128
    """Side of the raw rendering; the final image is four times as large."""
    channels: tuple[int, int] = (256, 128)
    """Channels of the two super-resolution blocks."""
    w_dim: int = 512
    """Width of the constant style vector of the super-resolution."""
    start_plain: bool = False
    """Let the super-resolution begin as bilinear upsampling of the raw image; for training from scratch."""
    clamp: float | None = None
    """Largest magnitude that a layer of the super-resolution gives; 256 in NVIDIA's weights, None for no limit."""
    focal: float = EG3D_FOCAL
    """Focal length in image sides that the weights are trained with; give it to ``Camera.from_pose``."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))
        if isinstance(self.volume, dict):  # as read back from JSON
            object.__setattr__(self, "volume", VolumeConfig(**self.volume))

    @property
    def image_size(self) -> int:
        """Side of the final image."""
        return 4 * self.raw_size

    @classmethod
    def preset(cls, name: str) -> "HeadRendererConfig":
        """``debug``, ``tiny`` or ``paper``."""
        return from_preset(cls, RENDERER_PRESETS, name)


_TINY = {
    "image_size": 192,
    "head_frame": 0.86,
    "unturn": True,
    "direct": True,
    "outline": True,
    "both_sides": True,
    "plane_channels": 16,
    "resnet": "",
    "resnet_widths": (48, 64, 128, 192),
    "plain_norm": "group",
    "rates": (2, 4, 6),
    "encoder_channels": 128,
    "dropout": 0.0,
    "width": 256,
    "heads": 4,
    "blocks": 3,
    "plane_width": 128,
    "plane_heads": 2,
    "lift_channels": (64, 48),
    "detail_channels": (32, 48),
    "fuse_channels": (64, 48),
}
I2P_PRESETS = {
    "debug": {
        "image_size": 32,
        "plane_channels": 8,
        "resnet": "",
        "resnet_widths": (8, 8, 8),
        "plain_norm": "group",
        "rates": (1,),
        "encoder_channels": 16,
        "dropout": 0.0,
        "width": 32,
        "heads": 2,
        "blocks": 1,
        "plane_width": 32,
        "plane_heads": 2,
        "lift_channels": (8, 8),
        "detail_channels": (8, 8),
        "fuse_channels": (16, 16),
    },
    "tiny_half": _TINY | {"width": 192, "plane_width": 96, "resnet_widths": (32, 48, 96, 128), "encoder_channels": 96},
    "tiny": _TINY,
    "tiny_double": _TINY | {"width": 384, "blocks": 4, "plane_width": 192, "encoder_channels": 160},
    "40M": {"width": 512, "blocks": 3, "plane_width": 512},
    "87M": {},
    "paper": {},
    "200M": {"blocks": 14, "plane_blocks": 4},
}
# Heads of the embedded people in the space of the planes, hair included; FIT_FOCAL cameras show +-0.32 or more around the face.
_HEAD = {"box": 0.86, "bound_centre": (0.0, 0.0, 0.03), "bound_radius": (0.41, 0.43, 0.37)}
_SCRATCH = {
    "activation": "silu",
    "sigma_bias": -1.5,
    "density_scale": 10.0,
    "scheme": "textbook",
    "floor": 0.003,
    "skip_below": 1e-2,
    "plane_axes": "xyz",
}
RENDERER_OF = {"debug": "debug", "tiny_half": "tiny", "tiny": "tiny", "tiny_double": "tiny"}
"""Renderer's preset for a preset of I2P; ``paper`` for all others."""
RENDERER_PRESETS = {
    "debug": {
        "volume": VolumeConfig(8, 16, 8, coarse=6, fine=6, **_SCRATCH, **_HEAD),
        "raw_size": 16,
        "channels": (16, 8),
        "w_dim": 8,
        "start_plain": True,
        "focal": FIT_FOCAL,
    },
    "tiny": {
        "volume": VolumeConfig(16, 32, 16, coarse=16, fine=16, quick=(16, 14), quick_shared=True, **_SCRATCH, **_HEAD),
        "channels": (16, 8),
        "w_dim": 16,
        "start_plain": True,
        "focal": FIT_FOCAL,
    },
    "paper": {},
}
