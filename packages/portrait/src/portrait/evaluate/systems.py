"""What is evaluated: our networks, a baseline, or videos that somebody else made."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from core.errors import PortraitError
from core.face.coeffs import FaceCoeffs
from core.face.model import FaceModel
from core.media.video import VideoWriter
from jaxtyping import Float, UInt8

from portrait.driving import FPS, Driving, VideoReader, drive_from_video
from portrait.evaluate.footage import SIDE, Frames, first_picture, square_frames, square_picture, tracked, window_of
from portrait.evaluate.pairing import VIDEOS, Pair
from portrait.gaze import plan_gaze
from portrait.networks import NETWORKS, weights_folder
from portrait.plan import Plan
from portrait.pose import ping_pong, smooth_pose
from portrait.source import Source, to_network

if TYPE_CHECKING:
    from portrait.pipeline import Portrait

RIGID = (33, 133, 362, 263, 168, 6, 197, 4)
"""Eye corners and bridge of the nose: points that expressions hardly move."""


@runtime_checkable
class System(Protocol):
    """Makes the video of a pair.

    Attributes:
        name: of its row in the tables and its folder in the report.
        fingerprint: changes when its videos would.
        whole_frame: its videos show the whole frame of the source's video, not the square.
    """

    name: str
    fingerprint: str
    whole_frame: bool

    def video(self, pair: Pair, path: Path, limit: int | None) -> Path:
        """Write at most ``limit`` frames to ``path``, or say where the video is."""


class Networks:
    """Our networks.

    Args:
        portrait: the pipeline.
        weights: name or folder of its weights.
        seed: of blinks and speech.
        inpaint: paint the person out of the background; False hands in the photograph as it is, as weights of that ablation expect.
    """

    whole_frame = False

    def __init__(self, portrait: "Portrait", weights: str | Path, seed: int = 0, inpaint: bool = True) -> None:
        folder = weights_folder(weights)
        digests = [hashlib.sha256((folder / name / "model.safetensors").read_bytes()).hexdigest() for name in NETWORKS]
        self.name = Path(weights).resolve().name
        self.fingerprint = f"seed {seed}, weights {hashlib.sha256(''.join(digests).encode()).hexdigest()[:16]}"
        self.fingerprint += "" if inpaint else ", background not painted"
        self.portrait, self.seed, self.inpaint = portrait, seed, inpaint
        self._prepared = lru_cache(maxsize=1)(self._prepare)

    def video(self, pair: Pair, path: Path, limit: int | None) -> Path:
        """Render with ``Portrait``, without the badge."""
        plan = self.plan(pair)
        plan = replace(plan, motion=plan.motion[:limit])
        with VideoWriter(path, self.portrait.size, FPS, plan.sound) as video:
            for frame in self.portrait.render(plan):
                video.write(frame.image)
        return path

    def _prepare(self, path: Path) -> Source:
        source = self.portrait.prepare(first_picture(path))
        return source if self.inpaint else replace(source, background=to_network(source.image, self.portrait.size))

    def plan(self, pair: Pair) -> Plan:
        """The clip as the paper drives it: its own pose from the first frame on, the driver's pose as it is for another photograph."""
        source = self._prepared(pair.source)
        if pair.video is None:
            pose = "static" if pair.pose is None else pair.pose
            return self.portrait.plan(source, audio=pair.audio, pose=pose, seed=self.seed)
        read = VideoReader(self.portrait.face)
        driving = drive_from_video(pair.video, self.portrait.face, source.coeffs, read=read)
        motion = follow(pair, source.coeffs, driving)
        gaze = plan_gaze(pair.video, motion.euler - source.coeffs.euler, self.seed, read)
        return Plan(source, source.background, motion, driving.sound, gaze)


def follow(pair: Pair, source: FaceCoeffs, driving: Driving) -> FaceCoeffs:
    """The photograph's face with expressions and pose of a driving video: from the photograph's pose on if both are one recording."""
    euler, trans = driving.euler, driving.trans
    if pair.source == pair.video:  # what the two fits of the first frame differ by is no motion
        euler, trans = source.euler + euler - euler[:1], source.trans + trans - trans[:1]
    return FaceCoeffs(source.id.expand(len(euler), -1), driving.exp, *smooth_pose(euler, trans))


class Still:
    """The photograph, standing still."""

    name, fingerprint, whole_frame = "still", "1", False

    def video(self, pair: Pair, path: Path, limit: int | None) -> Path:
        """As many copies of the photograph as the clip has frames."""
        return write_frames(path, repeat(square_picture(pair.source), _length(pair, limit)))


class CopyMotion:
    """The photograph, shifted, turned and scaled in the picture plane as the driver's head moves, with the face that it has."""

    name, fingerprint, whole_frame = "copy-motion", "1", False

    def video(self, pair: Pair, path: Path, limit: int | None) -> Path:
        """Move the square of the photograph as a sheet of paper."""
        picture = square_picture(pair.source)
        guide = pair.video or pair.pose
        if guide is None:
            return write_frames(path, repeat(picture, _length(pair, limit)))
        own = next(iter(tracked(iter([picture]))))[1]
        points = [p for _, p in tracked(square_frames(guide, window_of(guide), limit if pair.video else None))]
        order = range(len(points)) if pair.video else ping_pong(len(points), _length(pair, limit)).tolist()
        return write_frames(path, _moved(picture, own, points, order))


