"""Clips of speech with motion as a LightningDataModule; a made corpus is written on first use."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from core.errors import PortraitError
from core.face.model import FaceModel
from jaxtyping import Float, Int
from pytorch_lightning import LightningDataModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from audio2motion.batches import Bucket, SpeechBatches, by_length
from audio2motion.config import Audio2MotionConfig
from audio2motion.corpus import INDEX, CorpusDataset, CorpusInfo, MotionClip, read_info, write_corpus
from audio2motion.encoders import encoder_for
from audio2motion.model import SQUEEZE, Controls
from audio2motion.mouth import MouthRig
from audio2motion.rules import rules_fingerprint
from audio2motion.sync_expert import SyncExpertConfig
from audio2motion.synthesis import Speech, SpeechOptions
from audio2motion.viseme_classes import UNKNOWN


@dataclass(frozen=True)
class SpeechBatch:
    """Controls and the motion that belongs to them, padded to one length; ``viseme`` is `viseme_classes.UNKNOWN` where nobody knows."""

    controls: Controls
    exp: Float[Tensor, "b t 64"]
    viseme: Int[Tensor, "b t"]

    def to(self, device: torch.device | str) -> "SpeechBatch":
        """The same batch on another device."""
        return SpeechBatch(self.controls.to(device), self.exp.to(device), self.viseme.to(device))


def collate_clips(clips: list[MotionClip]) -> SpeechBatch:
    """Pad to the longest, rounded up to whole latent frames; padding repeats nothing: zeros, unvoiced, mask 0."""
    frames = math.ceil(max(clip.exp.shape[0] for clip in clips) / SQUEEZE) * SQUEEZE
    batch = len(clips)
    audio = torch.zeros(batch, 2 * frames, clips[0].audio.shape[1])
    pitch, blink = torch.ones(batch, 2 * frames, dtype=torch.long), torch.zeros(batch, frames, dtype=torch.long)
    exp, mask = torch.zeros(batch, frames, 64), torch.zeros(batch, frames)
    viseme = torch.full((batch, frames), UNKNOWN)
    for row, clip in enumerate(clips):
        count = clip.exp.shape[0]
        audio[row, : 2 * count], pitch[row, : 2 * count] = clip.audio, clip.pitch
        exp[row, :count], blink[row, :count], mask[row, :count] = clip.exp, clip.blink, 1.0
        if clip.viseme is not None:
            viseme[row, :count] = clip.viseme
    amplitude = torch.tensor([clip.mouth_amplitude for clip in clips])
    return SpeechBatch(Controls(audio, pitch, blink, amplitude, mask), exp, viseme)


class Draws(Dataset[MotionClip]):
    """Clips as `audio2motion.batches.SpeechBatches` asks for them: cropped to ``frames`` motion frames where they are longer.

    The place of a crop follows from seed, epoch and clip, whichever worker cuts it.
    """

    def __init__(self, clips: Dataset[MotionClip], frames: int, seed: int) -> None:
        self.clips, self.frames, self.seed = clips, frames, seed

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, drawn: tuple[int, int]) -> MotionClip:
        """The clip, or a part of it, for (clip, epoch)."""
        index, epoch = drawn
        clip = self.clips[index]
        room = clip.exp.shape[0] - self.frames
        return clip if room <= 0 else clip.crop(int(np.random.default_rng([self.seed, epoch, index]).integers(room + 1)), self.frames)


class Audio2MotionDataModule(LightningDataModule):
    """Training and validation clips from a corpus folder (`audio2motion.corpus`), real or made.

    Needs ``trainer.use_distributed_sampler: false``: every rank takes its own batches.

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
            root: folder of the corpus, or of several that were prepared in parts.
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
        clips = Speech(total, encoder, MouthRig(face), self.seed, self.speech)
        named = ((f"made{index:06d}", "train" if index < self.made_clips else "val", clips[index]) for index in range(total))
        write_corpus(self.root, info, named)

    def info(self) -> CorpusInfo:
        """What the corpus holds."""
        return read_info(self.root)

    def train_dataloader(self) -> DataLoader[SpeechBatch]:
        """Crops in random order, or whole clips within the budget; `audio2motion.batches` says which, also after a stop.

        Raises:
            PortraitError: ``E_DATA`` when there are too few clips.
        """
        clips = CorpusDataset(self.root, "train")
        if self.crop is not None:
            buckets = [Bucket(np.arange(len(clips)), self.batch_size, whole=True)]
        else:
            buckets = by_length([min(entry.frames, self.frame_budget // 2) for entry in clips.entries], self.frame_budget)
        batches = SpeechBatches(buckets, self.seed, self.trainer)
        return self._loader(Draws(clips, self.crop or self.frame_budget // 2, self.seed), batch_sampler=batches)

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
        recipe = {"clips": [self.made_clips, self.made_val_clips], "seed": self.seed, "rules": rules_fingerprint(), **asdict(self.speech)}
        return CorpusInfo(config.audio, config.audio_width, face.fingerprint, json.dumps(recipe), visemes=True)


def require_corpus(trainer: Trainer, config: Audio2MotionConfig | SyncExpertConfig, visemes: bool = False) -> None:
    """See that the corpus of a run holds what a network hears and moves.

    Raises:
        PortraitError: ``E_DATA`` when features or face model are others, or ``visemes`` are asked for and it tells none.
    """
    data = getattr(trainer, "datamodule", None)
    if not isinstance(data, Audio2MotionDataModule):
        return
    info = data.info()
    if visemes and not info.visemes:
        raise PortraitError("E_DATA", f"the corpus in {data.root} does not tell what is said", "Set model.weights.viseme=0, or make clips.")
    found, wanted = (info.audio, info.audio_width, info.face_model), (config.audio, config.audio_width, config.face_model)
    if found != wanted:
        raise PortraitError("E_DATA", f"the corpus holds (features, width, face model) {found}, the network needs {wanted}",
                            "Set scale and face_model of model and data alike, or prepare the corpus again.")  # fmt: skip
