"""Clips of labelled people on disk, and the pairs of frames that stages 1 to 3 learn from.

A store is a folder: ``store.json`` (face model, sizes, the list of clips) and ``clips/NAME.safetensors``. A clip is one person in several
groups of frames; the frames of a group share one expression and differ in camera, so a pair within a group is what stage 1 needs and a pair
across groups what stages 2 and 3 need. Frame 0 is the source photograph itself.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import Dataset

from core.camera import Camera
from core.data.clip_codec import ClipFile, decode_picture
from core.data.clip_writer import ClipSource, write_store
from core.errors import PortraitError
from core.face.coeffs import FaceCoeffs

__all__ = ["ClipSource", "ClipStore", "FrameBatch", "Pair", "PairBatch", "PairDataset", "collate_pairs", "write_store"]

Split = Literal["train", "val"]
SEGMENTS = 6


@dataclass(frozen=True)
class FrameBatch:
    """Frames with their labels; images in [-1, 1], -1 where empty.

    Attributes:
        image: the full composite.
        head: head only, over -1.
        head_mask: soft mask of the head in [0, 1].
        segmap: one-hot of 0 background, 1 hair, 2 neck and body skin, 3 face, 4 clothes, 5 other.
        coeffs: identity, expression, pose.
        camera: the same pose as a camera label.
        exp_before: expression one video frame earlier.
        exp_after: expression one video frame later.
        keypoints: 68 projected key points, x and y in [-1, 1], z = 0.
    """

    image: Float[Tensor, "b 3 s s"]
    head: Float[Tensor, "b 3 s s"]
    head_mask: Float[Tensor, "b 1 s s"]
    segmap: Float[Tensor, "b 6 s s"]
    coeffs: FaceCoeffs
    camera: Camera
    exp_before: Float[Tensor, "b 64"]
    exp_after: Float[Tensor, "b 64"]
    keypoints: Float[Tensor, "b 68 3"]

    def __len__(self) -> int:
        return self.image.shape[0]

    def to(self, device: torch.device | str) -> "FrameBatch":
        """The same frames on another device."""
        return FrameBatch(*(getattr(self, field.name).to(device) for field in fields(self)))

    @classmethod
    def cat(cls, parts: "Sequence[FrameBatch]") -> "FrameBatch":
        """Concatenate along the batch."""

        def join(name: str) -> Tensor | FaceCoeffs | Camera:
            values = [getattr(part, name) for part in parts]
            if isinstance(values[0], FaceCoeffs):
                return FaceCoeffs.cat(values)
            return Camera(torch.cat([v.label for v in values])) if isinstance(values[0], Camera) else torch.cat(values)

        return cls(*(join(field.name) for field in fields(cls)))


@dataclass(frozen=True)
class PairBatch:
    """Two frames per person, and the person's still layers.

    Attributes:
        source: what the networks see.
        target: what they shall produce.
        background: clean plate, [-1, 1].
        torso: inpainted torso of the source photograph, -1 where empty.
        person: number of the person within the store.
    """

    source: FrameBatch
    target: FrameBatch
    background: Float[Tensor, "b 3 s s"]
    torso: Float[Tensor, "b 3 s s"]
    person: Int[Tensor, " b"]

    def __len__(self) -> int:
        return self.person.shape[0]

    def to(self, device: torch.device | str) -> "PairBatch":
        """The same pairs on another device."""
        return PairBatch(*(getattr(self, field.name).to(device) for field in fields(self)))


Pair = PairBatch
"""One pair is a batch of one."""


def _picture(data: Tensor, size: int) -> Float[Tensor, "1 3 s s"]:
    image = torch.from_numpy(decode_picture(data, size))
    return rearrange(image, "h w c -> 1 c h w").contiguous().float().mul_(1 / 127.5).sub_(1)


class ClipStore:
    """A folder of clips.

    Args:
        folder: what ``write_store`` wrote.

    Raises:
        PortraitError: ``E_STORE`` if it is not a store.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        index = self.folder / "store.json"
        if not index.is_file():
            raise PortraitError("E_STORE", f"{folder} has no store.json", "Write a store: python -m core.people write --help.")
        self.info: dict = json.loads(index.read_text())
        self.clips: list[dict] = self.info["clips"]

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def image_size(self) -> int:
        """Side of the stored pictures."""
        return self.info["image_size"]

    @property
    def face_model(self) -> str:
        """Fingerprint of the face model that the coefficients belong to."""
        return self.info["face_model"]

    def indices(self, split: Split | None = None) -> list[int]:
        """Clips of one split, or all."""
        return [i for i, clip in enumerate(self.clips) if split is None or clip["split"] == split]

    def file(self, clip: int) -> ClipFile:
        """Reader of one clip."""
        return ClipFile(self.folder / "clips" / f"{self.clips[clip]['name']}.safetensors")

    def labels(self, clip: int) -> dict[str, Tensor]:
        """All that is small: group (n,), id (80,), exp, exp_before, exp_after (n, 64), euler, trans (n, 3), camera (n, 25), keypoints."""
        return _labels(self.file(clip).path)

    def frame(self, clip: int, index: int, size: int | None = None) -> FrameBatch:
        """One frame as a batch of one, resized to ``size`` (default: as stored)."""
        size = size or self.image_size
        image, head, mask, segments = self.file(clip).read(*(f"{name}.{index}" for name in ("image", "head", "mask", "labels")))
        label = self.labels(clip)
        one = slice(index, index + 1)
        soft = torch.from_numpy(decode_picture(mask, size)).float()[None, None].mul_(1 / 255)
        classes = torch.from_numpy(decode_picture(segments, size, nearest=True))
        return FrameBatch(
            image=_picture(image, size),
            head=_picture(head, size),
            head_mask=soft,
            segmap=(classes == torch.arange(SEGMENTS, dtype=torch.uint8)[:, None, None]).float()[None],
            coeffs=FaceCoeffs(label["id"][None], label["exp"][one], label["euler"][one], label["trans"][one]),
            camera=Camera(label["camera"][one]),
            exp_before=label["exp_before"][one],
            exp_after=label["exp_after"][one],
            keypoints=label["keypoints"][one],
        )

    def still(self, clip: int, size: int | None = None) -> tuple[Float[Tensor, "1 3 s s"], Float[Tensor, "1 3 s s"]]:
        """Background and inpainted torso of one clip."""
        background, torso = self.file(clip).read("background", "torso")
        size = size or self.image_size
        return _picture(background, size), _picture(torso, size)


