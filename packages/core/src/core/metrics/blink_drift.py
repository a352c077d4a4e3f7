"""Blink-induced head drift: a head that nods or shifts whenever the eyes close."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from core.face.regions import OUTER_EYE_CORNERS
from core.metrics.running_mean import RunningMean

NOSE = (168, 6, 197, 195, 5, 4)
"""Points on the bridge and tip of the nose, which lids do not move."""
LIDS = ((159, 145), (386, 374))
SHUT = 0.6
"""Share of its median below which the opening of the eyes counts as a blink."""
LONGEST = 15
"""Frames; eyes that stay closed for longer do not blink."""
REACH = 3
"""Frames before and after a blink between which the head is expected to move evenly."""


def eye_openings(points: Float[np.ndarray, "t n d"]) -> Float[np.ndarray, " t"]:
    """Mean height of both eye holes over the distance of the outer eye corners."""
    gaps = [np.linalg.norm(points[:, upper, :2] - points[:, lower, :2], axis=1) for upper, lower in LIDS]
    right, left = (points[:, corner, :2] for corner in OUTER_EYE_CORNERS)
    return np.mean(gaps, 0) / np.linalg.norm(left - right, axis=1)


def blinks(opening: Float[np.ndarray, " t"]) -> list[tuple[int, int]]:
    """First and last frame of every blink that begins and ends within the clip."""
    known = opening[np.isfinite(opening)]
    if not len(known):
        return []
    shut = np.concatenate([[False], opening < SHUT * np.median(known), [False]])
    edges = np.flatnonzero(np.diff(shut.astype(int)))
    return [(int(start), int(stop) - 1) for start, stop in zip(edges[::2], edges[1::2], strict=True) if stop - start <= LONGEST]


def blink_drift(points: Float[np.ndarray, "t n d"]) -> Float[np.ndarray, " k"]:
    """For every blink, how far the nose leaves the straight way from before to after it, in percent of the eye distance.

    Args:
        points: MediaPipe's of a clip, NaN where no face was found.

    Returns:
        One number per blink; none for blinks at the ends of the clip.
    """
    nose = points[:, list(NOSE), :2].mean(1)
    right, left = (points[:, corner, :2] for corner in OUTER_EYE_CORNERS)
    unit = np.linalg.norm(left - right, axis=1)
    found = []
    for first, last in blinks(eye_openings(points)):
        before, after = first - REACH, last + REACH
        if before >= 0 and after < len(points):
            share = (np.arange(first, last + 1) - before)[:, None] / (after - before)
            expected = nose[before] + share * (nose[after] - nose[before])
            found.append(100 * np.linalg.norm(nose[first : last + 1] - expected, axis=1).max() / np.nanmedian(unit))
    return np.array(found, np.float64)


class BlinkDrift(RunningMean):
    """Mean over blinks of ``blink_drift``; NaN when nobody blinked."""

    higher_is_better = False

    def update(self, points: Float[np.ndarray, "t n d"]) -> None:
        """Take in one clip."""
        self.add(torch.from_numpy(blink_drift(points)).to(self.total))

    @property
    def blinks(self) -> Tensor:
        """How many blinks there were."""
        return self.count
