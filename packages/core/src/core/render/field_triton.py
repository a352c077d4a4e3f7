"""What Triton kernels know of a point: features of three channel-last planes and the decoder's answer, and the way back.

The table of a sample's planes is (3, height + 2, width + 2, channels) with one texel of zeros around each plane, so that no tap needs a
mask. The decoder lies in one row of numbers, see ``core.render.volume_triton.decoder_row``. Everything is computed in float32.
"""

import inspect
from collections.abc import Callable

import triton
import triton.language as tl


def kernel(function: Callable) -> Callable:
    """``triton.jit``."""
    return triton.jit(inspect.unwrap(function))  # shape checks, where a test run adds them, cannot be compiled


@kernel
def softplus(x: tl.tensor) -> tl.tensor:
    """``log(1 + exp(x))`` within 5e-7, with the polynomial of ``core.render.vector_math``; the library's logarithm is a long sequence."""
    t = tl.exp(-tl.abs(x))
    q = 5.12610212e-3 * t - 2.90740646e-2
    q = q * t + 7.75160866e-2
    q = q * t - 1.36022476e-1
    q = q * t + 1.90768807e-1
    q = q * t - 2.48353990e-1
    q = q * t + 3.33181217e-1
    q = q * t - 4.99994450e-1
    q = q * t + 1.0
    return tl.maximum(x, 0.0) + t * q


@kernel
def sigmoid(x: tl.tensor) -> tl.tensor:
    """Logistic function."""
    return 1.0 / (1.0 + tl.exp(-x))


@kernel
def activate(x: tl.tensor, SILU: tl.constexpr) -> tl.tensor:
    """The hidden activation."""
    if SILU:
        return x * sigmoid(x)
    else:  # noqa: RET505 -- the compiler wants both branches of a constant condition to be its only ends
        return softplus(x)


@kernel
def slope(x: tl.tensor, SILU: tl.constexpr) -> tl.tensor:
    """Derivative of ``activate``."""
    s = sigmoid(x)
    if SILU:
        return s * (1.0 + x * (1.0 - s))
    else:  # noqa: RET505
        return s


@kernel
def tap(u: tl.tensor, size: tl.tensor) -> tl.tensor:
    """Texel before a coordinate in [-1, 1] in the padded table, weight of the next one, and whether the coordinate meets the plane."""
    position = (u + 1.0) * 0.5 * size + 0.5
    inside = (position > 0.0) & (position < size + 1.0)
    position = tl.where(inside, position, 0.0)
    cell = position.to(tl.int32)
    return cell, position - cell, inside


@kernel
def pick(x: tl.tensor, y: tl.tensor, z: tl.tensor, AXIS: tl.constexpr) -> tl.tensor:
    """One coordinate."""
    if AXIS == 0:
        return x
    elif AXIS == 1:  # noqa: RET505
        return y
    else:
        return z


@kernel
def corner(u: tl.tensor, v: tl.tensor, height: tl.tensor, width: tl.tensor, plane: tl.constexpr, CHANNELS: tl.constexpr) -> tl.tensor:
    """Offset of the upper left texel that points meet on a plane, a third of the weights of all four, and whether it counts."""
    column, right, across = tap(u, width)
    row, lower, down = tap(v, height)
    inside = across & down
    third = tl.where(inside, 1.0 / 3.0, 0.0)
    both = right * lower * third
    right, lower = right * third - both, lower * third - both
    first = ((plane * (height + 2) + row) * (width + 2) + column) * CHANNELS
    return first, third - right - lower - both, right, lower, both, inside


@kernel
def gather(
    table: tl.tensor, u: tl.tensor, v: tl.tensor, height: tl.tensor, width: tl.tensor, plane: tl.constexpr, CHANNELS: tl.constexpr
) -> tl.tensor:
    """A third of the features (r, c) of points on one plane."""
    first, here, right, lower, both, _ = corner(u, v, height, width, plane, CHANNELS)
    at = table + first[:, None] + tl.arange(0, CHANNELS)[None, :]
    below = at + (width + 2) * CHANNELS
    upper_row = tl.load(at).to(tl.float32) * here[:, None] + tl.load(at + CHANNELS).to(tl.float32) * right[:, None]
    lower_row = tl.load(below).to(tl.float32) * lower[:, None] + tl.load(below + CHANNELS).to(tl.float32) * both[:, None]
    return upper_row + lower_row


@kernel
def features(
    table: tl.tensor, x: tl.tensor, y: tl.tensor, z: tl.tensor, height: tl.tensor, width: tl.tensor,
    CHANNELS: tl.constexpr, AXES: tl.constexpr,
) -> tl.tensor:  # fmt: skip
    """Features (r, c) of points scaled to [-1, 1] as the mean of three planes; ``AXES`` as six numbers (column, row)."""
    first = gather(table, pick(x, y, z, AXES[0]), pick(x, y, z, AXES[1]), height, width, 0, CHANNELS)
    second = gather(table, pick(x, y, z, AXES[2]), pick(x, y, z, AXES[3]), height, width, 1, CHANNELS)
    third = gather(table, pick(x, y, z, AXES[4]), pick(x, y, z, AXES[5]), height, width, 2, CHANNELS)
    return first + second + third


@kernel
def add_to_plane(
    table: tl.tensor, gradient: tl.tensor, u: tl.tensor, v: tl.tensor, counts: tl.tensor, height: tl.tensor, width: tl.tensor,
    plane: tl.constexpr, CHANNELS: tl.constexpr,
) -> None:  # fmt: skip
    """Add the gradient (r, c) of features to the four texels of one plane that points meet."""
    first, here, right, lower, both, inside = corner(u, v, height, width, plane, CHANNELS)
    at = table + first[:, None] + tl.arange(0, CHANNELS)[None, :]
    below = at + (width + 2) * CHANNELS
    mask = (counts & inside)[:, None]
    tl.atomic_add(at, gradient * here[:, None], mask=mask, sem="relaxed")
    tl.atomic_add(at + CHANNELS, gradient * right[:, None], mask=mask, sem="relaxed")
    tl.atomic_add(below, gradient * lower[:, None], mask=mask, sem="relaxed")
    tl.atomic_add(below + CHANNELS, gradient * both[:, None], mask=mask, sem="relaxed")


@kernel
def add_to_planes(
    table: tl.tensor, gradient: tl.tensor, x: tl.tensor, y: tl.tensor, z: tl.tensor, height: tl.tensor, width: tl.tensor,
    CHANNELS: tl.constexpr, AXES: tl.constexpr,
) -> None:  # fmt: skip
    """The transpose of ``features``; points without any gradient are left out."""
    counts = tl.max(tl.abs(gradient), 1) > 0.0
    add_to_plane(table, gradient, pick(x, y, z, AXES[0]), pick(x, y, z, AXES[1]), counts, height, width, 0, CHANNELS)
    add_to_plane(table, gradient, pick(x, y, z, AXES[2]), pick(x, y, z, AXES[3]), counts, height, width, 1, CHANNELS)
    add_to_plane(table, gradient, pick(x, y, z, AXES[4]), pick(x, y, z, AXES[5]), counts, height, width, 2, CHANNELS)
