"""How well the landmark fit explains real faces: ``python tools/measure_fit.py FOLDER`` with pictures and videos of your own.

Prints a Markdown table. Errors are in per cent of the outer eye distance; correlations are between the fit and the landmarks themselves;
jitter is the largest motion of any of the 468 points, in pixels of 512, while a picture is shown for 50 frames.
"""

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from core.errors import PortraitError
from core.face import FaceModel, pose_points, project
from core.face.expression import eye_opening, mouth_opening
from core.face.fitting import fit_image, fit_video, reprojection_error
from core.media.image import read_image
from core.media.video import read_video
from core.perception.crop import crop_window, square_crop
from core.perception.landmarks import face_from_pixels, find_face
from core.perception.tracking import track

PICTURES, VIDEOS = {".png", ".jpg", ".jpeg", ".webp"}, {".mp4", ".webm", ".mov", ".avi"}
STILL_FRAMES = 50


def square(tracked: np.ndarray, height: int, width: int) -> np.ndarray:
    """Points of whole frames, in the square that a photograph like the first frame with a face would be cut to."""
    pixels = tracked * np.array([width, height, width], np.float32)
    first = pixels[np.isfinite(pixels).all((1, 2))][0]
    left, top, side = crop_window(height, width, face_from_pixels(first, height, width))
    return ((pixels - np.array([left, top, 0], np.float32)) / side).astype(np.float32)


def measured_openings(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Openings of mouth and eyes in the picture, over the distance of the outer eye corners."""
    gap = {pair: np.linalg.norm(points[:, pair[0], :2] - points[:, pair[1], :2], axis=1) for pair in ((13, 14), (159, 145), (386, 374))}
    unit = np.linalg.norm(points[:, 33, :2] - points[:, 263, :2], axis=1)
    return gap[13, 14] / unit, (gap[159, 145] + gap[386, 374]) / (2 * unit)


def picture_row(face: FaceModel, path: Path) -> str:
    """Error and jitter of a picture."""
    image = read_image(path)
    crop = square_crop(image, find_face(image))
    error = reprojection_error(face, fit_image(face, crop.landmarks), crop.landmarks[None])
    coeffs = fit_video(face, np.stack(list(track([crop.image] * STILL_FRAMES)))).coeffs
    points = 512 * project(pose_points(face.keypoints(coeffs.id, coeffs.exp), coeffs.euler, coeffs.trans))
    yaw = float(torch.rad2deg(coeffs.euler[:, 1].median()))
    return f"| {path.name} | {100 * error.item():.2f} | {yaw:.0f} | {points.diff(dim=0).norm(dim=2).max():.3f} | | | |"


def video_row(face: FaceModel, path: Path, limit: int) -> str:
    """Error, lost frames and correlations of a video."""
    shape: list[tuple[int, ...]] = []

    def frames() -> Iterator[np.ndarray]:
        for frame in islice(read_video(path), limit):
            shape.append(frame.shape)
            yield frame

    points = np.stack(list(track(frames())))
    points = square(points, *shape[0][:2])
    fit = fit_video(face, points)
    seen = np.isfinite(points).all((1, 2))
    fitted = mouth_opening(face, fit.coeffs.id, fit.coeffs.exp), eye_opening(face, fit.coeffs.id, fit.coeffs.exp)
    pairs = zip(fitted, measured_openings(points[seen]), strict=True)
    mouth, eyes = (np.corrcoef(ours.numpy()[seen], theirs)[0, 1] for ours, theirs in pairs)
    yaw = float(torch.rad2deg(fit.coeffs.euler[:, 1].abs().max()))
    return f"| {path.name} | {100 * fit.error:.2f} | {yaw:.0f} | | {fit.lost} of {len(points)} | {mouth:.3f} | {eyes:.3f} |"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="searched for pictures and videos, sub-folders too")
    parser.add_argument("--frames", type=int, default=150, help="frames of every video (default: %(default)s)")
    options = parser.parse_args()
    face = FaceModel.embedded()
    print("| file | median error % | yaw | jitter px | lost | mouth r | eyes r |", "|---|---|---|---|---|---|---|", sep="\n", flush=True)
    for path in sorted(options.folder.rglob("*")):
        suffix = path.suffix.lower()
        if suffix in PICTURES | VIDEOS:
            try:
                print(picture_row(face, path) if suffix in PICTURES else video_row(face, path, options.frames), flush=True)
            except PortraitError as error:
                print(f"| {path.name} | {error} | | | | | |", flush=True)


if __name__ == "__main__":
    main()
