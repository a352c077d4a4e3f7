"""An order of samples in which few people are wanted at a time, for people who are made meanwhile (``core.data.live``)."""

import numpy as np
from torch.utils.data import Dataset

from core.data.live import KEPT
from core.train.order import StepSampler


class BurstSampler(StepSampler):
    """Every rank has its own people in every epoch; ``KEPT`` of them take turns until all their samples are drawn, then the next ones.

    Otherwise as ``StepSampler``: seed and step decide, and a run that was stopped goes on with the next batch.

    Args:
        dataset: whose sample ``i`` shows person ``i % people``.
        batch_size: samples per rank and step.
        seed: of the permutations.
        trainer: tells step, rank and number of ranks; None: one rank, from the beginning.
        people: how many there are.

    Raises:
        ValueError: fewer people than ranks.
    """

    def __init__(self, dataset: Dataset, batch_size: int, seed: int, trainer: object, people: int) -> None:
        super().__init__(dataset, batch_size, seed, trainer)
        if people < self.num_replicas:
            raise ValueError(f"{people} people cannot be shared by {self.num_replicas} ranks")
        self.people = people
        self.draws = len(dataset) // people

    def __len__(self) -> int:
        return self.people // self.num_replicas * self.draws

    def _order(self) -> list[int]:
        rng = np.random.default_rng((self.seed, self.epoch))
        share = self.people // self.num_replicas
        own = rng.permutation(self.people)[: share * self.num_replicas].reshape(share, self.num_replicas)[:, self.rank]
        order = []
        for start in range(0, share, KEPT):
            some = own[start : start + KEPT, None] + self.people * np.arange(self.draws)
            order.extend(rng.permutation(some.ravel()).tolist())
        return order
