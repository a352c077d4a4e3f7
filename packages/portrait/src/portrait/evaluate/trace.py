"""One walk through a video: everything that is measured frame by frame, with memory for a few frames only."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from core.face.model import FaceModel
from core.metrics.backbones import Backbones
from core.metrics.csim import face_embeddings
from core.metrics.deep3d import regress
from core.metrics.edges import MouthSharpness, NeckSeamEnergy
from core.metrics.flicker import Flicker
from core.metrics.lpips import LPIPS
from core.metrics.pixels import L1, PSNR, SSIM
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric

from portrait.evaluate.footage import Frames, tracked

NETWORKS = ("lpips", "inception", "arcface", "syncnet", "deep3d")
"""Fields of ``Backbones`` that hold networks."""
CHUNK = 8
"""Frames that are measured together."""


@dataclass(frozen=True)
class Tools:
    """What scoring needs.

    Attributes:
        face: the face model that both videos are fitted with.
        backbones: foreign networks at hand, on ``device``.
        device: where frames are measured.
    """

    face: FaceModel
    backbones: Backbones
    device: torch.device

    @property
    def networks(self) -> str:
        """Which networks are at hand."""
        return " ".join(name for name in NETWORKS if getattr(self.backbones, name) is not None)

    @property
    def fingerprint(self) -> str:
        """What scores depend on beside the videos."""
        return f"{self.networks}; {self.face.fingerprint}"


@dataclass(frozen=True)
class Trace:
    """What one walk found.

    Attributes:
        points: MediaPipe's per frame, NaN where the face was lost.
        values: means over the frames, by the names of ``portrait.evaluate.measures``.
        embeddings: of ArcFace, if it is at hand.
        features: of Inception, if it is at hand.
        coefficients: of the paper's regressor (``core.metrics.deep3d``), if it is at hand.
    """

    points: Float[np.ndarray, "t 478 3"]
    values: dict[str, float]
    embeddings: Float[Tensor, "t 512"] | None
    features: Float[Tensor, "t d"] | None
    coefficients: Float[Tensor, "t 150"] | None = None

    def __len__(self) -> int:
        return len(self.points)


def to_tensor(frames: list[np.ndarray], device: torch.device) -> Float[Tensor, "t 3 s s"]:
    """uint8 RGB frames to [0, 1]."""
    return rearrange(torch.from_numpy(np.stack(frames)).to(device), "t h w c -> t c h w").float() / 255


@torch.no_grad()
def trace(
    frames: Frames,
    tools: Tools,
    target: Frames | None = None,
    mask: Float[Tensor, "1 1 s s"] | None = None,
    steady: Float[Tensor, "1 1 s s"] | None = None,
) -> Trace:
    """Measure a video, and its distance from the filmed one where there is one; the shorter of both ends the walk.

    Args:
        frames: squares.
        tools: face model and networks.
        target: what was filmed.
        mask: 1 where pixels of the target count; LPIPS sees both pictures black elsewhere.
        steady: 1 where pixels of the target count and never move.
    """
    nets = tools.backbones
    meters: dict[str, Metric] = {}
    if target is not None:
        meters |= {"l1": L1(), "psnr": PSNR(), "ssim": SSIM()} | ({"lpips": LPIPS(nets.lpips)} if nets.lpips else {})
        meters |= {} if steady is None else {"psnr_steady": PSNR()}
    edges: dict[str, Metric] = {"mouth_sharpness": MouthSharpness(), "neck_seam": NeckSeamEnergy()}
    flicker, before = Flicker().to(tools.device), None
    for meter in (*meters.values(), *edges.values()):
        meter.to(tools.device)
    all_points, embeddings, features, coefficients = [], [], [], []
    for pictures, points, wanted in _chunks(frames, target):
        image = to_tensor(pictures, tools.device)
        aim = to_tensor(wanted, tools.device) if wanted else image
        for name, meter in meters.items():
            if name == "lpips":
                meter.update(*((image, aim) if mask is None else (image * mask, aim * mask)))
            else:
                meter.update(image, aim, steady if name == "psnr_steady" else mask)
        for meter in edges.values():
            meter.update(image, points)
        window = image if before is None else torch.cat([before, image])
        flicker.update(window)
        before = window[-2:]
        all_points.append(points)
        if nets.arcface is not None:
            embeddings.append(face_embeddings(nets.arcface, image, points).cpu())
        if nets.inception is not None:
            features.append(nets.inception(image).cpu())
        if nets.deep3d is not None:
            coefficients.append(regress(nets.deep3d, image, points).cpu())
    values = {name: float(meter.compute()) for name, meter in (meters | edges | {"flicker": flicker}).items() if meter.update_called}
    joined = np.concatenate(all_points)
    values["lost"] = 100 * float(np.isnan(joined).any((1, 2)).mean())
    return Trace(joined, values, *(torch.cat(found) if found else None for found in (embeddings, features, coefficients)))


def _chunks(frames: Frames, target: Frames | None) -> Iterator[tuple[list[np.ndarray], Float[np.ndarray, "t 478 3"], list[np.ndarray]]]:
    """Pictures, points, wanted pictures (empty without a target)."""
    rows = ((picture, points, None) for picture, points in tracked(frames))
    if target is not None:
        rows = ((picture, points, wanted) for (picture, points, _), wanted in zip(rows, target, strict=False))
    while chunk := list(islice(rows, CHUNK)):
        pictures, points, wanted = zip(*chunk, strict=True)
        yield list(pictures), np.stack(points), [] if target is None else list(wanted)
