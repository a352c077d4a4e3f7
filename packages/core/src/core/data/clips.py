"""Clips of labelled people: what stages 1 to 3 learn from, read from a store on disk.

A store is a folder: ``store.json`` (face model, sizes, the list of clips) and ``clips/NAME.safetensors``. A clip is one person in several
groups of frames; the frames of a group share one expression and differ in camera, so views within a group are what stage 1 needs and a pair
across groups what stages 2 and 3 need. Frames of one take follow each other in time. Frame 0 is the source photograph itself.
``core.data.live`` has the same clips without a store.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from core.camera import Camera
from core.data.clip_codec import ClipFile, decode_depth, decode_picture
from core.data.clip_writer import ClipSource, write_store
from core.errors import PortraitError
from core.face.coeffs import FaceCoeffs
from core.face.model import FaceModel, pose_points, project

__all__ = ["ClipOrder", "ClipSource", "ClipStore", "Clips", "FrameBatch", "Pair", "PairBatch", "write_store"]

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
        gaze: yaw and pitch of the eyes in the head, radians; None where nobody measured it.
        depth: along the optical axis in 3DMM units at a quarter of the size, 0 where no head is; None where unknown.
        torso_keypoints: key points of the head that the torso does not lag behind; None: they are ``keypoints``.
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
    gaze: Float[Tensor, "b 2"] | None = None
    depth: Float[Tensor, "b 1 d d"] | None = None
    torso_keypoints: Float[Tensor, "b 68 3"] | None = None

    def __len__(self) -> int:
        return self.image.shape[0]

    def to(self, device: torch.device | str) -> "FrameBatch":
        """The same frames on another device."""
        return FrameBatch(*(_moved(getattr(self, field.name), device) for field in fields(self)))

    def landmarks(self, face: FaceModel) -> Float[Tensor, "b 468 3"]:
        """MediaPipe's 468 points as ``keypoints`` has the 68: projected from the coefficients.

        Args:
            face: the model that the coefficients belong to, on their device.
        """
        c = self.coeffs
        flat = project(pose_points(face.keypoints(c.id, c.exp, 468), c.euler, c.trans)) * 2 - 1
        return torch.nn.functional.pad(flat, (0, 1))

    @classmethod
    def cat(cls, parts: "Sequence[FrameBatch]") -> "FrameBatch":
        """Concatenate along the batch; what one part does not know the whole does not know, but the torso's key points are filled in."""

        def join(name: str) -> Tensor | FaceCoeffs | Camera | None:
            values = [getattr(part, name) for part in parts]
            if name == "torso_keypoints" and any(value is not None for value in values):
                values = [part.keypoints if value is None else value for part, value in zip(parts, values, strict=True)]
            if any(value is None for value in values):
                return None
            if isinstance(values[0], FaceCoeffs):
                return FaceCoeffs.cat(values)
            return Camera(torch.cat([v.label for v in values])) if isinstance(values[0], Camera) else torch.cat(values)

        return cls(*(join(field.name) for field in fields(cls)))


def _moved(value: "Tensor | FaceCoeffs | Camera | FrameBatch | None", device: torch.device | str) -> object:
    return None if value is None else value.to(device)


@dataclass(frozen=True)
class PairBatch:
    """Two frames per person, and the person's still layers.

    Attributes:
        source: what the networks see.
        target: what they shall produce.
        background: clean plate, [-1, 1].
        torso: inpainted torso of the source photograph, -1 where empty.
        person: number of the person within the store.
        before: the target one video frame earlier; None unless triples are asked for.
        after: one video frame later.
    """

    source: FrameBatch
    target: FrameBatch
    background: Float[Tensor, "b 3 s s"]
    torso: Float[Tensor, "b 3 s s"]
    person: Int[Tensor, " b"]
    before: FrameBatch | None = None
    after: FrameBatch | None = None

    def __len__(self) -> int:
        return self.person.shape[0]

    def to(self, device: torch.device | str) -> "PairBatch":
        """The same pairs on another device."""
        return PairBatch(*(_moved(getattr(self, field.name), device) for field in fields(self)))


Pair = PairBatch
"""One pair is a batch of one."""


@dataclass(frozen=True)
class ClipOrder:
    """How the frames of one clip belong together.

    Attributes:
        group: frames with one number share the expression and differ in camera.
        take: frames with one number belong to one recording.
        time: number of the video frame within the take.
    """

    group: Int[np.ndarray, " n"]
    take: Int[np.ndarray, " n"]
    time: Int[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.group)


