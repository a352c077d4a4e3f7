"""Which clips make a batch: of similar length, every rank its own, and after a stop the next ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from core.errors import PortraitError
from pytorch_lightning import Trainer
from torch.utils.data import Sampler

from audio2motion.model import SQUEEZE

GROWTH = 1.1
"""Ratio of the longest to the shortest clip that may share a batch: so much of a batch is padding, at most."""


@dataclass(frozen=True)
class Bucket:
    """Clips that may share a batch.

    Attributes:
        clips: their numbers.
        size: of a batch.
        whole: leave out what does not fill a batch.
    """

    clips: np.ndarray
    size: int
    whole: bool = False

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.clips) // self.size if self.whole else -(-len(self.clips) // self.size)

    def batches(self, rng: np.random.Generator) -> list[list[int]]:
        """Other neighbours every time, the same number of batches always."""
        order = rng.permutation(self.clips).tolist()
        return [order[self.size * index : self.size * (index + 1)] for index in range(len(self))]


def by_length(lengths: Sequence[int], frames: int = 20_000, clips: int = 512) -> list[Bucket]:
    """Buckets of whole clips whose batches, padded, stay within ``frames`` audio frames and ``clips`` clips (spec 8.3).

    A clip that is too long by itself gets a batch of its own.
    """
    number = np.ceil(np.log(np.maximum(lengths, 1)) / np.log(GROWTH) - 1e-9).astype(int)
    buckets = []
    for index in np.unique(number):
        members = np.flatnonzero(number == index)
        longest = -(-max(lengths[member] for member in members) // SQUEEZE) * SQUEEZE
        buckets.append(Bucket(members, max(1, min(clips, frames // (2 * longest)))))
    return buckets


class SpeechBatches(Sampler[list[tuple[int, int]]]):
    """Batches of (clip, epoch) in an order that follows from seed, step and rank only.

    Lightning restores its counters after a stop but begins a loader anew, and does not tell batch samplers the epoch. Both follow here from
    ``trainer.global_step``: a run that was stopped goes on with the next batch. All ranks see the same number of batches; needs
    ``trainer.use_distributed_sampler: false``.

    Args:
        buckets: clips that may share a batch.
        seed: of the order.
        trainer: tells step, rank and number of ranks; None: one rank, from the beginning.

    Raises:
        PortraitError: ``E_DATA`` when there is not one batch for every rank.
    """

    def __init__(self, buckets: list[Bucket], seed: int = 0, trainer: Trainer | None = None) -> None:
        self.buckets, self.seed, self.trainer = buckets, seed, trainer
        self.rank, self.ranks = (trainer.global_rank, trainer.world_size) if trainer is not None else (0, 1)
        if len(self) == 0:
            clips = sum(len(bucket.clips) for bucket in buckets)
            raise PortraitError("E_DATA", f"{clips} training clips are not one batch for each of {self.ranks} ranks",
                                "Add clips, or lower data.batch_size or data.frame_budget.")  # fmt: skip

    def __len__(self) -> int:
        """Batches of a rank in a whole epoch."""
        return sum(map(len, self.buckets)) // self.ranks

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        """What is left of the epoch."""
        epoch, done = self._place()
        rng = np.random.default_rng([self.seed, epoch])
        batches = [batch for bucket in self.buckets for batch in bucket.batches(rng)]
        order = rng.permutation(len(batches))[: len(self) * self.ranks]
        for index in order[self.rank :: self.ranks][done:]:
            yield [(clip, epoch) for clip in batches[index]]

    def _place(self) -> tuple[int, int]:
        """Epoch, and batches of it that are done."""
        if self.trainer is None:
            return 0, 0
        limit, whole = self.trainer.limit_train_batches, len(self)
        batches = max(min(whole, limit) if isinstance(limit, int) else int(whole * limit), 1)
        together = self.trainer.accumulate_grad_batches
        epoch, steps = divmod(self.trainer.global_step, -(-batches // together))
        return epoch, steps * together
