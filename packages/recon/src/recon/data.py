"""Data of stage 1 as a LightningDataModule."""

from typing import Any

import torch
from core.data.clips import ClipStore, Split
from core.train.data import ClipDataModule
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from recon.teacher import EG3DTeacher, Teacher, TeacherOptions
from recon.views import MultiViewTeacher, collate_views

HELD_BACK = 1024
"""Heads of a teacher that only validation sees; their numbers follow those of training."""


class HeadNumbers(Dataset[int]):
    """``count`` whole numbers from ``start``."""

    def __init__(self, start: int, count: int) -> None:
        self.numbers = range(start, start + count)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> int:
        return self.numbers[index]


class ReconDataModule(ClipDataModule):
    """Heads seen by several cameras: views of one expression from a clip store, or whatever a teacher makes meanwhile.

    With a teacher the loaders give numbers of heads, which ``on_after_batch_transfer`` turns into pictures on the training device.
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
        views: int = 1,
        photo_share: float = 0.3,
        mirror: bool = True,
        teacher: TeacherOptions = TeacherOptions(),  # noqa: B008 - frozen
        live: bool = False,
        relit: float = 0.0,
        toned: float = 0.0,
        aged: float = 0.0,
        gaze: float = 3.0,
    ) -> None:
        """Options.

        Args:
            root: folder of the store; with a teacher only its cameras are used, if there is one.
            people: when ``root`` holds no store, make one of so many training people, and a seventh of that for validation; 0: an error.
            photos: folder of portrait photographs to lift the people from; None: procedural people.
            frames: frames per made person.
            size: side of the images in pixels.
            batch_size: people per rank and step.
            pairs_per_clip: how many different draws of one person make an epoch.
            num_workers: loader processes.
            seed: of the made people and of the draws.
            views: target views per source; its planes are computed once.
            photo_share: how often the source is the photograph itself.
            mirror: flip every other training sample left to right.
            teacher: EG3D teacher; without a pickle there is none.
            live: draw the ``people`` in the loader's processes instead of reading a store; 0 people: all photographs.
            relit: share (0..1) of the training people made of photographs that get light from elsewhere; this and the following matter
                where people are made, in a new store or ``live``.
            toned: share of them that get skin of another tone.
            aged: share of them that look older or younger.
            gaze: standard deviation of the gaze of made people sideways, degrees; 0: as in their source view.
        """
        online = teacher.pickle is not None
        super().__init__(root, people, photos, frames, size, batch_size, pairs_per_clip, 0 if online else num_workers, seed,
                         live=live and not online, relit=relit, toned=toned, aged=aged, gaze=gaze)  # fmt: skip
        self.views, self.photo_share, self.mirror = views, photo_share, mirror
        self.collate = torch.tensor if online else collate_views
        self.teaching = teacher
        self.teacher: Teacher | None = None

    def prepare_data(self) -> None:
        """Make the people once per machine, unless there is a teacher."""
        if self.teaching.pickle is None:
            super().prepare_data()

    def setup(self, stage: str) -> None:
        """Read the teacher, if there is one.

        Raises:
            PortraitError: ``E_WEIGHTS`` when its pickle is absent (the message says where to get it) or is not EG3D's.
        """
        if self.teaching.pickle is not None and self.teacher is None:
            self.teacher = EG3DTeacher.from_pickle(self.teaching.pickle, self.teaching, self.seed, self._poses(), self.size)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Numbers of heads become heads."""
        if self.teacher is None:
            return batch
        training = self.trainer is None or self.trainer.training
        return self.teacher.views(batch, self.views if training else 1)

    def _poses(self) -> Float[Tensor, "n 25"] | None:
        """Cameras of the training clips."""
        if not (self.root / "store.json").is_file():
            return None
        store = ClipStore(self.root)
        return torch.cat([store.labels(clip)["camera"] for clip in store.indices("train")])

    def dataset(self, split: Split, pairs_per_clip: int) -> Dataset[Any]:
        """Training draws, or fixed unmirrored single views of the photographs for validation; with a teacher, numbers of heads."""
        if self.teaching.pickle is not None:
            heads = self.teaching.heads
            return HeadNumbers(0, heads) if split == "train" else HeadNumbers(heads, HELD_BACK)
        clips = self.clips()
        if split == "train":
            return MultiViewTeacher(clips, split, self.size, self.views, pairs_per_clip, self.seed, self.photo_share, self.mirror)
        return MultiViewTeacher(clips, split, self.size, 1, pairs_per_clip, self.seed, photo_share=1.0, mirror=False, depth=True)
