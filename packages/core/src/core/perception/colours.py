"""Is this pixel's colour that of skin, or of hair? Learnt from the photo itself."""

import numpy as np
from jaxtyping import Bool, Float, UInt8

BINS = 20
UNSEEN = 6e-4
"""Density that a colour is taken to have outside the hair: only colours common in hair speak for hair, or dark curls would claim suits."""


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


def hair_evidence(
    image: UInt8[np.ndarray, "h w 3"], hair: Bool[np.ndarray, "h w"], other: Bool[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w"]:
    """Log ratio of two colour histograms, averaged over 5 x 5 pixels: positive where a colour is more typical of ``hair``.

    Colours seen in neither count as slightly against.

    Args:
        image: RGB.
        hair: pixels that are surely hair.
        other: pixels that are surely something else.
    """
    import cv2

    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.int32)
    index = (lab * (BINS, 2 * BINS, 2 * BINS)) // 256  # Lab's colour axes use only the middle of their range
    flat = (index[..., 0] * 2 * BINS + index[..., 1]) * 2 * BINS + index[..., 2]
    ratio = np.log(colour_density(flat[hair]) + 5e-6) - np.log(colour_density(flat[other]) + UNSEEN)
    return cv2.blur(ratio.astype(np.float32)[flat], (5, 5))


def colour_density(flat: np.ndarray) -> Float[np.ndarray, " bins"]:
    """Smoothed histogram (sums to 1) of the bin numbers that `hair_evidence` makes."""
    from scipy.ndimage import gaussian_filter

    counts = np.bincount(flat, minlength=4 * BINS**3).astype(np.float32).reshape(BINS, 2 * BINS, 2 * BINS)
    return (gaussian_filter(counts, 1.0) / max(1, flat.size)).ravel()
