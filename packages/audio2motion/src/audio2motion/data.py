"""Clips of speech with motion as a LightningDataModule; a made corpus is written on first use."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from core.face.model import FaceModel
from jaxtyping import Float
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from audio2motion.config import Audio2MotionConfig
from audio2motion.corpus import INDEX, CorpusDataset, CorpusInfo, MotionClip, read_info, write_corpus
from audio2motion.features import encoder_for
from audio2motion.model import SQUEEZE, Controls
from audio2motion.mouth import MouthRig
from audio2motion.synthesis import SpeechDataset, SpeechOptions


@dataclass(frozen=True)
class SpeechBatch:
    """Controls and the motion that belongs to them, padded to one length."""

    controls: Controls
    exp: Float[Tensor, "b t 64"]

    def to(self, device: torch.device | str) -> "SpeechBatch":
        """The same batch on another device."""
        return SpeechBatch(self.controls.to(device), self.exp.to(device))


def collate_clips(clips: list[MotionClip]) -> SpeechBatch:
    """Pad to the longest, rounded up to whole latent frames; padding repeats nothing: zeros, unvoiced, mask 0."""
    frames = math.ceil(max(clip.exp.shape[0] for clip in clips) / SQUEEZE) * SQUEEZE
    batch = len(clips)
    audio = torch.zeros(batch, 2 * frames, clips[0].audio.shape[1])
    pitch, blink = torch.ones(batch, 2 * frames, dtype=torch.long), torch.zeros(batch, frames, dtype=torch.long)
    exp, mask = torch.zeros(batch, frames, 64), torch.zeros(batch, frames)
    for row, clip in enumerate(clips):
        count = clip.exp.shape[0]
        audio[row, : 2 * count], pitch[row, : 2 * count] = clip.audio, clip.pitch
        exp[row, :count], blink[row, :count], mask[row, :count] = clip.exp, clip.blink, 1.0
    amplitude = torch.tensor([clip.mouth_amplitude for clip in clips])
    return SpeechBatch(Controls(audio, pitch, blink, amplitude, mask), exp)


class RandomCrops(Dataset[MotionClip]):
    """Crops of ``frames`` motion frames; shorter clips stay whole. The place changes from epoch to epoch."""

    def __init__(self, clips: Dataset[MotionClip], frames: int) -> None:
        self.clips, self.frames = clips, frames

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> MotionClip:
        """A crop whose place is drawn from torch's global generator, which Lightning seeds for each worker."""
        clip = self.clips[index]
        room = clip.exp.shape[0] - self.frames
        return clip if room <= 0 else clip.crop(int(torch.randint(room + 1, ())), self.frames)


class FrameBudget(Sampler[list[int]]):
    """Batches of clips of similar length whose padded audio frames stay within a budget (spec 8.3); ranks get different batches.

    Every rank sees the same number of batches; needs ``trainer.use_distributed_sampler: false``.
    """

    def __init__(self, lengths: list[int], frames: int = 20_000, clips: int = 512, seed: int = 0, rank: int = 0, world: int = 1) -> None:
        self.lengths, self.frames, self.clips = np.asarray(lengths), frames, clips
        self.seed, self.rank, self.world, self.epoch = seed, rank, world, 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this at the start of an epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self._batches()) // self.world

    def __iter__(self) -> Iterator[list[int]]:
        batches = self._batches()
        order = np.random.default_rng([self.seed, self.epoch, 1]).permutation(len(batches))
        usable = len(batches) // self.world * self.world
        for index in order[:usable][self.rank :: self.world]:
            yield batches[index]

    def _batches(self) -> list[list[int]]:
        noise = np.random.default_rng([self.seed, self.epoch, 0]).uniform(0.9, 1.1, len(self.lengths))
        batches: list[list[int]] = [[]]
        longest = 0
        for index in np.argsort(self.lengths * noise, kind="stable"):
            longest = max(longest, 2 * int(self.lengths[index]))
            if batches[-1] and (longest * (len(batches[-1]) + 1) > self.frames or len(batches[-1]) >= self.clips):
                batches.append([])
                longest = 2 * int(self.lengths[index])
            batches[-1].append(int(index))
        return batches if batches[-1] else []


