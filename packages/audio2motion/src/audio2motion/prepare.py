"""``python -m audio2motion.prepare VIDEOS OUT``: talking-face videos (VoxCeleb2, CelebV-HQ ...) to a corpus for training."""

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from core.errors import PortraitError
from core.face.fitting import fit_video
from core.face.model import FaceModel
from jaxtyping import Float, Int
from torch import Tensor

from audio2motion.config import PRESETS, Audio2MotionConfig
from audio2motion.corpus import CorpusInfo, MotionClip, write_corpus
from audio2motion.encoders import encoder_for
from audio2motion.features import HOP, AudioEncoder, normalise_loudness
from audio2motion.mouth import mouth_amplitude
from audio2motion.pitch import coarse_pitch, track_pitch

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")
LID_PAIRS = ((41, 37), (40, 38), (47, 43), (46, 44))


def main(args: Sequence[str] | None = None) -> None:
    """Convert every video below a folder; unreadable or faceless ones are named on stderr and left out."""
    parser = argparse.ArgumentParser(prog="python -m audio2motion.prepare", description=__doc__)
    parser.add_argument("videos", type=Path, help="folder that is searched for videos")
    parser.add_argument("out", type=Path, help="folder of the corpus")
    parser.add_argument("--scale", default="paper", choices=sorted(PRESETS), help="network preset; sets the kind of audio features")
    parser.add_argument("--val", type=float, default=0.02, help="share of the speakers (folders in VIDEOS) kept for validation, by name")
    parser.add_argument(
        "--part",
        type=part_of,
        default=(0, 1),
        metavar="I/N",
        help="only every Nth video from the Ith on (0/8 ... 7/8), "
        "to prepare side by side into OUT/0, OUT/1 ...; training reads them all as OUT",
    )
    parser.add_argument("--hubert", help="folder, hub id or fairseq .pt file of the HuBERT weights; default: those of the preset")
    parser.add_argument("--device", default="cpu", help="where HuBERT runs, for example cuda:0")
    parser.add_argument("--cache", type=Path, help="folder that keeps HuBERT's features, for when preparation is repeated")
    parser.add_argument("--max-lost", type=float, default=0.1, help="largest share of frames without a face")
    parser.add_argument("--face-model", default="embedded", help="embedded, or a folder with the files of BFM 2009 (docs/faces.md)")
    options = parser.parse_args(args)
    config = Audio2MotionConfig.preset(options.scale)
    config = replace(config, audio_source=options.hubert or config.audio_source)
    try:
        face = FaceModel.load(options.face_model)
        encoder = encoder_for(config, options.device, options.cache)
    except PortraitError as error:
        sys.exit(str(error))
    part, parts = options.part
    videos = sorted(path for path in options.videos.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)[part::parts]
    if not videos:
        sys.exit(f"E_DATA: no video in {options.videos}. Give a folder with {' '.join(VIDEO_SUFFIXES)} files.")
    info = CorpusInfo(config.audio, config.audio_width, face.fingerprint, json.dumps({"videos": len(videos), "max_lost": options.max_lost}))

    def clips() -> Iterator[tuple[str, str, MotionClip]]:
        for path in videos:
            name = path.relative_to(options.videos).with_suffix("").as_posix()
            try:
                yield name, split_of(name.split("/")[0], options.val), clip_from_video(path, face, encoder, options.max_lost)
            except PortraitError as error:
                print(f"{name}: {error}", file=sys.stderr)

    write_corpus(options.out, info, clips())


def part_of(text: str) -> tuple[int, int]:
    """``I/N`` as numbers, 0 <= I < N.

    Raises:
        argparse.ArgumentTypeError: it is something else.
    """
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if found is None or int(found[1]) >= int(found[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is not I/N with I from 0 to N - 1")
    return int(found[1]), int(found[2])


def split_of(name: str, share: float) -> str:
    """``val`` for a fixed pseudo-random ``share`` of names, else ``train``."""
    return "val" if int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 16**8 < share else "train"


def clip_from_video(path: Path, face: FaceModel, encoder: AudioEncoder, max_lost: float = 0.1) -> MotionClip:
    """Features of the sound and the fitted motion of the largest face.

    Raises:
        PortraitError: the file cannot be read, has no sound (``E_AUDIO``) or too many frames without a face (``E_NO_FACE``).
    """
    from core.media.audio import read_audio
    from core.media.video import read_video
    from core.perception.landmarks import track_faces

    wave = torch.from_numpy(read_audio(path))
    frames = list(read_video(path, fps=25))
    height, width = frames[0].shape[:2]
    side = max(height, width)
    landmarks = np.stack(list(track_faces(iter(frames))))[:, :468]
    # Fractions of width and height to fractions of a square picture: pad the shorter side evenly.
    square = landmarks[..., :2] * [width / side, height / side] + [(side - width) / (2 * side), (side - height) / (2 * side)]
    fit = fit_video(face, square.astype(np.float32))
    if fit.lost > max_lost * len(frames):
        raise PortraitError("E_NO_FACE", f"no face in {fit.lost} of {len(frames)} frames of {path.name}", "Leave this video out.")
    count = min(len(fit.coeffs), wave.shape[0] // (2 * HOP))
    wave = wave[: count * 2 * HOP]
    exp = fit.coeffs.exp[:count]
    blink = blink_units(face, fit.coeffs.id[:1].expand(count, -1), exp)
    pitch = torch.from_numpy(coarse_pitch(track_pitch(normalise_loudness(wave).numpy())))
    return MotionClip(encoder(wave), pitch, exp, blink, mouth_amplitude(face, exp))


def blink_units(face: FaceModel, identity: Float[Tensor, "t 80"], exp: Float[Tensor, "t 64"]) -> Int[Tensor, "t"]:
    """1 on the centre frame of every run in which the eyes are less than 0.85 times as open as the clip's upper quartile (spec 8.1)."""
    points = face.keypoints(identity, exp, 68)
    opening = sum((points[:, low] - points[:, high]).abs().sum(1) for low, high in LID_PAIRS)
    shut = np.concatenate([[0], (opening / torch.quantile(opening, 0.75) < 0.85).numpy().astype(int), [0]])
    starts, ends = np.flatnonzero(np.diff(shut) == 1), np.flatnonzero(np.diff(shut) == -1)
    units = torch.zeros(exp.shape[0], dtype=torch.long)
    units[torch.from_numpy((starts + ends - 1) // 2)] = 1
    return units


if __name__ == "__main__":
    main()
