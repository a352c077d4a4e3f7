"""How faces and heads move over time: smooth random motions with measured sizes and durations.

Expressions: standard deviations and times as ``tools/measure_motion.py`` finds them in 83 clips of talking faces. Heads: rounded figures
of a handful of talking-head clips (angular speeds around 10 degrees a second, positions wandering by some millimetres).
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from jaxtyping import Float

FPS = 25
TURNING = ((np.radians([2.0, 2.2, 1.0]), 0.18), (np.radians([2.5, 4.0, 2.5]), 0.8))
"""Standard deviations (pitch, yaw, roll; radians) and time (seconds) of nods and of slower turns."""
SWAYING = ((np.array([0.03, 0.02, 0.04]), 0.3), (np.array([0.06, 0.03, 0.10]), 1.0))
"""The same of the foot of the neck in 3DMM units."""


def smooth_motion(frames: int, time: float, columns: int, rng: np.random.Generator) -> Float[np.ndarray, "t c"]:
    """Independent stationary Gaussian motions of unit variance, 25 frames a second, exact at any frame rate.

    White noise twice through a low-pass: the autocorrelation is ``(1 + t / time) exp(-t / time)``, the speed is continuous, and has a
    standard deviation of ``1 / time``.

    Args:
        frames: how many.
        time: seconds.
        columns: how many motions.
        rng: decides everything.
    """
    rate, step = 1 / time, 1 / FPS
    move = np.exp(-rate * step) * np.array([[1 + rate * step, step], [-(rate**2) * step, 1 - rate * step]])
    settled = np.diag([1.0, rate**2])
    kick = np.linalg.cholesky(settled - move @ settled @ move.T + 1e-15 * settled)
    noise = rng.normal(size=(frames, 2, columns))
    state = np.sqrt(settled) @ noise[0]
    places = np.empty((frames, columns))
    places[0] = state[0]
    for frame in range(1, frames):
        state = move @ state + kick @ noise[frame]
        places[frame] = state[0]
    return places


@dataclass(frozen=True)
class ExpressionStatistics:
    """Sizes of the two motions that make up talking, per whitened expression code.

    Attributes:
        quick: standard deviation of what changes from sound to sound.
        slow: of what changes from phrase to phrase.
        times: seconds of both.
    """

    quick: Float[np.ndarray, "64"]
    slow: Float[np.ndarray, "64"]
    times: Float[np.ndarray, "2"]


@lru_cache(maxsize=1)
def expression_statistics() -> ExpressionStatistics:
    """As measured."""
    from safetensors.numpy import load

    return ExpressionStatistics(**load(files("core.people").joinpath("motion.safetensors").read_bytes()))


def expression_motion(frames: int, rng: np.random.Generator) -> Float[np.ndarray, "t 64"]:
    """Deviation of the expression code from its mean while someone talks."""
    measured = expression_statistics()
    parts = zip((measured.quick, measured.slow), measured.times.tolist(), strict=True)
    return sum((size * smooth_motion(frames, time, 64, rng) for size, time in parts), np.zeros((frames, 64)))


def head_motion(frames: int, rng: np.random.Generator) -> tuple[Float[np.ndarray, "t 3"], Float[np.ndarray, "t 3"]]:
    """Deviations of the head's angles (radians) and of the foot of its neck (3DMM units) while someone talks."""
    turns, sways = (sum(size * smooth_motion(frames, time, 3, rng) for size, time in parts) for parts in (TURNING, SWAYING))
    return turns, sways