@runtime_checkable
class Clips(Protocol):
    """People in frames, from a store or drawn meanwhile."""

    @property
    def image_size(self) -> int:
        """Side of the pictures."""

    @property
    def face_model(self) -> str:
        """Fingerprint of the face model that the coefficients belong to."""

    def indices(self, split: Split | None = None) -> list[int]:
        """Clips of one split, or all."""

    def order(self, clip: int) -> ClipOrder:
        """How the frames of one clip belong together."""

    def frame(self, clip: int, index: int, size: int | None = None) -> FrameBatch:
        """One frame as a batch of one, resized to ``size`` (default: as stored)."""

    def head(self, clip: int, index: int, size: int | None = None) -> tuple[Float[Tensor, "1 3 s s"], Float[Tensor, "1 1 s s"], Camera]:
        """Head over -1, its mask and the camera of one frame: all that stage 1 needs."""

    def still(self, clip: int, size: int | None = None) -> tuple[Float[Tensor, "1 3 s s"], Float[Tensor, "1 3 s s"]]:
        """Background and inpainted torso of one clip."""


def picture(image: UInt8[np.ndarray, "s s 3"]) -> Float[Tensor, "1 3 s s"]:
    """Bytes to [-1, 1]."""
    return rearrange(torch.from_numpy(image), "h w c -> 1 c h w").contiguous().float().mul_(1 / 127.5).sub_(1)


def one_hot(labels: UInt8[np.ndarray, "s s"]) -> Float[Tensor, "1 6 s s"]:
    """Segmentation labels to one plane per class."""
    return (torch.from_numpy(labels) == torch.arange(SEGMENTS, dtype=torch.uint8)[:, None, None]).float()[None]


def _mask(data: Tensor, size: int) -> Float[Tensor, "1 1 s s"]:
    return torch.from_numpy(decode_picture(data, size)).float()[None, None].mul_(1 / 255)


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
        """All that is small: ``LABELS``, and of ``MORE_LABELS`` what the store has."""
        return _labels(self.file(clip).path)

    def order(self, clip: int) -> ClipOrder:
        """How the frames of one clip belong together; in stores without times all are far apart."""
        label = self.labels(clip)
        group = label["group"].numpy()
        alone = np.arange(len(group)), np.zeros_like(group)
        take, time = (label[name].numpy() if name in label else rest for name, rest in zip(("take", "time"), alone, strict=True))
        return ClipOrder(group, take, time)

    def frame(self, clip: int, index: int, size: int | None = None) -> FrameBatch:
        """One frame as a batch of one, resized to ``size`` (default: as stored)."""
        size = size or self.image_size
        label, one = self.labels(clip), slice(index, index + 1)
        names = [f"{name}.{index}" for name in ("image", "labels")]
        image, segments, *depth = self.file(clip).read(*names, *([f"depth.{index}"] if label["has_depth"] else []))
        head, mask, camera = self.head(clip, index, size)
        return FrameBatch(
            image=picture(decode_picture(image, size)),
            head=head,
            head_mask=mask,
            segmap=one_hot(decode_picture(segments, size, nearest=True)),
            coeffs=FaceCoeffs(label["id"][None], label["exp"][one], label["euler"][one], label["trans"][one]),
            camera=camera,
            exp_before=label["exp_before"][one],
            exp_after=label["exp_after"][one],
            keypoints=label["keypoints"][one],
            gaze=label["gaze"][one] if "gaze" in label else None,
            depth=torch.from_numpy(decode_depth(depth[0], size // 4))[None, None] if depth else None,
            torso_keypoints=label["torso_keypoints"][one] if "torso_keypoints" in label else None,
        )

    def head(self, clip: int, index: int, size: int | None = None) -> tuple[Float[Tensor, "1 3 s s"], Float[Tensor, "1 1 s s"], Camera]:
        """Head over -1, its mask and the camera of one frame; nothing else is decoded."""
        head, mask = self.file(clip).read(f"head.{index}", f"mask.{index}")
        camera = Camera(self.labels(clip)["camera"][index : index + 1])
        size = size or self.image_size
        return picture(decode_picture(head, size)), _mask(mask, size), camera

    def still(self, clip: int, size: int | None = None) -> tuple[Float[Tensor, "1 3 s s"], Float[Tensor, "1 3 s s"]]:
        """Background and inpainted torso of one clip."""
        background, torso = self.file(clip).read("background", "torso")
        size = size or self.image_size
        return picture(decode_picture(background, size)), picture(decode_picture(torso, size))


LABELS = ("group", "id", "exp", "exp_before", "exp_after", "euler", "trans", "camera", "keypoints")
"""(n,) numbers of groups; (80,); (n, 64) three times; (n, 3) twice; (n, 25); (n, 68, 3)."""
MORE_LABELS = ("take", "time", "gaze", "torso_keypoints", "sound")
"""(n,) twice; (n, 2); (n, 68, 3); int16 samples at 16 kHz from the first frame on. Older stores have none of these, other clips not all."""


@lru_cache(maxsize=4096)
def _labels(path: Path) -> dict[str, Tensor]:
    file = ClipFile(path)
    known = file.names()
    names = (*LABELS, *(name for name in MORE_LABELS if name in known))
    return dict(zip(names, file.read(*names), strict=True)) | {"has_depth": torch.tensor("depth.0" in known)}
