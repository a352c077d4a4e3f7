"""Samples of stage 1: heads with one expression seen by several cameras."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from core.camera import Camera
from core.data.clips import Clips, Split
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import Dataset


@dataclass(frozen=True)
class HeadView:
    """Heads over -1 with their cameras.

    Attributes:
        head: in [-1, 1].
        head_mask: soft mask in [0, 1].
        camera: who looks.
        depth: along the optical axis in 3DMM units at a quarter of the size, 0 where no head is; None where unknown or not asked for.
    """

    head: Float[Tensor, "b 3 s s"]
    head_mask: Float[Tensor, "b 1 s s"]
    camera: Camera
    depth: Float[Tensor, "b 1 d d"] | None = None

    def to(self, device: torch.device | str) -> "HeadView":
        """The same views on another device."""
        depth = None if self.depth is None else self.depth.to(device)
        return HeadView(self.head.to(device), self.head_mask.to(device), self.camera.to(device), depth)

    def mirrored(self) -> "HeadView":
        """The views of the mirrored heads: picture and camera flipped left to right."""
        flip = torch.diag(torch.tensor([-1.0, 1.0, 1.0, 1.0])).to(self.camera.label)
        intrinsics = self.camera.label[:, 16:].clone()
        intrinsics[:, 2] = 1 - intrinsics[:, 2]
        label = torch.cat([(flip @ self.camera.cam2world @ flip).flatten(1), intrinsics], 1)
        return HeadView(self.head.flip(3), self.head_mask.flip(3), Camera(label), None if self.depth is None else self.depth.flip(3))

    @classmethod
    def cat(cls, parts: "Sequence[HeadView]") -> "HeadView":
        """Concatenate along the batch."""
        camera = Camera(torch.cat([part.camera.label for part in parts]))
        depths = [part.depth for part in parts if part.depth is not None]
        depth = torch.cat(depths) if len(depths) == len(parts) else None
        return cls(torch.cat([part.head for part in parts]), torch.cat([part.head_mask for part in parts]), camera, depth)


@dataclass(frozen=True)
class ViewBatch:
    """What stage 1 learns from.

    Attributes:
        source: what I2P sees.
        targets: what it looks like from elsewhere; each holds one view of every person.
        person: number of the person within the store.
    """

    source: HeadView
    targets: list[HeadView]
    person: Int[Tensor, " b"]

    def __len__(self) -> int:
        return len(self.person)

    def to(self, device: torch.device | str) -> "ViewBatch":
        """The same batch on another device."""
        return ViewBatch(self.source.to(device), [view.to(device) for view in self.targets], self.person.to(device))


class MultiViewTeacher(Dataset[ViewBatch]):
    """Made people as teachers: a source view and ``views`` other views of the same expression, drawn reproducibly; batches of one.

    The teacher that is a network is ``recon.teacher.EG3DTeacher``. Only heads and masks are drawn or decoded: they are all that stage 1
    learns from.
    """

    def __init__(
        self,
        clips: Clips,
        split: Split,
        size: int,
        views: int,
        draws_per_clip: int,
        seed: int,
        photo_share: float,
        mirror: bool,
        depth: bool = False,
    ) -> None:
        """Options.

        Args:
            clips: where from: a ``ClipStore``, or people that are drawn meanwhile (``core.data.live.LiveClips``).
            split: which people.
            size: image side.
            views: target views per sample.
            draws_per_clip: samples of every person in an epoch.
            seed: the same seed and index give the same sample.
            photo_share: how often the source is the photograph itself (frame 0).
            mirror: flip every other sample left to right.
            depth: give depths too, where the clips have them.
        """
        self.depth = depth
        self.clips, self.size, self.views, self.seed = clips, size, views, seed
        self.people, self.draws_per_clip = clips.indices(split), draws_per_clip
        self.photo_share, self.mirror = photo_share, mirror

    def __len__(self) -> int:
        return len(self.people) * self.draws_per_clip

    def __getitem__(self, index: int) -> ViewBatch:
        """One sample; epochs differ only in order, so ``draws_per_clip`` decides the variety."""
        rng = np.random.default_rng((self.seed, index))
        clip = self.people[index % len(self.people)]
        group = self.clips.order(clip).group
        source = 0 if rng.random() < self.photo_share else int(rng.choice(_seen_twice(group)))
        others = np.flatnonzero((group == group[source]) & (np.arange(len(group)) != source))
        others = others if len(others) else np.array([source])
        chosen = rng.choice(others, self.views, replace=len(others) < self.views)
        views = [self._view(clip, frame) for frame in (source, *map(int, chosen))]
        if self.mirror and rng.random() < 0.5:
            views = [view.mirrored() for view in views]
        return ViewBatch(views[0], views[1:], torch.tensor([clip]))

    def _view(self, clip: int, frame: int) -> HeadView:
        depth = self.clips.frame(clip, frame, self.size).depth if self.depth else None
        return HeadView(*self.clips.head(clip, frame, self.size), depth)


def _seen_twice(group: Int[np.ndarray, " n"]) -> Int[np.ndarray, " m"]:
    """Frames whose expression another camera sees too; all, if there are none."""
    shared = np.flatnonzero((group[:, None] == group).sum(1) > 1)
    return shared if len(shared) else np.arange(len(group))


def collate_views(samples: Sequence[ViewBatch]) -> ViewBatch:
    """Batch samples."""
    targets = zip(*(sample.targets for sample in samples), strict=True)
    return ViewBatch(
        HeadView.cat([sample.source for sample in samples]),
        [HeadView.cat(views) for views in targets],
        torch.cat([sample.person for sample in samples]),
    )
