"""All numbers of one clip, from the files of the result and of its driver."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from core.errors import PortraitError
from core.face.fitting import fit_video
from core.media.audio import read_audio
from core.media.image import read_image
from core.metrics.akd import akd
from core.metrics.audio_offset import audio_offset, loudness, mouth_openings
from core.metrics.blink_drift import blink_drift, eye_openings
from core.metrics.csim import csim, face_embeddings
from core.metrics.deep3d import split_coefficients
from core.metrics.following import opening_correlation
from core.metrics.identity_drift import identity_drift
from core.metrics.mfcc import RATE
from core.metrics.motion import expression_distance, pose_distance
from core.metrics.steady import steady_mask
from core.metrics.sync import face_boxes, speaking_faces, sync, sync_embeddings
from core.perception.window import cut_square
from jaxtyping import Float
from torch import Tensor

from portrait.evaluate.drivers import trace_driver
from portrait.evaluate.footage import SIDE, Frames, first_picture, square_frames, square_picture, tracked, window_of
from portrait.evaluate.pairing import VIDEOS, Pair
from portrait.evaluate.trace import CHUNK, Tools, Trace, to_tensor, trace

LEAST_STEADY = 0.01
"""Share of the square that must never move for its PSNR to be worth a number."""


@dataclass(frozen=True)
class Score:
    """Result of ``score``.

    Attributes:
        values: by the names of ``portrait.evaluate.measures``; what could not be measured is absent.
        driver: the same of the driving video alone, to compare with.
        frames: how many were compared.
        fake: Inception features of the result, if Inception is at hand.
        real: the same of the driving video, or of the video that lent its head motion.
    """

    values: dict[str, float]
    driver: dict[str, float]
    frames: int
    fake: Float[Tensor, "t d"] | None = None
    real: Float[Tensor, "m d"] | None = None


def score(
    pair: Pair, prediction: Path, tools: Tools, limit: int | None = None, whole_frame: bool = False, kept: Path | None = None
) -> Score:
    """Measure one clip.

    Args:
        pair: what was asked for.
        prediction: the video that was made.
        tools: face model and networks.
        limit: frames to stop after.
        whole_frame: the prediction shows the whole frame of the source's video, so the same square is cut from it.
        kept: folder where what is found in driving videos is kept for the next system.

    Raises:
        PortraitError: a file cannot be read, or shows no face.
    """
    window = window_of(pair.source) if whole_frame else None
    reference = pair.video or (pair.audio if pair.audio and _has_picture(pair.audio) else None)
    target, mask = (square_frames(pair.video, window_of(pair.video), limit) if pair.same else None), square_mask(pair, tools.device)
    made = trace(square_frames(prediction, window, limit), tools, target, mask, steady_places(pair, mask, limit, tools.device))
    filmed = None if reference is None else trace_driver(reference, tools, limit, kept)
    sound = pair_sound(pair)
    values = made.values | _apart(made, sound) | _likeness(made, pair, tools)
    values |= _in_sync(lambda: square_frames(prediction, window, limit), made, sound, tools)
    driver: dict[str, float] = {}
    if filmed is not None:
        values |= _followed(made, filmed, pair, tools)
    if pair.video is not None:
        driver = filmed.values | _apart(filmed, sound)
        driver |= _in_sync(lambda: square_frames(pair.video, window_of(pair.video), limit), filmed, sound, tools)
    real = filmed.features if pair.video is not None else _features(pair.pose, tools, limit)
    return Score(_finite(values), _finite(driver), len(made), made.features, real)


def pair_sound(pair: Pair, rate: int = RATE) -> Float[np.ndarray, " n"] | None:
    """The sound of a clip, mono at ``rate``; None where there is none."""
    try:
        return read_audio(pair.sounding, rate)
    except PortraitError:
        return None


def square_mask(pair: Pair, device: torch.device) -> Float[Tensor, "1 1 s s"] | None:
    """Where pixels of the driving video's square count; None: everywhere.

    Raises:
        PortraitError: ``E_DATA`` when the mask has not the size of the video's frames.
    """
    if pair.mask is None:
        return None
    mask, frame = read_image(pair.mask), first_picture(pair.video)
    if mask.shape != frame.shape:
        sizes = " and ".join(f"{height} x {width}" for height, width, _ in (mask.shape, frame.shape))
        raise PortraitError("E_DATA", f"{pair.mask} and {pair.video} differ in size ({sizes})", "Draw the mask over one of the frames.")
    return (to_tensor([cut_square(mask, *window_of(pair.video), SIDE)], device)[:, :1] > 0.5).float()


def steady_places(
    pair: Pair, mask: Float[Tensor, "1 1 s s"] | None, limit: int | None, device: torch.device
) -> Float[Tensor, "1 1 s s"] | None:
    """Where nothing moves in the driving video, within ``mask``; None for other protocols or too few such places."""
    if not pair.same:
        return None
    found = steady_mask(square_frames(pair.video, window_of(pair.video), limit))
    if found is None:
        return None
    places = torch.from_numpy(found).to(device)[None, None] * (1 if mask is None else mask)
    return places if places.mean() > LEAST_STEADY else None


def _has_picture(path: Path) -> bool:
    return path.suffix.lower() in VIDEOS


def _finite(values: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if np.isfinite(value)}


def _apart(made: Trace, sound: Float[np.ndarray, " n"] | None) -> dict[str, float]:
    """What a clip shows by itself, beside the values of its frames."""
    drifts = blink_drift(made.points)
    found = {"blink_drift": float(drifts.mean())} if len(drifts) else {}
    if sound is not None:
        late, correlation = audio_offset(mouth_openings(made.points), loudness(sound, RATE, len(made)))
        found |= {"audio_offset": abs(late), "audio_correlation": correlation}
    return found


def _likeness(made: Trace, pair: Pair, tools: Tools) -> dict[str, float]:
    """Against the photograph, which is the first frame of a video for the same person."""
    if made.embeddings is None:
        return {}
    picture = square_picture(pair.source)
    points = next(iter(tracked(iter([picture]))))[1]
    own = face_embeddings(tools.backbones.arcface, to_tensor([picture], tools.device), points[None]).cpu()
    similarity = csim(made.embeddings, own)
    return {"csim": float(similarity.nanmean()), "identity_drift": float(identity_drift(similarity))}


def _followed(made: Trace, filmed: Trace, pair: Pair, tools: Tools) -> dict[str, float]:
    """Against the driver: AED always, APD and the openings where a video was to be copied, AKD where its points were."""
    count = min(len(made), len(filmed))
    a, b = made.points[:count], filmed.points[:count]
    both = torch.from_numpy(np.isfinite(a).all((1, 2)) & np.isfinite(b).all((1, 2)))
    if not both.any():
        return {}
    fit, aim = (fit_video(tools.face, points[:, :468].astype(np.float32)).coeffs for points in (a, b))
    found = {"aed": float(expression_distance(fit.exp, aim.exp)[both].mean())}
    if pair.video is not None:
        found["mouth_correlation"] = opening_correlation(mouth_openings(a), mouth_openings(b))
        found["lid_correlation"] = opening_correlation(eye_openings(a), eye_openings(b))
        found["apd"] = float(pose_distance(fit, aim)[both].mean())
    if made.coefficients is not None and filmed.coefficients is not None:
        fit, aim = (split_coefficients(rows[:count]) for rows in (made.coefficients, filmed.coefficients))
        found["aed_deep3d"] = float(expression_distance(fit.exp, aim.exp)[both].mean())
        if pair.video is not None:
            found["apd_deep3d"] = float(pose_distance(fit, aim)[both].mean())
    if pair.same:
        found["akd"] = float(akd(torch.from_numpy(a), torch.from_numpy(b))[both].mean())
    return found


def _in_sync(frames: Callable[[], Frames], made: Trace, sound: Float[np.ndarray, " n"] | None, tools: Tools) -> dict[str, float]:
    """Sync-C and Sync-D, in a second walk, for the cut depends on the face's place in the frames around."""
    if tools.backbones.syncnet is None or sound is None or not np.isfinite(made.points).any():
        return {}
    boxes, faces, stream = face_boxes(made.points), [], frames()
    while chunk := list(islice(stream, CHUNK)):
        done = sum(map(len, faces))
        part = boxes[done : done + len(chunk)]
        faces.append(speaking_faces(to_tensor(chunk[: len(part)], tools.device), part).half())
        if done + len(part) >= len(boxes):
            break
    seen, heard = sync_embeddings(tools.backbones.syncnet, torch.cat(faces).float(), sound)
    if not len(seen):
        return {}
    found = sync(seen, heard)
    return {"sync_c": found.confidence, "sync_d": found.distance}


def _features(path: Path | None, tools: Tools, limit: int | None) -> Float[Tensor, "t d"] | None:
    """Inception features of a video, without anything else."""
    if path is None or tools.backbones.inception is None:
        return None
    parts, stream = [], square_frames(path, window_of(path), limit)
    while chunk := list(islice(stream, CHUNK)):
        with torch.no_grad():
            parts.append(tools.backbones.inception(to_tensor(chunk, tools.device)).cpu())
    return torch.cat(parts)
