"""Whose colour is this: skin's, hair's, clothes'? Learnt from the photo itself."""

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

BINS = 12
TEXTURES = (1.2, 3.0)
"""Between smooth skin, hair or cloth in soft light, and curls or patterns, in the unit of `texture`."""
FEW = 30.0
"""Pixels below which a histogram is not believed fully."""


def skin_distance(image: UInt8[np.ndarray, "h w 3"], face: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Squared distance of every pixel's CIE Lab colour from the face's typical skin, in standard deviations.

    Lightness counts less than hue, because necks lie in the shade.

    Args:
        image: RGB.
        face: pixels that are mostly skin; eyes, lips and brows among them are outliers that the median ignores.
    """
    import cv2

    lab = cv2.cvtColor(cv2.blur(image, (3, 3)).astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    if not face.any():
        return np.full(face.shape, np.inf, np.float32)
    middle = np.median(lab[face], axis=0)
    spread = 1.4826 * np.median(np.abs(lab[face] - middle), axis=0)
    spread = np.maximum(spread, (6.0, 2.5, 2.5)) * np.array((1.8, 1.3, 1.3))
    return np.square((lab - middle) / spread).sum(axis=-1).astype(np.float32)


def texture(image: UInt8[np.ndarray, "h w 3"], size: tuple[int, int]) -> Float[np.ndarray, "h2 w2"]:
    """Standard deviation of lightness (0 to 100) in windows of 5 x 5, averaged and resized to ``size`` (width, height)."""
    import cv2

    light = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)[..., 0].astype(np.float32) * (100 / 255)
    mean = cv2.blur(light, (5, 5))
    deviation = np.sqrt(np.maximum(cv2.blur(light * light, (5, 5)) - mean * mean, 0))
    return cv2.resize(cv2.blur(deviation, (5, 5)), size, interpolation=cv2.INTER_AREA)


def colour_bins(lab: Float[np.ndarray, "h w 3"], texture: Float[np.ndarray, "h w"]) -> Int[np.ndarray, "h w"]:
    """Number of the bin, of ``len(TEXTURES) + 1`` textures by `BINS` lightnesses by ``2 * BINS`` greens to reds and blues to yellows."""
    light = np.clip(lab[..., 0] * (BINS / 100), 0, BINS - 1).astype(np.int32)
    hue = np.clip((lab[..., 1:] + 60) * (2 * BINS / 120), 0, 2 * BINS - 1).astype(np.int32)
    rough = np.digitize(texture, TEXTURES).astype(np.int32)
    return ((rough * BINS + light) * 2 * BINS + hue[..., 0]) * 2 * BINS + hue[..., 1]


def colour_density(bins: Int[np.ndarray, "h w"], weight: Float[np.ndarray, "h w"], unseen: float) -> Float[np.ndarray, " n"]:
    """Smoothed histogram over the bins of `colour_bins`: sums to 1 if there are enough pixels, plus ``unseen`` for every bin.

    Args:
        bins: of every pixel.
        weight: how much every pixel counts.
        unseen: density of a colour that was not seen.
    """
    from scipy.ndimage import gaussian_filter

    shape = (len(TEXTURES) + 1, BINS, 2 * BINS, 2 * BINS)
    counts = np.bincount(bins.ravel(), weights=weight.ravel(), minlength=int(np.prod(shape)))
    smooth = gaussian_filter(counts.reshape(shape), (0.5, 0.8, 0.8, 0.8), mode="nearest", truncate=3.0).ravel()
    return smooth / max(FEW, float(weight.sum())) + unseen
