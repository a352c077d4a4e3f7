"""Texture for a hole in a picture, copied from the rest of it, patch by patch and from coarse to fine.

Coherence of all patches that touch the hole (Wexler, Shechtman and Irani, "Space-Time Completion of Video", PAMI 2007), looked for by
PatchMatch (Barnes et al., "PatchMatch: A Randomized Correspondence Algorithm for Structural Image Editing", SIGGRAPH 2009).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from core.compiled import compiled

REACH = 3
"""Patches are squares of 2 * REACH + 1 pixels."""
COARSEST = 40
"""Shorter side of the coarsest level at least."""
ROUNDS = (8, 6, 3, 1)
"""Searches per level from coarse to fine; further levels take as many as the last."""
FADE = 0.9
"""Weight of a pixel of the hole for every pixel that it lies deeper: what is far inside was guessed from guesses."""
BAND = 0.16
"""How deep into the hole texture goes, in heights of the picture; over its second half it fades into the guess."""
EDGE = 0.007
"""How deep the guess goes, in heights; it gives way to texture over as much again. So near to what is known it is the best there is."""
WISPS, ENOUGH = 0.05, 0.05
"""Heights of the picture around the hole from which nothing is copied, for strands of hair may stray there; the share that must be left."""
LIGHT = 0.03
"""Changes over more than this, in heights, are those of the guess."""
FAR = 1e30


@dataclass(frozen=True)
class _Level:
    """One size of the picture.

    Attributes:
        image: rows of RGB, 0 to 255; the present guess inside the hole.
        weight: confidence in (0, 1], once for every number of ``image``.
        source: middles of patches that are known altogether.
        target: middles of patches that touch the hole.
        hole: pixels to fill.
    """

    image: Float[np.ndarray, "h w3"]
    weight: Float[np.ndarray, "h w3"]
    source: Bool[np.ndarray, "h w"]
    target: Bool[np.ndarray, "h w"]
    hole: Bool[np.ndarray, "h w"]


def complete(
    image: UInt8[np.ndarray, "h w 3"], known: Bool[np.ndarray, "h w"], guess: UInt8[np.ndarray, "h w 3"], seed: int = 1
) -> UInt8[np.ndarray, "h w 3"]:
    """The picture with texture where it is not known.

    Args:
        image: RGB.
        known: what to keep and to copy from.
        guess: smooth filling, the beginning of the search; returned as it is if hardly anything is known.
        seed: of the search; positive.
    """
    import cv2

    if known.all() or not known.any():
        return image if known.all() else guess
    matches, filled = None, guess
    for i, (height, width) in enumerate(_sizes(*known.shape)):
        level = _level(image, known, guess, height, width)
        if level.source.any():
            matches = _matched(level, matches, ROUNDS[min(i, len(ROUNDS) - 1)], seed + 97 * i)
            filled = level.image.reshape(height, width, 3)
    if filled.shape != image.shape:
        return guess
    filled = filled + _smooth_difference(guess.astype(np.float32) - filled, ~known)
    depth = cv2.distanceTransform((~known).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_3) / len(image)
    share = np.clip(np.minimum(2 - 2 * depth / BAND, (depth - EDGE) / EDGE), 0, 1)[..., None]
    mixed = np.where(known[..., None], image, share * filled + (1 - share) * guess)
    return np.clip(np.round(mixed), 0, 255).astype(np.uint8)


def _smooth_difference(difference: Float[np.ndarray, "h w 3"], hole: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w 3"]:
    """Its slow changes inside the hole: light falls differently on what is copied from elsewhere."""
    import cv2

    size, inside = (0, 0), hole.astype(np.float32)
    share = cv2.GaussianBlur(inside, size, LIGHT * len(hole))[..., None]
    return cv2.GaussianBlur(difference * inside[..., None], size, LIGHT * len(hole)) / np.maximum(share, 1e-3)


def _matched(level: _Level, coarse: Int[np.ndarray, "h2 w2 2"] | None, rounds: int, seed: int) -> Int[np.ndarray, "h w 2"]:
    """Find the known patch most like every patch that touches the hole, beginning with the matches of half the size, and fill the hole."""
    matches = np.full((*level.source.shape, 2), -1, np.int32) if coarse is None else _enlarged(coarse, *level.source.shape)
    colours, distance = (level.image, level.weight), np.empty(level.source.shape, np.float32)
    _begin(*colours, level.source, level.target, np.argwhere(level.source), matches, distance, seed)
    for turn in range(rounds):
        if turn or coarse is not None:
            _vote(level, matches, distance)
        _search(*colours, level.source, level.target, matches, distance, turn % 2 == 1, seed + turn)
    _vote(level, matches, distance)
    return matches


def _vote(level: _Level, matches: np.ndarray, distance: np.ndarray) -> None:
    """Every pixel of the hole becomes the mean of what the patches over it say, the better ones first."""
    shares = np.zeros((*level.source.shape, 3), np.float32).reshape(level.image.shape)
    sums = np.zeros_like(shares)
    _gather(level.image, level.weight, level.target, matches, distance, sums, shares)
    filled = np.repeat(level.hole, 3, 1) & (shares > 0)
    level.image[filled] = sums[filled] / shares[filled]


def _sizes(height: int, width: int) -> list[tuple[int, int]]:
    """From coarse to the picture's own."""
    sizes = [(height, width)]
    while min(sizes[-1]) // 2 >= COARSEST:
        sizes.append((sizes[-1][0] // 2, sizes[-1][1] // 2))
    return sizes[::-1]


def _level(image: np.ndarray, known: np.ndarray, guess: np.ndarray, height: int, width: int) -> _Level:
    """Reduced to a size; known is what is known altogether."""
    import cv2

    share = known.astype(np.float32)
    small = cv2.resize(share, (width, height), interpolation=cv2.INTER_AREA)
    mixed = cv2.resize(np.where(known[..., None], image, guess).astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    hole = small < 0.999
    patch = np.ones((2 * REACH + 1,) * 2, np.uint8)
    whole = cv2.erode((~hole).astype(np.uint8), patch, borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0
    clean = whole & (cv2.distanceTransform((~hole).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_3) > WISPS * height)
    source = clean if clean.mean() > ENOUGH else whole
    target = cv2.dilate(hole.astype(np.uint8), patch) > 0
    depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_3)
    near = depth * (image.shape[0] / height) < BAND * image.shape[0]
    weight = np.repeat(np.maximum(FADE**depth, 1e-3).astype(np.float32), 3, 1)
    return _Level(mixed.reshape(height, 3 * width), weight, source, target & near, hole & near)


def _enlarged(matches: Int[np.ndarray, "h w 2"], height: int, width: int) -> Int[np.ndarray, "hh ww 2"]:
    """The matches of a level half the size."""
    rows, columns = np.arange(height), np.arange(width)
    y, x = np.minimum(rows // 2, matches.shape[0] - 1), np.minimum(columns // 2, matches.shape[1] - 1)
    larger = matches[y[:, None], x[None]] * 2
    larger[..., 0] += (rows % 2)[:, None].astype(np.int32)
    larger[..., 1] += (columns % 2)[None].astype(np.int32)
    return np.ascontiguousarray(larger)


@compiled
def _random(state: int) -> int:
    """Xorshift of 32 bits."""
    state ^= (state << 13) & 0xFFFFFFFF
    state ^= state >> 17
    return (state ^ (state << 5)) & 0xFFFFFFFF


@compiled
def _distance(image: np.ndarray, weight: np.ndarray, y: int, x: int, v: int, u: int, bound: float) -> float:
    """Weighted mean squared difference of the patches around (y, x) and (v, u), rows of RGB; ``FAR`` where it is more than ``bound``."""
    height, width = weight.shape[0], weight.shape[1] // 3
    top, bottom = max(-REACH, -y), min(REACH, height - 1 - y)
    left, right = max(-REACH, -x), min(REACH, width - 1 - x)
    weights, total, limit = np.float32(0.0), np.float32(0.0), np.float32(bound * 3 * (2 * REACH + 1) ** 2)
    count, here, there = 3 * (right + 1 - left), 3 * (x + left), 3 * (u + left)
    for dy in range(top, bottom + 1):
        w, a, b = weight[y + dy, here : here + count], image[y + dy, here : here + count], image[v + dy, there : there + count]
        for k in range(count):
            difference = a[k] - b[k]
            weights += w[k]
            total += w[k] * difference * difference
        if total > limit:
            return FAR
    return total / weights


@compiled
def _begin(
    image: np.ndarray, weight: np.ndarray, source: np.ndarray, target: np.ndarray, places: np.ndarray, matches: np.ndarray,
    distance: np.ndarray, seed: int,
) -> None:  # fmt: skip
    """Matches that are no sources become random ones; distances of all."""
    state = seed
    height, width = source.shape
    for y in range(height):
        for x in range(width):
            if not target[y, x]:
                continue
            v, u = matches[y, x]
            if v < 0 or u < 0 or v >= height or u >= width or not source[v, u]:
                state = _random(state)
                v, u = places[state % len(places)]
                matches[y, x, 0], matches[y, x, 1] = v, u
            distance[y, x] = _distance(image, weight, y, x, v, u, FAR)


@compiled
def _improve(
    image: np.ndarray, weight: np.ndarray, source: np.ndarray, y: int, x: int, v: int, u: int, best: float, match: np.ndarray
) -> float:  # fmt: skip
    """Take (v, u) as the match of (y, x) if it is better; returns the distance of the better one."""
    if not (0 <= v < source.shape[0] and 0 <= u < source.shape[1] and source[v, u]):
        return best
    found = _distance(image, weight, y, x, v, u, best)
    if found < best:
        match[0], match[1] = v, u
        return found
    return best


@compiled
def _search(
    image: np.ndarray, weight: np.ndarray, source: np.ndarray, target: np.ndarray, matches: np.ndarray, distance: np.ndarray,
    backwards: bool, seed: int,
) -> None:  # fmt: skip
    """One round of PatchMatch: what suits the neighbours, shifted, and random places ever nearer."""
    state, step = seed * 7919 + 1, -1 if backwards else 1
    height, width = source.shape
    for i in range(height):
        y = height - 1 - i if backwards else i
        for j in range(width):
            x = width - 1 - j if backwards else j
            if not target[y, x]:
                continue
            match = matches[y, x]
            best = _distance(image, weight, y, x, match[0], match[1], FAR)
            for ny, nx in ((y - step, x), (y, x - step)):
                if 0 <= ny < height and 0 <= nx < width and target[ny, nx]:
                    v, u = matches[ny, nx, 0] + y - ny, matches[ny, nx, 1] + x - nx
                    best = _improve(image, weight, source, y, x, v, u, best, match)
            radius = max(height, width) // 2
            while radius >= 1:
                state = _random(state)
                v = match[0] + state % (2 * radius + 1) - radius
                state = _random(state)
                u = match[1] + state % (2 * radius + 1) - radius
                best = _improve(image, weight, source, y, x, v, u, best, match)
                radius //= 2
            distance[y, x] = best


@compiled
def _gather(
    image: np.ndarray, weight: np.ndarray, target: np.ndarray, matches: np.ndarray, distance: np.ndarray, sums: np.ndarray,
    shares: np.ndarray,
) -> None:  # fmt: skip
    """Add the match of every patch, weighted by how good it is, to the pixels under the patch."""
    height, width = target.shape
    for y in range(height):
        for x in range(width):
            if not target[y, x]:
                continue
            share = weight[y, 3 * x] / (np.float32(1.0) + distance[y, x]) ** 2
            v, u = matches[y, x]
            left = max(-REACH, -x)
            count, here, there = 3 * (min(REACH, width - 1 - x) + 1 - left), 3 * (x + left), 3 * (u + left)
            for dy in range(max(-REACH, -y), min(REACH, height - 1 - y) + 1):
                for k in range(count):
                    sums[y + dy, here + k] += share * image[v + dy, there + k]
                    shares[y + dy, here + k] += share
