"""Real footage as clips: a video of one person becomes what ``core.data.clip_writer`` makes of a made one (spec 10).

Frames at 25 a second, cut to the square that a photograph gets, the same for the whole clip; one identity, expression and pose per frame;
head, masks and segmentation per frame; background and inpainted torso of the first one; the sound. There is no depth and no gaze.
"""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from core.camera import FIT_FOCAL, Camera
from core.data.clip_codec import encode_picture
from core.data.clip_writer import FPS
from core.errors import PortraitError
from core.face.coeffs import FaceCoeffs
from core.face.model import FaceModel, pose_points, project

SOUND_RATE = 16000
SHORTEST = 3
"""Frames of a clip: one with both neighbours."""
SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi")


@dataclass(frozen=True)
class VideoSource:
    """One video (a ``core.data.clip_writer.TensorSource``).

    Attributes:
        path: of the file.
        name: unique name.
        split: ``train`` or ``val``.
        seconds: of its beginning that are used.
    """

    path: Path
    name: str
    split: str
    seconds: float = 10.0

    def tensors(self, size: int) -> dict[str, Tensor]:
        """The clip at ``size``.

        Raises:
            PortraitError: as ``core.media.video.read_video``; ``E_NO_FACE`` when a frame shows none; ``E_SHORT``.
        """
        frames, landmarks = squared(self.path, round(self.seconds * FPS), size)
        return clip_of(frames, landmarks) | _sound(self.path, len(frames))


def find_videos(folder: str | Path, seconds: float = 10.0) -> list[VideoSource]:
    """All videos of a folder, by name; about one in seven is kept out of training (``core.people.photos.split_of``).

    Raises:
        PortraitError: ``E_NO_VIDEOS``.
    """
    from core.people.photos import split_of

    files = sorted(p for p in Path(folder).iterdir() if p.suffix.lower() in SUFFIXES) if Path(folder).is_dir() else []
    if not files:
        raise PortraitError("E_NO_VIDEOS", f"no videos in {folder}", f"Give a folder with {', '.join(SUFFIXES)} files to --videos.")
    return [VideoSource(path, path.stem, split_of(path.stem), seconds) for path in files]


def squared(path: Path, frames: int, size: int) -> tuple[list[UInt8[np.ndarray, "s s 3"]], Float[np.ndarray, "t 478 3"]]:
    """The first frames of a video in one square window, and the face's points in it, [0, 1].

    Raises:
        PortraitError: ``E_NO_FACE``, ``E_SHORT``.
    """
    from core.media.video import read_video
    from core.perception.crop import crop_window
    from core.perception.landmarks import face_from_pixels
    from core.perception.tracking import track
    from core.perception.window import cut_square

    pictures = list(islice(read_video(path, FPS), frames))
    if len(pictures) < SHORTEST:
        raise PortraitError("E_SHORT", f"{path} has {len(pictures)} frames at {FPS} a second", "Use a longer video.")
    points = np.stack(list(track(pictures, FPS)))
    lost = ~np.isfinite(points).all((1, 2))
    if lost.any():
        remedy = "Cut the video to a part that shows one person all the time."
        raise PortraitError("E_NO_FACE", f"{int(lost.sum())} of {len(points)} frames of {path} show no face", remedy)
    height, width = pictures[0].shape[:2]
    pixels = points * np.array([width, height, width], np.float32)
    left, top, side = crop_window(height, width, face_from_pixels(pixels[0], height, width))
    landmarks = (pixels - np.array([left, top, 0], np.float32)) / np.float32(side)
    return [cut_square(picture, left, top, side, size) for picture in pictures], landmarks.astype(np.float32)


def clip_of(frames: list[UInt8[np.ndarray, "s s 3"]], landmarks: Float[np.ndarray, "t 478 3"]) -> dict[str, Tensor]:
    """All tensors of a clip but its sound.

    Args:
        frames: square pictures.
        landmarks: the face's points, [0, 1].
    """
    from core.data.layers import split_layers
    from core.face.fitting import fit_video
    from core.perception.matting import foreground_colours
    from core.perception.parsing import default_parser, parse

    face, parser = FaceModel.embedded(), default_parser()
    coeffs = fit_video(face, landmarks).coeffs
    tensors: dict[str, Tensor] = {}
    for index, (frame, points) in enumerate(zip(frames, landmarks, strict=True)):
        parsing = parse(frame, points, parser)
        if index == 0:
            layers = split_layers(frame, parsing, hair_rests=True)
            torso = (layers.torso_image * layers.torso_mask[..., None] + 0.5).astype(np.uint8)
            tensors |= {"background": encode_picture(layers.background), "torso": encode_picture(torso)}
        alpha = parsing.head_alpha
        head = (foreground_colours(frame, alpha) * alpha[..., None] + 0.5).astype(np.uint8)
        tensors[f"image.{index}"] = encode_picture(frame)
        tensors[f"head.{index}"] = encode_picture(head)
        tensors[f"mask.{index}"] = encode_picture((alpha * 255 + 0.5).astype(np.uint8), lossless=True)
        tensors[f"labels.{index}"] = encode_picture(np.asarray(parsing.labels, np.uint8), lossless=True)
    return tensors | _labels(face, coeffs)


def _labels(face: FaceModel, coeffs: FaceCoeffs) -> dict[str, Tensor]:
    count = len(coeffs)
    number = torch.arange(count)
    flat = project(pose_points(face.keypoints(coeffs.id, coeffs.exp, 68), coeffs.euler, coeffs.trans)) * 2 - 1
    return {
        "group": number,
        "take": torch.zeros_like(number),
        "time": number.clone(),
        "id": coeffs.id[0].clone(),
        "exp": coeffs.exp,
        "exp_before": coeffs.exp[(number - 1).clamp_min(0)],
        "exp_after": coeffs.exp[(number + 1).clamp_max(count - 1)],
        "euler": coeffs.euler,
        "trans": coeffs.trans,
        "camera": Camera.from_pose(coeffs.euler, coeffs.trans, FIT_FOCAL).label,
        "keypoints": torch.nn.functional.pad(flat, (0, 1)),
    }


def _sound(path: Path, frames: int) -> dict[str, Tensor]:
    """``sound``: int16 at ``SOUND_RATE``, as long as the frames; nothing for a silent video."""
    from core.media.audio import read_audio
    from core.media.video import video_info

    if not video_info(path).has_audio:
        return {}
    samples = read_audio(path, SOUND_RATE)[: frames * SOUND_RATE // FPS]
    return {"sound": torch.from_numpy(np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16))}
