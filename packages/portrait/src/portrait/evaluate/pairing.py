"""Which photograph is driven by what: the three protocols of the paper (section 4 and appendix D.1)."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import dist
from pathlib import Path

from core.errors import PortraitError

PROTOCOLS = ("same-identity", "cross-identity", "audio-driven")
VIDEOS = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
SOUNDS = (".wav", ".mp3", ".flac", ".ogg", ".m4a", ".opus")
NEAREST = 10
"""Videos with the nearest first pose that head motion is drawn from, as published; a tenth of them where there are fewer than 100."""

Pose = tuple[float, float, float]
"""Pitch, yaw and roll in radians."""


@dataclass(frozen=True)
class Pair:
    """One clip to be made.

    Attributes:
        name: of the result's file, without ending.
        source: photograph, or a video whose first frame it is.
        video: whose expression and head motion drive it.
        audio: what drives it instead: sound, or a video of whose sound only is used.
        pose: with ``audio``, a video whose head motion is used; None keeps the head still.
        mask: picture of the video's frame that is white where pixels count; None: everywhere.
        same: the video shows what the result should look like.
    """

    name: str
    source: Path
    video: Path | None = None
    audio: Path | None = None
    pose: Path | None = None
    mask: Path | None = None
    same: bool = False

    @property
    def sounding(self) -> Path:
        """The file whose sound belongs to the clip."""
        return self.audio or self.video or self.source


def find_files(folder: Path, subfolder: str, endings: Sequence[str]) -> list[Path]:
    """Files of a kind in ``folder/subfolder``, or in ``folder`` itself where there is no such subfolder, by name.

    Raises:
        PortraitError: ``E_DATA`` when there is none, or two differ in their ending only.
    """
    place = folder / subfolder if (folder / subfolder).is_dir() else folder
    files = sorted(p for p in place.iterdir() if p.suffix.lower() in endings and p.is_file()) if place.is_dir() else []
    if not files:
        raise PortraitError("E_DATA", f"no {subfolder} in {folder}", f"Put {', '.join(endings)} files into {folder / subfolder}.")
    twice = sorted({p.stem for p in files if sum(p.stem == q.stem for q in files) > 1})
    if twice:
        raise PortraitError("E_DATA", f"several files in {place} are called {twice[0]!r}", "Give them different names.")
    return files


def same_identity(videos: Sequence[Path], photos: Sequence[Path] = (), masks: Sequence[Path] = ()) -> list[Pair]:
    """Every video drives its own first frame, or the photograph of the same name.

    Args:
        videos: of one person each.
        photos: of these people in the framing of their videos, called as those are.
        masks: white where pixels count, called as the videos are.
    """
    sources, counted = ({file.stem: file for file in files} for files in (photos, masks))
    return [Pair(video.stem, sources.get(video.stem, video), video, mask=counted.get(video.stem), same=True) for video in videos]


def cross_identity(videos: Sequence[Path], seed: int = 0) -> list[Pair]:
    """Every first frame is driven by another video, drawn at random; each draw depends on the seed and the number of videos only.

    Raises:
        PortraitError: ``E_DATA`` for a single video.
    """
    if len(videos) < 2:
        raise PortraitError("E_DATA", "cross-identity needs two videos or more", "Add videos of other people.")
    rng = random.Random(seed)
    partners = [videos[(i + rng.randrange(1, len(videos))) % len(videos)] for i in range(len(videos))]
    return [Pair(f"{video.stem}--{partner.stem}", video, partner) for video, partner in zip(videos, partners, strict=True)]


def audio_driven(
    portraits: Sequence[Path], audios: Sequence[Path], videos: Sequence[Path], pose_of: Callable[[Path], Pose | None], seed: int = 0
) -> list[Pair]:
    """Every portrait with every sound; head motion of a video drawn from those whose first pose is nearest to the portrait's.

    Args:
        portraits: photographs.
        audios: speech.
        videos: that offer head motion; none keeps heads still.
        pose_of: head pose of a photograph, or of the first frame of a video; None without a face.
        seed: of the draw.
    """
    rng = random.Random(seed)
    poses = {video: pose for video in videos if (pose := pose_of(video)) is not None}
    count = min(NEAREST, max(1, len(poses) // 10))
    pairs = []
    for portrait in portraits:
        own = (pose_of(portrait) if poses else None) or (0.0, 0.0, 0.0)
        near = sorted(poses, key=lambda video, own=own: dist(poses[video], own))[:count]
        for audio in audios:
            pairs.append(Pair(f"{portrait.stem}--{audio.stem}", portrait, audio=audio, pose=rng.choice(near) if near else None))
    return pairs


def build_pairs(protocol: str, data: Path, pose_of: Callable[[Path], Pose | None], seed: int = 0) -> list[Pair]:
    """All clips of a protocol.

    Args:
        protocol: one of ``PROTOCOLS``.
        data: folder with ``videos``; for ``same-identity`` perhaps with ``photos`` and ``masks``; for ``audio-driven`` with ``portraits``
            and ``audio``, and if possible ``videos``.
        pose_of: as for ``audio_driven``.
        seed: of the draws.

    Raises:
        PortraitError: ``E_DATA``.
    """
    if not data.is_dir():
        raise PortraitError("E_DATA", f"there is no folder {data}", "Check the spelling of the path.")
    if protocol == "same-identity":
        photos, masks = (find_files(data, name, PICTURES) if (data / name).is_dir() else [] for name in ("photos", "masks"))
        return same_identity(find_files(data, "videos", VIDEOS), photos, masks)
    if protocol == "cross-identity":
        return cross_identity(find_files(data, "videos", VIDEOS), seed)
    videos = find_files(data, "videos", VIDEOS) if (data / "videos").is_dir() else []
    return audio_driven(find_files(data, "portraits", PICTURES), find_files(data, "audio", SOUNDS + VIDEOS), videos, pose_of, seed)
