"""Do mouth and lids of the result open when those of the driver do? Correlations over a clip, whatever the size of the openings."""

import numpy as np
import torch
from jaxtyping import Float

from core.metrics.audio_offset import mouth_openings
from core.metrics.blink_drift import eye_openings
from core.metrics.running_mean import RunningMean

STILL = 0.02
"""Range of the driver's openings, in eye distances, below which nothing was asked for and noise would be correlated."""


def opening_correlation(made: Float[np.ndarray, " t"], wanted: Float[np.ndarray, " u"]) -> float:
    """Pearson's r of two openings over the frames that have both; NaN when the driver's hardly varies or the result's does not at all.

    Args:
        made: of the result, over the eye distance; NaN where no face was found.
        wanted: of the driver. The longer clip is cut.
    """
    count = min(len(made), len(wanted))
    known = np.isfinite(made[:count]) & np.isfinite(wanted[:count])
    a, b = made[:count][known], wanted[:count][known]
    if len(a) < 2 or np.ptp(b) < STILL or np.ptp(a) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


class MouthCorrelation(RunningMean):
    """Mean over clips of ``opening_correlation`` of the mouths."""

    higher_is_better = True

    def update(self, made: Float[np.ndarray, "t n d"], wanted: Float[np.ndarray, "u n d"]) -> None:
        """Take in MediaPipe's points of one clip, of the result and of the driver."""
        self.add(torch.tensor([opening_correlation(mouth_openings(made), mouth_openings(wanted))], dtype=torch.float64))


class LidCorrelation(RunningMean):
    """Mean over clips of ``opening_correlation`` of the eyes."""

    higher_is_better = True

    def update(self, made: Float[np.ndarray, "t n d"], wanted: Float[np.ndarray, "u n d"]) -> None:
        """Take in MediaPipe's points of one clip, of the result and of the driver."""
        self.add(torch.tensor([opening_correlation(eye_openings(made), eye_openings(wanted))], dtype=torch.float64))
