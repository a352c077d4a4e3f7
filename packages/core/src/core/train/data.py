"""Clips of labelled people as LightningDataModules; the people are made here when there are none yet."""

from pathlib import Path
from typing import Any

import numpy as np
from pytorch_lightning import LightningDataModule, Trainer
from torch.utils.data import DataLoader, Dataset

from core.data.clips import ClipSource, ClipStore, PairDataset, Split, collate_pairs, write_store
from core.errors import PortraitError
from core.face.model import FaceModel
from core.people.photos import find_photos
from core.people.procedural import SeedSource
from core.train.order import StepSampler


class ClipDataModule(LightningDataModule):
    """Training and validation pairs of frames from a clip store (``core.data.clips``), any two expressions (stages 2 and 3).

    Validation uses people that training never sees. Under DDP every rank has its own part of the pairs.
    """

    def __init__(
        self,
        root: str,
        people: int = 0,
        photos: str | None = None,
        frames: int = 12,
        size: int = 512,
        batch_size: int = 1,
        pairs_per_clip: int = 256,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        """Options.

        Args:
            root: folder of the store.
            people: when ``root`` holds no store, make one of so many training people, and a seventh of that for validation; 0: an error.
            photos: folder of portrait photographs to lift the people from; None: procedural people.
            frames: frames per made person.
            size: side of the images in pixels.
            batch_size: pairs per rank and step.
            pairs_per_clip: how many different pairs of frames of one person make an epoch.
            num_workers: loader processes.
            seed: of the made people and of the pairing.
        """
        super().__init__()
        self.root = Path(root)
        self.people, self.photos, self.frames, self.size = people, photos, frames, size
        self.batch_size, self.num_workers = batch_size, num_workers
        self.pairs_per_clip, self.seed = pairs_per_clip, seed

    def prepare_data(self) -> None:
        """Make the people once per machine; an interrupted making is taken up again.

        Raises:
            PortraitError: ``E_DATA`` when there is no store and none may be made.
        """
        unfinished = self.root / "unfinished"
        if (self.root / "store.json").is_file() and not unfinished.exists():
            return
        if not self.people:
            raise PortraitError("E_DATA", f"no store.json in {self.root}", "Set data.root to a clip store, or data.people to make one.")
        self.root.mkdir(parents=True, exist_ok=True)
        unfinished.touch()
        limits = {"train": self.people, "val": max(self.people // 7, 1)}
        write_store(self.root, self._sources(), self.frames, self.size, self.seed, limits=limits)
        unfinished.unlink()

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled pairs of the training people."""
        return self._loader("train", self.pairs_per_clip, shuffle=True)

    def val_dataloader(self) -> DataLoader[Any]:
        """Four fixed pairs of everyone who is kept out; the first batches show different people."""
        return self._loader("val", 4, shuffle=False)

    test_dataloader = val_dataloader
    predict_dataloader = val_dataloader

    def dataset(self, split: Split, pairs_per_clip: int) -> Dataset[Any]:
        """Samples of one split."""
        store = ClipStore(self.root)
        return PairDataset(store, split, self.size, False, self.seed, pairs_per_clip, self.photo_share)

    collate = staticmethod(collate_pairs)
    photo_share = 0.5
    """How often the source is the photograph itself rather than a rendered view."""

    def _sources(self) -> list[ClipSource]:
        if self.photos is None:
            return [SeedSource(self.seed + number) for number in range(10 + 2 * self.people)]
        photos = find_photos(self.photos)
        return [photos[index] for index in np.random.default_rng(self.seed).permutation(len(photos))]

    def _loader(self, split: Split, pairs_per_clip: int, shuffle: bool) -> DataLoader[Any]:
        dataset = self.dataset(split, pairs_per_clip)
        return DataLoader(
            dataset,
            self.batch_size,
            sampler=StepSampler(dataset, self.batch_size, self.seed, self.trainer) if shuffle else None,
            num_workers=self.num_workers,
            collate_fn=self.collate,
            drop_last=shuffle,
            persistent_workers=self.num_workers > 0,
        )


def require_clips(trainer: Trainer, face: FaceModel) -> None:
    """See that the clips of a run were fitted with ``face``; data of other kinds are not looked at.

    Raises:
        PortraitError: ``E_FACE_MODEL``.
    """
    data = getattr(trainer, "datamodule", None)
    if isinstance(data, ClipDataModule):
        face.require(ClipStore(data.root).face_model, f"the clips in {data.root}")