class Audio2MotionDataModule(LightningDataModule):
    """Training and validation clips from a corpus folder (`audio2motion.corpus`), real or made.

    The features must be those of the network's preset, the codes those of its face model.
    """

    def __init__(
        self,
        root: str,
        scale: str = "paper",
        made_clips: int = 0,
        made_val_clips: int = 64,
        speech: SpeechOptions = SpeechOptions(),  # noqa: B008 - frozen
        crop: int | None = None,
        batch_size: int = 32,
        frame_budget: int = 20_000,
        num_workers: int = 0,
        seed: int = 0,
        face_model: str = "embedded",
    ) -> None:
        """Options.

        Args:
            root: folder of the corpus.
            scale: preset of the network, for the kind of audio features.
            made_clips: synthesise so many training clips when ``root`` holds none; 0: a missing corpus is an error.
            made_val_clips: validation clips, besides.
            speech: variety of the made clips.
            crop: train on random crops of so many motion frames, ``batch_size`` at a time; None: on whole clips within ``frame_budget``.
            batch_size: crops per rank and step.
            frame_budget: padded audio frames per rank and step when ``crop`` is None.
            num_workers: loader processes.
            seed: of the made clips and of the order.
            face_model: whose codes are made: ``embedded`` or a folder with the files of BFM 2009.
        """
        super().__init__()
        self.root, self.scale = Path(root), scale
        self.made_clips, self.made_val_clips, self.speech = made_clips, made_val_clips, speech
        self.crop, self.batch_size, self.frame_budget = crop, batch_size, frame_budget
        self.num_workers, self.seed = num_workers, seed
        self.face_model = face_model

    def prepare_data(self) -> None:
        """Synthesise the corpus once per machine; one made by another recipe is made again.

        Raises:
            PortraitError: ``E_DATA`` when there is no corpus and none may be made.
        """
        if not self.made_clips:
            read_info(self.root)
            return
        face = FaceModel.load(self.face_model)
        info = self._made_info(face)
        if (self.root / INDEX).is_file() and read_info(self.root) == info:
            return
        total = self.made_clips + self.made_val_clips
        encoder = encoder_for(Audio2MotionConfig.preset(self.scale))
        clips = SpeechDataset(total, encoder, MouthRig(face), self.seed, self.speech)
        named = ((f"made{index:06d}", "train" if index < self.made_clips else "val", clips[index]) for index in range(total))
        write_corpus(self.root, info, named)

    def info(self) -> CorpusInfo:
        """What the corpus holds."""
        return read_info(self.root)

    def train_dataloader(self) -> DataLoader[SpeechBatch]:
        """Crops in random order, or whole clips within the budget."""
        clips = CorpusDataset(self.root, "train")
        if self.crop is not None:
            return self._loader(RandomCrops(clips, self.crop), batch_size=self.batch_size, shuffle=True, drop_last=True)
        lengths = [entry.frames for entry in clips.entries]
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)
        return self._loader(clips, batch_sampler=FrameBudget(lengths, self.frame_budget, seed=self.seed, rank=rank, world=world))

    def val_dataloader(self) -> DataLoader[SpeechBatch]:
        """Whole clips kept out of training."""
        return self._loader(CorpusDataset(self.root, "val"), batch_size=16, shuffle=False)

    test_dataloader = val_dataloader
    predict_dataloader = val_dataloader

    def _loader(self, clips: Dataset[MotionClip], **options: object) -> DataLoader[SpeechBatch]:
        return DataLoader(clips, collate_fn=collate_clips, num_workers=self.num_workers,
                          persistent_workers=self.num_workers > 0, **options)  # fmt: skip

    def _made_info(self, face: FaceModel) -> CorpusInfo:
        config = Audio2MotionConfig.preset(self.scale)
        recipe = {"clips": [self.made_clips, self.made_val_clips], "seed": self.seed, **asdict(self.speech)}
        return CorpusInfo(config.audio, config.audio_width, face.fingerprint, json.dumps(recipe))
