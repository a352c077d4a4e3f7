"""Sync-C and Sync-D (LSE-C, LSE-D of Prajwal et al. 2020): do the lips say what is heard? By SyncNet v2."""

from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from core.metrics.audio_offset import FRAME_MS, REACH
from core.metrics.mfcc import RATE, mfcc
from core.metrics.running_mean import RunningMean
from core.metrics.syncnet import SyncNet

SIDE = 224
SPAN = 5
"""Frames that SyncNet sees at once; it hears 20 vectors of 10 ms meanwhile, 4 per frame."""
MARGIN = 0.4
"""What is cut out around a face box, in sides of the box: so much at either side, twice so much below, nothing above."""
PAD = 110 / 255
_BATCH = 16


class Sync(NamedTuple):
    """Result of ``sync``."""

    confidence: float
    """Sync-C: median over shifts of the distance, less the smallest. Higher is better; real speech has about 7."""
    distance: float
    """Sync-D: the smallest distance over shifts. Lower is better; about 7 for real speech."""
    milliseconds: float
    """By how much the picture is late at that shift."""


def sync(seen: Float[Tensor, "t c"], heard: Float[Tensor, "t c"]) -> Sync:
    """Compare embeddings of picture and sound over all shifts of up to ``REACH`` frames either way; sound outside the clip is zero.

    Raises:
        ValueError: no embedding.
    """
    if not len(seen):
        raise ValueError("no embedding: the clip is shorter than five frames")
    shifted = F.pad(heard, (0, 0, REACH, REACH)).unfold(0, 2 * REACH + 1, 1)  # (t, c, shifts)
    distance = F.pairwise_distance(rearrange(seen, "t c -> t 1 c"), rearrange(shifted[: len(seen)], "t c s -> t s c")).mean(0)
    least = distance.argmin()
    return Sync(float(distance.median() - distance[least]), float(distance[least]), (REACH - int(least)) * FRAME_MS)


def face_boxes(points: Float[np.ndarray, "t n d"]) -> Float[np.ndarray, "t 3"]:
    """Centre (x, y) and half side of the face's box per frame, in [0, 1], smoothed by a median over 13 frames; lost frames are filled in.

    Raises:
        ValueError: no frame shows a face.
    """
    from scipy.signal import medfilt

    low, high = points[:, :468, :2].min(1), points[:, :468, :2].max(1)
    rows = np.column_stack([(low + high) / 2, (high - low).max(1) / 2])
    known = np.flatnonzero(np.isfinite(rows).all(1))
    if not len(known):
        raise ValueError("no frame shows a face")
    filled = np.column_stack([np.interp(np.arange(len(rows)), known, column) for column in rows[known].T])
    padded = np.pad(filled, ((6, 6), (0, 0)), mode="edge")
    return np.column_stack([medfilt(column, 13) for column in padded.T])[6:-6]


def speaking_faces(image: Float[Tensor, "t 3 s s"], boxes: Float[np.ndarray, "t 3"]) -> Float[Tensor, "t 3 224 224"]:
    """Faces as SyncNet was shown them: cut out, 224 x 224, channels blue, green, red, 0 to 255; grey outside the frame."""
    x, y, half = torch.from_numpy(boxes).to(image).unbind(1)
    ticks = (torch.arange(SIDE, device=image.device) + 0.5) / SIDE
    side = half[:, None] * 2 * (1 + MARGIN)
    columns, rows = x[:, None] - side / 2 + side * ticks, y[:, None] - half[:, None] + side * ticks
    grid = torch.stack(torch.broadcast_tensors(columns[:, None, :], rows[:, :, None]), -1) * 2 - 1
    return (F.grid_sample(image - PAD, grid, align_corners=False) + PAD).flip(1) * 255


@torch.no_grad()
def sync_embeddings(
    network: SyncNet, faces: Float[Tensor, "t 3 224 224"], samples: Float[np.ndarray, " n"]
) -> tuple[Float[Tensor, "k 1024"], Float[Tensor, "k 1024"]]:
    """Embeddings of picture and sound (16 kHz, in [-1, 1]) for every window of five frames that both have; none for shorter clips."""
    frames = min(len(faces), len(samples) * 25 // RATE)
    sound = torch.from_numpy(mfcc(samples).T).to(faces)
    starts = [k for k in range(max(0, frames - SPAN)) if 4 * (k + SPAN) <= sound.shape[1]]
    seen, heard = [faces.new_zeros(0, 1024)], [faces.new_zeros(0, 1024)]
    for first in range(0, len(starts), _BATCH):
        part = starts[first : first + _BATCH]
        seen.append(network.see(torch.stack([rearrange(faces[k : k + SPAN], "t c h w -> c t h w") for k in part])))
        heard.append(network.hear(torch.stack([sound[None, :, 4 * k : 4 * (k + SPAN)] for k in part])))
    return torch.cat(seen), torch.cat(heard)


class SyncC(RunningMean):
    """Mean over clips of the confidence."""

    higher_is_better = True

    def update(self, seen: Float[Tensor, "t c"], heard: Float[Tensor, "t c"]) -> None:
        """Take in one clip."""
        self.add(self.total.new_tensor([sync(seen, heard).confidence]))


class SyncD(RunningMean):
    """Mean over clips of the distance."""

    higher_is_better = False

    def update(self, seen: Float[Tensor, "t c"], heard: Float[Tensor, "t c"]) -> None:
        """Take in one clip."""
        self.add(self.total.new_tensor([sync(seen, heard).distance]))
