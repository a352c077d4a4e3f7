"""Clips of labelled people as LightningDataModules; the people are made here when there are none yet, or while training goes on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pytorch_lightning import LightningDataModule, Trainer
from torch.utils.data import DataLoader, Dataset

from core.data.clip_writer import limited
from core.data.clips import Clips, ClipSource, Split, write_store
from core.data.live import LiveClips
from core.data.plan import PlanOptions
from core.data.shards import is_sharded, open_store
from core.data.talking import TalkingClips, collate_pairs
from core.errors import PortraitError
from core.face.model import FaceModel
from core.people.photos import find_photos
from core.people.procedural import SeedSource
from core.train.bursts import BurstSampler
from core.train.order import StepSampler


class ClipDataModule(LightningDataModule):
    """Training and validation pairs of frames (``core.data.talking.TalkingClips``) of a clip store, or of people drawn meanwhile.

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
        triples: bool = False,
        live: bool = False,
        torso_delay: float = 0.0,
        relit: float = 0.0,
        toned: float = 0.0,
        aged: float = 0.0,
        gaze: float = PlanOptions.gaze,
    ) -> None:
        """Options.

        Args:
            root: folder of the store, or of its shards, or their address in object storage (``s3://...``); not looked at with ``live``.
            people: when ``root`` holds no store, make one of so many training people, and a seventh of that for validation; 0: an error.
            photos: folder of portrait photographs (or a pack of them) to lift the people from; None: procedural people.
            frames: stills per made person.
            size: side of the images in pixels.
            batch_size: pairs per rank and step.
            pairs_per_clip: how many different pairs of frames of one person make an epoch.
            num_workers: loader processes.
            seed: of the made people and of the pairing.
            triples: also give the frames just before and after the target; made people get four triples each.
            live: draw the ``people`` in the loader's processes instead of reading a store; 0 people: all photographs.
            torso_delay: seconds by which the torso of made triples lags behind the head (``core.data.plan.PlanOptions``).
            relit: share (0..1) of the training people made of photographs that get light from elsewhere; this and the following matter
                where people are made, in a new store or ``live``.
            toned: share of them that get skin of another tone.
            aged: share of them that look older or younger.
            gaze: standard deviation of the gaze of made people sideways, degrees; 0: as in their source view.
        """
        super().__init__()
        self.address, self.root = root, Path(root)
        self.people, self.photos, self.frames, self.size = people, photos, frames, size
        self.batch_size, self.num_workers = batch_size, num_workers
        self.pairs_per_clip, self.seed = pairs_per_clip, seed
        self.triples, self.live = triples, live
        self.shares = {"relit": relit, "toned": toned, "aged": aged}
        self.options = PlanOptions(frames, triples=4 if triples else 0, gaze=gaze, torso_delay=torso_delay)

    def prepare_data(self) -> None:
        """Make the people once per machine; an interrupted making is taken up again.

        Raises:
            PortraitError: ``E_DATA`` when there is no store and none may be made.
        """
        if self.live or is_sharded(self.address):
            return
        unfinished = self.root / "unfinished"
        if (self.root / "store.json").is_file() and not unfinished.exists():
            return
        if not self.people:
            raise PortraitError("E_DATA", f"no store.json in {self.root}", "Set data.root to a clip store, or data.people to make one.")
        self.root.mkdir(parents=True, exist_ok=True)
        unfinished.touch()
        write_store(self.root, self._sources(), self.options, self.size, self.seed, limits=self._limits)
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
        return TalkingClips(self.clips(), split, self.size, self.seed, pairs_per_clip, self.photo_share, self.triples)

    def clips(self) -> Clips:
        """The store, or the people who are drawn meanwhile.

        Raises:
            PortraitError: ``E_DATA`` when procedural people shall be drawn and their number is not given; ``E_STORE``, ``E_NO_PHOTOS``.
        """
        if not self.live:
            return open_store(self.address)
        if not self.people and self.photos is None:
            raise PortraitError("E_DATA", "data.live without people", "Set data.people to how many, or data.photos to a folder.")
        return LiveClips(limited(self._sources(), self._limits if self.people else None), self.size, self.options, self.seed)

    @property
    def _limits(self) -> dict[str, int]:
        return {"train": self.people, "val": max(self.people // 7, 1)}

    collate = staticmethod(collate_pairs)
    photo_share = 0.5
    """How often the source is the photograph itself rather than a rendered view."""

    def _sources(self) -> list[ClipSource]:
        if self.photos is None:
            return [SeedSource(self.seed + number) for number in range(10 + 2 * self.people)]
        photos = [replace(photo, **self.shares) for photo in find_photos(self.photos)]
        return [photos[index] for index in np.random.default_rng(self.seed).permutation(len(photos))]

    def _loader(self, split: Split, pairs_per_clip: int, shuffle: bool) -> DataLoader[Any]:
        dataset = self.dataset(split, pairs_per_clip)
        live = self.live and self.num_workers > 0
        return DataLoader(
            dataset,
            self.batch_size,
            sampler=self._sampler(dataset, pairs_per_clip) if shuffle else None,
            num_workers=self.num_workers,
            collate_fn=self.collate,
            drop_last=shuffle,
            persistent_workers=self.num_workers > 0,
            # forked processes inherit locks of the detectors' and OpenMP's threads, and wait for them for ever
            multiprocessing_context="spawn" if live else None,
        )

    def _sampler(self, dataset: Dataset[Any], pairs_per_clip: int) -> StepSampler:
        if self.live:
            return BurstSampler(dataset, self.batch_size, self.seed, self.trainer, len(dataset) // pairs_per_clip)
        return StepSampler(dataset, self.batch_size, self.seed, self.trainer)


def require_clips(trainer: Trainer, face: FaceModel) -> None:
    """See that the clips of a run were fitted with ``face``; data of other kinds are not looked at.

    Raises:
        PortraitError: ``E_FACE_MODEL``.
    """
    data = getattr(trainer, "datamodule", None)
    if isinstance(data, ClipDataModule):
        face.require(data.clips().face_model, "the made people" if data.live else f"the clips in {data.root}")
