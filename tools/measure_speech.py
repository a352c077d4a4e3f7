"""How well lips follow real speech: ``python tools/measure_speech.py VIDEO|FOLDER ...`` with talking people of your own.

Prints a Markdown table. The truth is MediaPipe's inner lip distance (points 13, 14) over the distance of the outer eye corners, at 25 fps;
the prediction is that of the codes on the mean face, from the sound alone. The columns:

- r: Pearson correlation of predicted and true opening at the best shift of up to two frames; lag: that shift, positive when the prediction
  is early. Beside it the same for two baselines: the energy of the sound, and the mean of its log-mel bands. (A mouth that always has its
  mean opening has no correlation, and is never shut.)
- width r: the same for the distance of the corners of the mouth, which tells "ee" from "oo".
- shut: share of the frames with a truly shut mouth where the prediction is shut at most one frame away; open: share of the truly open
  frames where it is not shut.
- recall: the same share of truly shut frames when the prediction counts as shut below that opening below which 10 % of the truly open
  frames fall, whatever opening that is, so that all are compared at equally many false closures; beside it that of the energy. Empty
  where fewer than 5 frames are truly shut or open.
- size: 0.9-quantile of the predicted opening over that of the true one.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from audio2motion import Audio2Motion, LogMelEncoder, motion_from_audio
from audio2motion.features import SAMPLE_RATE, frame_levels, normalise_loudness
from core.errors import PortraitError
from core.face import FaceModel
from core.media.sound import open_sound
from core.media.video import read_video, video_info
from core.perception.tracking import track
from jaxtyping import Float

VIDEOS = {".mp4", ".webm", ".mov", ".avi"}
WITHIN = 2
"""Frames by which sound and picture may be shifted against each other."""
SHUT, OPEN = 0.02, 0.05
"""A mouth is shut below the first opening and open above the second, over the distance of the outer eye corners."""


@dataclass(frozen=True)
class Mouth:
    """What a mouth does at 25 fps, over the distance of the outer eye corners; NaN where no face is seen.

    Attributes:
        opening: distance of the inner lips.
        width: distance of the corners.
    """

    opening: Float[np.ndarray, "t"]
    width: Float[np.ndarray, "t"]


def mouth_of(points: Float[np.ndarray, "t n d"]) -> Mouth:
    """From MediaPipe points in any unit, of a face that looks ahead."""

    def apart(first: int, second: int) -> Float[np.ndarray, "t"]:
        return np.linalg.norm(points[:, first, :2] - points[:, second, :2], axis=1)

    return Mouth(apart(13, 14) / apart(33, 263), apart(61, 291) / apart(33, 263))


def seen_mouth(path: Path) -> Mouth:
    """The mouth of the person in a video."""
    info = video_info(path)
    return mouth_of(np.stack(list(track(read_video(path)))) * np.array([info.width, info.height, info.width], np.float32))


def heard_mouth(face: FaceModel, model: Audio2Motion, wave: Float[np.ndarray, "n"]) -> Mouth:
    """The mouth that the network makes for a voice, on the mean face."""
    exp = motion_from_audio(model, wave)
    return mouth_of(face.keypoints(torch.zeros(len(exp), 80), exp).numpy())


def best_shift(made: Float[np.ndarray, "t"], true: Float[np.ndarray, "t"]) -> tuple[float, int]:
    """Largest correlation over shifts of up to ``WITHIN`` frames, and the shift."""
    results = []
    for shift in range(-WITHIN, WITHIN + 1):
        moved, there = shifted(made, shift), np.isfinite(true)
        there[: max(shift, 0)] = False
        there[len(there) + min(shift, 0) :] = False
        results.append((float(np.corrcoef(moved[there], true[there])[0, 1]), shift))
    return max(results)


def shifted(values: Float[np.ndarray, "t"], shift: int) -> Float[np.ndarray, "t"]:
    """``values`` later by ``shift`` frames, the end repeated."""
    return values[np.clip(np.arange(len(values)) - shift, 0, len(values) - 1)]


def closures(made: Float[np.ndarray, "t"], true: Float[np.ndarray, "t"]) -> tuple[float, float]:
    """Share of truly shut frames within one frame of a shut one, share of truly open frames that are not shut; NaN when there are none."""
    shut = made < SHUT
    near = shut | shifted(shut, 1) | shifted(shut, -1)
    parts = (near[true < SHUT], ~shut[true > OPEN])
    return tuple(float(part.mean()) if len(part) else float("nan") for part in parts)


def baselines(wave: Float[np.ndarray, "n"], frames: int) -> list[Float[np.ndarray, "t"]]:
    """Energy and mean log-mel of the sound per frame."""
    sound = torch.from_numpy(wave)
    curves = frame_levels(normalise_loudness(sound)), LogMelEncoder()(sound).mean(1)
    return [np.pad(curve.numpy(), (0, 2 * frames), mode="edge")[: 2 * frames].reshape(frames, 2).mean(1) for curve in curves]


def recall(made: Float[np.ndarray, "t"], true: Float[np.ndarray, "t"], false: float = 0.1) -> float:
    """Share of truly shut frames within one frame of a shut one, with ``false`` of the truly open frames shut; NaN for too few."""
    shut, opened = true < SHUT, true > OPEN
    if min(shut.sum(), opened.sum()) < 5:
        return float("nan")
    nearby = np.minimum(made, np.minimum(shifted(made, 1), shifted(made, -1)))
    return float((nearby[shut] < np.quantile(made[opened], false)).mean())


def measure(true: Mouth, made: Mouth, wave: Float[np.ndarray, "n"]) -> list[float]:
    """One row, in the order of ``HEAD``."""
    frames = min(len(true.opening), len(made.opening))
    real, ours = true.opening[:frames], made.opening[:frames]
    r, lag = best_shift(ours, real)
    energy, mel = baselines(wave, frames)
    (energy_r, energy_lag), (mel_r, _) = best_shift(energy, real), best_shift(mel, real)
    width_r = best_shift(made.width[:frames], true.width[:frames])[0]
    seen, heard = shifted(ours, lag), shifted(energy, energy_lag)
    size = np.quantile(ours, 0.9) / np.nanquantile(real, 0.9)
    return [r, lag, energy_r, mel_r, width_r, *closures(seen, real), recall(seen, real), recall(heard, real), float(size)]


HEAD = ("r", "lag", "energy r", "log-mel r", "width r", "shut", "open", "recall", "energy recall", "size")


def cells(name: str, values: Sequence[float]) -> str:
    """A line of the table."""
    return f"| {name} | " + " | ".join("" if np.isnan(value) else f"{value:.2f}" for value in values) + " |"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="+", help="videos with sound, or folders of them")
    parser.add_argument("--weights", type=Path, metavar="FOLDER", help="of audio2motion (default: those that ship with portrait)")
    options = parser.parse_args()
    if options.weights is None:
        from portrait.networks import weights_folder

        options.weights = weights_folder("tiny") / "audio2motion"
    face, model = FaceModel.embedded(), Audio2Motion.from_pretrained(options.weights).eval()
    face.require(model.config.face_model, f"the weights in {options.weights}")
    files = [file for path in options.videos for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    print(f"| clip | {' | '.join(HEAD)} |", "|---" * (len(HEAD) + 1) + "|", sep="\n", flush=True)
    rows = []
    for file in files:
        if file.suffix.lower() not in VIDEOS:
            continue
        try:
            wave = open_sound(file).read(SAMPLE_RATE)
            rows.append(measure(seen_mouth(file), heard_mouth(face, model, wave), wave))
            print(cells(file.name, rows[-1]), flush=True)
        except PortraitError as error:
            print(f"| {file.name} | {error}" + " |" * len(HEAD), flush=True)
    if rows:
        print(cells("mean", np.nanmean(rows, axis=0)))


if __name__ == "__main__":
    main()
