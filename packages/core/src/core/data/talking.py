"""``TalkingClips``, from which stages 2 and 3 learn: two frames of one person, far apart, and the target's neighbours in time."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from core.data.clips import ClipOrder, Clips, FrameBatch, Pair, PairBatch, Split

APART = 50
"""Video frames between source and target of one take, or half of it if it is short (spec 9.2)."""


class TalkingClips(Dataset):
    """Pairs of frames of one person, drawn reproducibly: the same seed and index give the same pair.

    Args:
        clips: where from: a ``ClipStore``, or people that are drawn meanwhile (``core.data.live.LiveClips``).
        split: which people.
        size: image side; None: as stored.
        seed: of the draw.
        pairs_per_clip: how many different pairs each clip yields in one pass.
        photo_share: how often the source is frame 0, in made people the photograph itself, rather than another view.
        triples: also give the frames before and after the target; only frames that have both are targets.

    Raises:
        ValueError: triples of a clip that has none.
    """

    def __init__(
        self,
        clips: Clips,
        split: Split = "train",
        size: int | None = None,
        seed: int = 0,
        pairs_per_clip: int = 32,
        photo_share: float = 0.5,
        triples: bool = False,
    ) -> None:
        self.clips, self.people = clips, clips.indices(split)
        self.size = size or clips.image_size
        self.seed, self.pairs_per_clip = seed, pairs_per_clip
        self.photo_share, self.triples = photo_share, triples

    def __len__(self) -> int:
        return len(self.people) * self.pairs_per_clip

    def draw(self, index: int) -> tuple[int, int, int]:
        """(clip, source frame, target frame) of one index."""
        rng = np.random.default_rng((self.seed, index))
        clip = self.people[index % len(self.people)]
        order = self.clips.order(clip)
        source = 0 if rng.random() < self.photo_share else int(rng.integers(len(order)))
        targets = np.flatnonzero(far_from(order, source))
        if self.triples:
            before, after = neighbours(order)
            inner = np.flatnonzero((before >= 0) & (after >= 0))
            if not len(inner):
                raise ValueError(f"clip {clip} has no three consecutive frames: write it with triples, or set triples to false")
            targets = np.intersect1d(targets, inner) if np.isin(targets, inner).any() else inner
        return clip, source, int(rng.choice(targets)) if len(targets) else source

    def __getitem__(self, index: int) -> Pair:
        clip, source, target = self.draw(index)
        background, torso = self.clips.still(clip, self.size)
        frames = [source, target]
        if self.triples:
            frames += [int(side[target]) for side in neighbours(self.clips.order(clip))]
        first, second, *around = (self.clips.frame(clip, frame, self.size) for frame in frames)
        return PairBatch(first, second, background, torso, torch.tensor([clip]), *around)


def far_from(order: ClipOrder, frame: int) -> np.ndarray:
    """Which frames of a clip (n,) make a pair with ``frame``: those of other takes, and what is ``APART`` from it in its own."""
    own = order.take == order.take[frame]
    apart = np.abs(order.time - order.time[frame])
    longer = apart[own].max()
    return np.where(own, (apart >= min(APART, longer / 2)) & (apart > 0), True)


def neighbours(order: ClipOrder) -> tuple[np.ndarray, np.ndarray]:
    """For every frame of a clip the numbers (n,) of the frames one video frame before and after; -1 where there is none."""
    places = {key: number for number, key in enumerate(zip(order.take.tolist(), order.time.tolist(), strict=True))}
    before, after = (
        np.array([places.get((take, time + step), -1) for take, time in zip(order.take.tolist(), order.time.tolist(), strict=True)])
        for step in (-1, 1)
    )
    return before, after


def collate_pairs(pairs: Sequence[Pair]) -> PairBatch:
    """Batch pairs."""

    def around(name: str) -> FrameBatch | None:
        parts = [getattr(pair, name) for pair in pairs]
        return None if parts[0] is None else FrameBatch.cat(parts)

    return PairBatch(
        FrameBatch.cat([p.source for p in pairs]),
        FrameBatch.cat([p.target for p in pairs]),
        torch.cat([p.background for p in pairs]),
        torch.cat([p.torso for p in pairs]),
        torch.cat([p.person for p in pairs]),
        around("before"),
        around("after"),
    )
