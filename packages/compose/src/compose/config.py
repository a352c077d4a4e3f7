"""Sizes and options of the head-torso-background super-resolution network."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from core.face.torso_points import Follows
from core.presets import from_preset


@dataclass(frozen=True)
class HTBSRConfig:
    """Every size of ``HTBSR`` (paper 3.3, B.3-B.5; spec 7). The defaults are the paper's network, 50.66 M parameters."""

    image_size: int = 512
    """Side of the torso, background and output images; four times ``raw_size``."""
    raw_size: int = 128
    """Side of the rendered feature image."""
    feature_channels: int = 32
    """Channels of the rendered feature image; the first three are raw RGB."""
    sr_channels: Sequence[int] = (256, 128)
    """Channels of the two super-resolution blocks; the first is also the width of the layers that are fused."""
    style_channels: int = 512
    """Width of the constant style of the super-resolution blocks; as in stage 2."""
    torso: Literal["v1", "v2"] = "v1"
    """``v2`` (released weights): the motion estimator also sees the rendered head, the appearance encoder the torso classes."""
    torso_size: int = 256
    """Side at which the torso branch works; its feature volume has a quarter of it."""
    appearance_channels: Sequence[int] = (64, 128, 256)
    """Channels of the appearance encoder before and after its two poolings."""
    appearance_blocks: int = 6
    """3-D residual blocks on the feature volume."""
    volume_channels: int = 32
    """Channels of the torso feature volume."""
    volume_depth: int = 16
    """Depth slices of the torso feature volume; few slices should be odd, so that one lies at z = 0 where the key points are."""
    keypoints: Sequence[int] = (0, 8, 16, 27)
    """Which of the 68 key points drive the torso: jaw ends, chin, bridge of the nose."""
    keypoint_source: Literal["face", "learned"] = "face"
    """``face``: those of the 3DMM (Eq. 9). ``learned``: as many that a network finds in the head by itself (``compose.keypoints``), an
    ablation; ``prepare`` then needs the photograph's head."""
    follows: Follows = "head"
    """Whose key points drive the torso: the head's (Eq. 9), or those of the photograph's face carried by the foot of its neck, so that
    shoulders hold still while the head turns (``core.face.torso_points``; ours)."""
    lm68_one_based: bool = False
    """The 68 key points of BFM 2009 carry the official code's off-by-one numbers (``core.face.bfm``), as its weights expect."""
    heatmap_variance: float = 0.01
    """Variance of the key-point heat maps, in coordinates [-1, 1]."""
    motion_channels: Sequence[int] = (64, 128, 256, 512, 1024)
    """Channels of the motion trunk on its way down; every level halves height and width. All but the last are also those of the network
    that finds key points."""
    motion_out: int = 32
    """Channels of the trunk's output, beside which its input is kept."""
    motion_kernel: int = 7
    """Side of the last convolutions of the motion estimator."""
    motion_gradient: float = 0.1
    """Factor on gradients that enter the motion estimator."""
    decoder_channels: Sequence[int] = (256, 128, 64)
    """Channels of the torso decoder at a quarter, half and all of ``torso_size``."""
    decoder_blocks: int = 6
    """Residual blocks of the torso decoder."""
    mask_channels: int = 32
    """Channels of the torso mask predictor."""
    background_channels: int = 64
    """First width of the background encoder."""
    fuse: Literal["v1", "v2", "concat"] = "v1"
    """``v1``: Eq. 5. ``v2``: head and torso pass a block of their own first. ``concat``: the ablation without masks."""
    fuse_channels: int = 64
    """Width of the 1x1 convolution that opens the fusion."""
    head_threshold: float = 0.9
    """Head mask above which a pixel belongs to the person entirely."""
    warp_skip: bool = False
    """The motion also warps the source torso image and its mask at ``image_size``; the decoder adds to them."""
    final_composite: bool = False
    """The layers are laid over each other at ``image_size``, so that torso and background keep their own sharpness;
    the super-resolution branch draws the head."""
    head_skip: bool = False
    """The photograph's own pixels, moved by ``look_back``, are laid over the drawn head where the network trusts them;
    needs ``final_composite``."""

    def __post_init__(self) -> None:
        for name in ("sr_channels", "appearance_channels", "keypoints", "motion_channels", "decoder_channels"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # JSON knows lists only
        levels = 2 ** len(self.motion_channels)
        if self.image_size != 4 * self.raw_size:
            raise ValueError(f"image_size {self.image_size} is not four times raw_size {self.raw_size}")
        if self.volume_size % levels:
            raise ValueError(f"torso_size {self.torso_size}: a quarter of it must be a multiple of {levels}")
        if self.fuse == "concat" and self.final_composite:
            raise ValueError("fuse='concat' has no masks to composite with: set final_composite=False")
        if self.head_skip and not self.final_composite:
            raise ValueError("head_skip lays the photograph over the head layer: set final_composite=True")

    @property
    def fusion_size(self) -> int:
        """Side at which the layers' features are fused."""
        return 2 * self.raw_size

    @property
    def volume_size(self) -> int:
        """Height and width of the torso feature volume."""
        return self.torso_size // 4

    @classmethod
    def preset(cls, name: str) -> "HTBSRConfig":
        """``debug``, ``tiny``, ``paper`` (v1/v1) or ``release`` (v2/v2, the layout of the published weights)."""
        return from_preset(cls, PRESETS, name)


_SMALL = {
    "follows": "neck",
    "motion_gradient": 1.0,
    "warp_skip": True,
    "final_composite": True,
    "head_skip": True,
}
PRESETS = {
    "debug": _SMALL
    | {
        "image_size": 64,
        "raw_size": 16,
        "feature_channels": 8,
        "sr_channels": (16, 8),
        "style_channels": 8,
        "torso_size": 32,
        "appearance_channels": (4, 8, 8),
        "appearance_blocks": 1,
        "volume_channels": 4,
        "volume_depth": 3,
        "motion_channels": (8, 8),
        "motion_out": 4,
        "motion_kernel": 3,
        "decoder_channels": (16, 8, 8),
        "decoder_blocks": 1,
        "mask_channels": 4,
        "background_channels": 4,
        "fuse_channels": 4,
    },
    "tiny": _SMALL
    | {
        "feature_channels": 16,
        "sr_channels": (16, 8),
        "style_channels": 16,
        "torso_size": 128,
        "appearance_channels": (16, 32, 64),
        "appearance_blocks": 3,
        "volume_channels": 8,
        "volume_depth": 3,
        "motion_channels": (16, 32, 64, 96),
        "motion_out": 8,
        "motion_kernel": 3,
        "decoder_channels": (64, 32, 16),
        "decoder_blocks": 3,
        "mask_channels": 8,
        "background_channels": 16,
        "fuse_channels": 16,
    },
    "paper": {},
    "release": {"torso": "v2", "fuse": "v2", "lm68_one_based": True},
}
