"""The order of the training samples as a function of seed and step, so that a run that was stopped goes on with the next batch."""

from collections.abc import Iterator

from pytorch_lightning import Trainer
from torch.utils.data import Dataset
from torch.utils.data.distributed import DistributedSampler

from core.train.effort import Effort


class StepSampler(DistributedSampler):
    """Every rank's own part of a permutation per epoch; starts behind the batches that ``trainer`` has done.

    Lightning restores its counters after a stop but begins a loader anew. Here the place follows from ``trainer.global_step``, which for
    the picture stages is the number of updates done, each of ``effort.accumulate`` batches. Being a ``DistributedSampler``, Lightning
    leaves it alone.

    Args:
        dataset: what is sampled.
        batch_size: samples per rank and step.
        seed: of the permutations.
        trainer: tells step, rank and number of ranks; None: one rank, from the beginning.
    """

    def __init__(self, dataset: Dataset, batch_size: int, seed: int, trainer: Trainer | None) -> None:
        rank, ranks = (trainer.global_rank, trainer.world_size) if trainer is not None else (0, 1)
        super().__init__(dataset, num_replicas=ranks, rank=rank, shuffle=True, seed=seed, drop_last=True)
        self.batch_size, self.trainer = batch_size, trainer

    def __iter__(self) -> Iterator[int]:
        """What is left of the epoch."""
        each = self._accumulate()
        epoch, done = divmod(self.trainer.global_step if self.trainer is not None else 0, max(self._batches() // each, 1))
        self.set_epoch(epoch)
        return iter(self._order()[done * each * self.batch_size :])

    def _order(self) -> list[int]:
        """All samples of this rank in ``self.epoch``."""
        return list(super().__iter__())

    def _accumulate(self) -> int:
        """Batches per update."""
        effort = None if self.trainer is None else getattr(self.trainer.lightning_module, "effort", None)
        return effort.accumulate if isinstance(effort, Effort) else 1

    def _batches(self) -> int:
        """Batches in an epoch of one rank."""
        whole = len(self) // self.batch_size
        limit = 1.0 if self.trainer is None else self.trainer.limit_train_batches
        return max(min(whole, limit) if isinstance(limit, int) else int(whole * limit), 1)