class Lifted:
    """The photograph lifted to 3D by ``core.people``, turned and moved as the driver is; no network draws anything."""

    name, fingerprint, whole_frame = "lifted", "1", False

    def video(self, pair: Pair, path: Path, limit: int | None) -> Path:
        """Draw the lifted person.

        Raises:
            PortraitError: ``E_BASELINE`` without a driving video; as ``core.people.lifted.lift``.
        """
        from core.people.lifted import lift
        from core.people.person import render

        if pair.video is None:
            raise PortraitError(
                "E_BASELINE", f"{pair.name} has no driving video for a lifted photograph", "Use another --baseline for speech."
            )
        person = lift(square_picture(pair.source), pair.name)
        motion = follow(pair, person.coeffs, drive_from_video(pair.video, FaceModel.embedded(), person.coeffs))[:limit]
        codes = zip(motion.exp.numpy(), motion.euler.numpy(), motion.trans.numpy(), strict=True)
        return write_frames(path, (render(person, *code, SIDE).image for code in codes))


class Predictions:
    """Videos that another system made, called as the pairs are.

    Args:
        folder: where they are.
        whole_frame: they show the whole frame of the source's video, not the square that this package cuts.
    """

    def __init__(self, folder: str | Path, whole_frame: bool = False) -> None:
        self.folder, self.whole_frame = Path(folder).expanduser(), whole_frame
        if not self.folder.is_dir():
            raise PortraitError("E_DATA", f"there is no folder {folder} with predictions", "Check the spelling of the path.")
        self.name = self.folder.resolve().name
        self.fingerprint = f"videos of {self.folder.resolve()}, whole frame {whole_frame}"

    def video(self, pair: Pair, path: Path, limit: int | None) -> Path:
        """The file of that name.

        Raises:
            PortraitError: ``E_PREDICTION`` when there is none.
        """
        for ending in VIDEOS:
            if (self.folder / f"{pair.name}{ending}").is_file():
                return self.folder / f"{pair.name}{ending}"
        raise PortraitError("E_PREDICTION", f"no {pair.name}.mp4 in {self.folder}", "Name the videos as pairs.json does.")


BASELINES = {"still": Still, "copy-motion": CopyMotion, "lifted": Lifted}


def write_frames(path: Path, frames: Frames) -> Path:
    """Encode square frames without sound."""
    with VideoWriter(path, SIDE, FPS) as video:
        for frame in frames:
            video.write(frame)
    return path


def _length(pair: Pair, limit: int | None) -> int:
    """Frames of the clip."""
    from core.media.audio import read_audio

    if pair.video is not None:
        length = sum(1 for _ in square_frames(pair.video, (0, 0, 2), limit))
    else:
        length = max(1, len(read_audio(pair.audio, 16000)) * FPS // 16000)
    return min(length, limit or length)


def _similarity(start: Float[np.ndarray, "n 2"], end: Float[np.ndarray, "n 2"]) -> tuple[complex, complex]:
    """Least-squares ``end = turn * start + shift`` in the complex plane: shift, turn and scale."""
    a, b = start @ np.array([1, 1j]), end @ np.array([1, 1j])
    centred = a - a.mean()
    turn = (centred.conj() @ (b - b.mean())) / (np.abs(centred) ** 2).sum()
    return turn, b.mean() - turn * a.mean()


def _moved(
    picture: UInt8[np.ndarray, "s s 3"], own: Float[np.ndarray, "478 3"], points: list[np.ndarray], order: "range | list[int]"
) -> Iterator[UInt8[np.ndarray, "s s 3"]]:
    import cv2

    rigid = [p[list(RIGID), :2].astype(np.float64) * SIDE for p in (own, *points)]
    seen = [bool(np.isfinite(p).all()) for p in rigid[1:]]
    if not any(seen) or not np.isfinite(rigid[0]).all():
        raise PortraitError("E_NO_FACE", "copy-motion found no face to follow", "Leave this clip out.")
    home, rest = rigid[0], rigid[1 + seen.index(True)]
    centre, pivot = home.mean(0) @ np.array([1, 1j]), rest.mean(0) @ np.array([1, 1j])
    ratio = float(np.ptp(home[:, 0]) / np.ptp(rest[:, 0]))
    turn, moved = 1 + 0j, 0j
    for index in order:
        if seen[index]:
            turn, shift = _similarity(rest, rigid[1 + index])
            moved = ratio * (turn * pivot + shift - pivot)
        offset = centre + moved - turn * centre
        matrix = np.array([[turn.real, -turn.imag, offset.real], [turn.imag, turn.real, offset.imag]])
        yield cv2.warpAffine(picture, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
