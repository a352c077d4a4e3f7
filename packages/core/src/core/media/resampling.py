"""Change of the sampling rate, at once or block by block with the same result."""

from collections.abc import Iterable, Iterator
from math import gcd

import numpy as np
from jaxtyping import Float

REACH = 10
"""Half the length of the filter in periods of the slower of the two rates."""
BLOCK = 1 << 16
"""Samples that are filtered together, at least."""


def resample(samples: Float[np.ndarray, " n"], source: int, target: int) -> Float[np.ndarray, " m"]:
    """Change the sampling rate with a polyphase anti-aliasing filter; ``m = resampled_length(n, source, target)``."""
    from scipy.signal import resample_poly

    if source == target:
        return samples
    up, down = _ratio(source, target)
    return resample_poly(samples, up, down).astype(np.float32)


def resampled_length(samples: int, source: int, target: int) -> int:
    """Samples after ``resample``: the same time, rounded up."""
    up, down = _ratio(source, target)
    return -(-samples * up // down)


def resample_blocks(blocks: Iterable[Float[np.ndarray, " _"]], source: int, target: int) -> Iterator[Float[np.ndarray, " _"]]:
    """``resample`` of a stream; what it yields, put together, equals the resampled whole. Memory does not grow with the stream.

    Args:
        blocks: consecutive samples in pieces of any length.
        source: their rate.
        target: the rate of the result.
    """
    if source == target:
        yield from blocks
        return
    up, down = _ratio(source, target)
    context = -(-(REACH * max(up, down) + up) // (up * down))  # in units of `down` samples, which become `up` samples exactly
    step = max(-(-BLOCK // down), context)
    held, before = np.zeros(0, np.float32), 0  # samples not yet done behind `before` units that only lend their context
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) >= (before + step + context) * down:
            piece = resample(held[: (before + step + context) * down], source, target)
            yield piece[before * up : (before + step) * up]
            done = before + step - context
            held, before = held[done * down :], context
    yield resample(held, source, target)[before * up :] if len(held) else held


def _ratio(source: int, target: int) -> tuple[int, int]:
    divisor = gcd(source, target)
    return target // divisor, source // divisor
