"""Short videos of made people who talk and turn, to evaluate on where no footage may be used: every pixel is drawn by ``core.people``.

    python tools/film_people.py --photos FOLDER --out DATA     (people that every store keeps out of training)
    python tools/film_people.py --out DATA                     (procedural people, whose seeds no training uses)

Writes ``DATA/videos/NAME.mp4``, 512 x 512 at 25 frames per second, without sound. It begins as the photograph is.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from core.errors import PortraitError
from core.media.video import VideoWriter
from core.people.motion import sample_expression, turn_about_neck
from core.people.person import Person, render
from core.people.photos import find_photos
from core.people.procedural import SeedSource
from jaxtyping import Float

FPS, SIDE = 25, 512
BEAT = 8
"""Frames between two expressions."""
TURN = np.radians([7.0, 16.0, 4.0])
"""Largest pitch, yaw and roll away from the photograph's."""
FIRST_SEED = 10**6
"""Of the procedural people: far from those of training."""


def glide(keys: Float[np.ndarray, "k n"], frames: int, beat: int) -> Float[np.ndarray, "t n"]:
    """From key to key, slow at both ends of every part, so that velocity is continuous."""
    time = np.arange(frames) / beat
    part = np.minimum(time.astype(int), len(keys) - 2)
    share = time - part
    ease = (share * share * (3 - 2 * share))[:, None]
    return keys[part] * (1 - ease) + keys[part + 1] * ease


def sway(frames: int, rng: np.random.Generator) -> Float[np.ndarray, "t 3"]:
    """Pitch, yaw and roll away from the start in radians: two slow waves each, zero at the first frame."""
    time = np.arange(frames)[:, None] / FPS
    waves = np.zeros((frames, 3))
    for low, high, part in ((0.15, 0.35, 0.7), (0.5, 0.9, 0.3)):
        rate, phase = rng.uniform(low, high, 3), rng.uniform(0, 2 * np.pi, 3)
        waves += part * (np.sin(2 * np.pi * rate * time + phase) - np.sin(phase))
    return TURN * waves / np.maximum(1, np.abs(waves).max(0))


def film(person: Person, path: Path, frames: int, rng: np.random.Generator) -> None:
    """Write one video: random expressions eased into each other, the head swaying about the neck."""
    start = person.coeffs.exp[0].numpy()
    keys = np.stack([start, *(sample_expression(person, rng) for _ in range(frames // BEAT + 2))])
    turns = person.coeffs.euler[0].numpy() + sway(frames, rng)
    with VideoWriter(path, SIDE, FPS) as video:
        for code, euler in zip(glide(keys, frames, BEAT), turns, strict=True):
            euler = euler.astype(np.float32)
            video.write(render(person, code.astype(np.float32), euler, turn_about_neck(person.coeffs, euler), SIDE).image)


def _sources(options: argparse.Namespace) -> list[Any]:
    """Everybody who may be filmed."""
    if options.photos is None:
        return [SeedSource(FIRST_SEED + options.seed + k) for k in range(4 * options.people)]
    chosen = [photo for photo in find_photos(options.photos) if photo.split == "val"]
    return [chosen[k] for k in np.random.default_rng(options.seed).permutation(len(chosen))]


def main() -> int:
    """Read the command line and write the videos that are not there yet; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder; the videos go into its subfolder `videos`")
    parser.add_argument("--photos", type=Path, help="folder of photographs to lift; without it people are procedural")
    parser.add_argument("--people", type=int, default=8, help="videos (default: 8)")
    parser.add_argument("--frames", type=int, default=50, help="of each (default: 50)")
    parser.add_argument("--seed", type=int, default=0, help="of who is filmed and how they move (default: 0)")
    options = parser.parse_args()
    made = 0
    try:
        for source in _sources(options):
            if made == options.people:
                break
            path = options.out / "videos" / f"{source.name}.mp4"
            rng = np.random.default_rng((options.seed, made))
            if not path.is_file():
                try:
                    film(source.make(rng), path, options.frames, rng)
                except PortraitError as error:
                    print(error, file=sys.stderr)
                    continue
            made += 1
    except PortraitError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{made} videos in {options.out / 'videos'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