@lru_cache(maxsize=4096)
def _labels(path: Path) -> dict[str, Tensor]:
    names = ("group", "id", "exp", "exp_before", "exp_after", "euler", "trans", "camera", "keypoints")
    return dict(zip(names, ClipFile(path).read(*names), strict=True))


class PairDataset(Dataset):
    """Pairs of frames of one person, drawn reproducibly: the same seed and index give the same pair.

    Args:
        store: where from.
        split: which people.
        size: image side.
        same_expression: both frames of a pair share the expression (stage 1); otherwise any two frames (stages 2 and 3).
        seed: of the draw.
        pairs_per_clip: how many different pairs each clip yields in one pass.
        photo_share: how often the source is the photograph itself rather than a rendered view.
    """

    def __init__(
        self,
        store: ClipStore,
        split: Split = "train",
        size: int | None = None,
        same_expression: bool = False,
        seed: int = 0,
        pairs_per_clip: int = 32,
        photo_share: float = 0.5,
    ) -> None:
        self.store = store
        self.clips = store.indices(split)
        self.size = size or store.image_size
        self.same_expression = same_expression
        self.seed = seed
        self.pairs_per_clip = pairs_per_clip
        self.photo_share = photo_share

    def __len__(self) -> int:
        return len(self.clips) * self.pairs_per_clip

    def draw(self, index: int) -> tuple[int, int, int]:
        """(clip, source frame, target frame) of one index."""
        rng = np.random.default_rng((self.seed, index))
        clip = self.clips[index % len(self.clips)]
        group = self.store.labels(clip)["group"].numpy()
        source = 0 if rng.random() < self.photo_share else int(rng.integers(len(group)))
        others = np.flatnonzero((np.arange(len(group)) != source) & ((group == group[source]) if self.same_expression else True))
        return clip, source, int(rng.choice(others)) if len(others) else source

    def __getitem__(self, index: int) -> Pair:
        clip, source, target = self.draw(index)
        background, torso = self.store.still(clip, self.size)
        frames = (self.store.frame(clip, i, self.size) for i in (source, target))
        return PairBatch(*frames, background, torso, torch.tensor([clip]))


def collate_pairs(pairs: Sequence[Pair]) -> PairBatch:
    """Batch pairs."""
    return PairBatch(
        FrameBatch.cat([p.source for p in pairs]),
        FrameBatch.cat([p.target for p in pairs]),
        torch.cat([p.background for p in pairs]),
        torch.cat([p.torso for p in pairs]),
        torch.cat([p.person for p in pairs]),
    )
