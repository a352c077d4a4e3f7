"""Exponential and softplus of many numbers at once for compiled code: polynomials, because those of the C library take one at a time."""

import numpy as np

from core.compiled import compiled

ZERO, HALF, ONE = np.float32(0), np.float32(0.5), np.float32(1)
LOG2E, LIMIT, BIAS = np.float32(1.4426950408889634), np.float32(126), np.float32(127)


@compiled
def exp(x: np.ndarray, bits: np.ndarray, power: np.ndarray) -> None:
    """Replace ``x`` by its exponential, between 2^-126 and 2^126, within 2e-7 of it; ``power`` is the float32 view of ``bits``."""
    for i in range(x.shape[0]):
        y = min(max(x[i] * LOG2E, -LIMIT), LIMIT)
        whole = np.float32(np.int32(y + np.float32(127.5)))
        r = y - (whole - BIAS)
        p = np.float32(1.54614447e-4)
        p = p * r + np.float32(1.34004282e-3)
        p = p * r + np.float32(9.61805668e-3)
        p = p * r + np.float32(5.55032723e-2)
        p = p * r + np.float32(2.40226509e-1)
        p = p * r + np.float32(6.93147207e-1)
        x[i] = p * r + ONE
        bits[i] = np.int32(whole * np.float32(8388608))
    for i in range(x.shape[0]):
        x[i] *= power[i]


@compiled
def softplus(x: np.ndarray, e: np.ndarray, bits: np.ndarray, power: np.ndarray) -> None:
    """Replace ``x`` by ``log(1 + exp(x))``; ``e`` is room to work in."""
    for i in range(x.shape[0]):
        e[i] = -abs(x[i])
    exp(e, bits, power)
    for i in range(x.shape[0]):
        t = e[i]
        q = np.float32(5.12610212e-3)
        q = q * t - np.float32(2.90740646e-2)
        q = q * t + np.float32(7.75160866e-2)
        q = q * t - np.float32(1.36022476e-1)
        q = q * t + np.float32(1.90768807e-1)
        q = q * t - np.float32(2.48353990e-1)
        q = q * t + np.float32(3.33181217e-1)
        q = q * t - np.float32(4.99994450e-1)
        q = q * t + ONE
        x[i] = max(x[i], np.float32(0)) + t * q
