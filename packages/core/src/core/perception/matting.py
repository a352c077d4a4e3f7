"""Soft outline of a person and colours free of the background behind it."""

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from core.perception import solutions


def person_alpha(image: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
    """Opacity of the people in a photo, in [0, 1]: MediaPipe selfie segmentation sharpened along the edges of the image.

    Args:
        image: RGB, best a square crop of head and shoulders.
    """
    return refine_alpha(image, recolour(image, _segment(image)))


def _segment(image: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
    """Mean of three looks at the photo: as it is, mirrored, and with room added around it; where they disagree is doubt."""
    import cv2

    height, width = image.shape[:2]
    network = solutions.selfie_segmentation()
    top, aside = round(0.3 * height), round(0.15 * width)
    roomy = cv2.copyMakeBorder(image, top, 0, aside, aside, cv2.BORDER_REPLICATE)
    plain = network.run(image).segmentation_mask
    mirrored = network.run(image[:, ::-1]).segmentation_mask[:, ::-1]
    inner = network.run(roomy).segmentation_mask[top:, aside : aside + width]
    return ((plain + mirrored + inner) / 3).astype(np.float32)


def recolour(image: UInt8[np.ndarray, "h w 3"], rough: Float[np.ndarray, "h w"], strength: float = 1.0) -> Float[np.ndarray, "h w"]:
    """Correct doubtful parts of a mask by how often their colour occurs in its certain person and certain background.

    Adds ``strength`` times the log ratio of the two colour histograms to the mask's log odds, at half resolution.

    Args:
        image: RGB.
        rough: probability of the person.
        strength: trust in colour; colours common to both change nothing.
    """
    import cv2

    height, width = rough.shape
    half = (max(1, width // 2), max(1, height // 2))
    small, mask = cv2.resize(image, half, interpolation=cv2.INTER_AREA), cv2.resize(rough, half, interpolation=cv2.INTER_AREA)
    bins = 24
    index = (small.astype(np.int32) * bins) // 256
    flat = (index[..., 0] * bins + index[..., 1]) * bins + index[..., 2]
    ratio = np.log(_histogram(flat, mask > 0.97, bins) / _histogram(flat, mask < 0.03, bins))
    evidence = cv2.blur(ratio.astype(np.float32)[flat], (5, 5))
    evidence = cv2.resize(evidence * (1 - np.abs(2 * mask - 1) ** 8), (width, height), interpolation=cv2.INTER_LINEAR)
    odds = np.log(np.clip(rough, 1e-3, 1 - 1e-3) / np.clip(1 - rough, 1e-3, 1))
    return (1 / (1 + np.exp(-odds - strength * evidence))).astype(np.float32)


def _histogram(flat: Int[np.ndarray, "h w"], where: Bool[np.ndarray, "h w"], bins: int) -> Float[np.ndarray, " n"]:
    from scipy.ndimage import gaussian_filter

    counts = np.bincount(flat[where], minlength=bins**3).astype(np.float32).reshape(bins, bins, bins)
    counts = gaussian_filter(counts, 1.0, mode="nearest").ravel()
    return counts / max(1.0, counts.sum()) + 2e-5


def refine_alpha(image: UInt8[np.ndarray, "h w 3"], rough: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Move a soft mask's transition to the edges of the image with a colour guided filter (He et al. 2013), certain regions kept."""
    radius = max(2, round(0.016 * max(image.shape[:2])))
    guided = guided_filter(image.astype(np.float32) / 255.0, rough, radius, 1e-4)
    return np.clip((guided - 0.1) / 0.8, 0.0, 1.0)


def guided_filter(guide: Float[np.ndarray, "h w 3"], values: Float[np.ndarray, "h w"], radius: int, eps: float) -> Float[np.ndarray, "h w"]:
    """Locally fit ``values`` as a linear function of the guide's colours in windows of ``2 * radius + 1`` and average the fits.

    The fits are made at half resolution when the radius allows (fast guided filter, He and Sun 2015).

    Args:
        guide: colours in [0, 1].
        values: what to filter.
        radius: of the windows, in pixels.
        eps: variance of colour (squared) below which the result is smooth.
    """
    import cv2

    if radius >= 4 and min(values.shape) >= 4 * radius:
        half = (values.shape[1] // 2, values.shape[0] // 2)
        small, mask = cv2.resize(guide, half, interpolation=cv2.INTER_AREA), cv2.resize(values, half, interpolation=cv2.INTER_AREA)
        fit = cv2.resize(_local_fit(small, mask, radius // 2, eps), values.shape[::-1], interpolation=cv2.INTER_LINEAR)
    else:
        fit = _local_fit(guide, values, radius, eps)
    return (fit[..., :3] * guide).sum(axis=-1) + fit[..., 3]


def _local_fit(guide: Float[np.ndarray, "h w 3"], values: Float[np.ndarray, "h w"], radius: int, eps: float) -> Float[np.ndarray, "h w 4"]:
    """Slope for the three colours, and offset."""
    import cv2

    def mean(array: np.ndarray) -> np.ndarray:
        return cv2.blur(array, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT)

    centre, average = mean(guide), mean(values)
    pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    rr, rg, rb, gg, gb, bb = (mean(guide[..., i] * guide[..., j]) - centre[..., i] * centre[..., j] + eps * (i == j) for i, j in pairs)
    cr, cg, cb = (mean(guide[..., i] * values) - centre[..., i] * average for i in range(3))
    # Cramer's rule for the symmetric 3 x 3 system (covariance + eps) a = covariance with the values
    m0, m1, m2 = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    inverse = 1.0 / (rr * m0 + rg * m1 + rb * m2)
    a0 = (m0 * cr + m1 * cg + m2 * cb) * inverse
    a1 = (m1 * cr + (rr * bb - rb * rb) * cg + (rg * rb - rr * gb) * cb) * inverse
    a2 = (m2 * cr + (rg * rb - rr * gb) * cg + (rr * gg - rg * rg) * cb) * inverse
    offset = average - a0 * centre[..., 0] - a1 * centre[..., 1] - a2 * centre[..., 2]
    return mean(np.stack([a0, a1, a2, offset], axis=-1))


def foreground_colours(image: UInt8[np.ndarray, "h w 3"], alpha: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Colours of the person alone where the photo shows a mixture with the background (blur fusion, Forte 2021, two passes).

    Solves ``image = alpha * F + (1 - alpha) * B`` for F, close to local averages of the certain foreground and background. The first,
    wide pass runs at a quarter of the resolution.
    """
    import cv2

    size = image.shape[1::-1]
    quarter = (max(1, size[0] // 4), max(1, size[1] // 4))
    photo, alpha = image.astype(np.float32), alpha.astype(np.float32)
    small, mask = cv2.resize(photo, quarter, interpolation=cv2.INTER_AREA), cv2.resize(alpha, quarter, interpolation=cv2.INTER_AREA)
    fore, back = (cv2.resize(layer, size, interpolation=cv2.INTER_LINEAR) for layer in _fuse(small, small, small, mask, 11))
    foreground, _ = _fuse(photo, fore, back, alpha, 7)
    return np.round(np.where(alpha[..., None] > 0.999, photo, foreground)).astype(np.uint8)


def _fuse(photo: np.ndarray, fore: np.ndarray, back: np.ndarray, alpha: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """One pass of blur fusion: local means of both layers, then the foreground that explains the photo."""
    import cv2

    weight = alpha[..., None]
    near_fore = cv2.blur(fore * weight, (side, side)) / (cv2.blur(alpha, (side, side))[..., None] + 1e-5)
    near_back = cv2.blur(back * (1 - weight), (side, side)) / (cv2.blur(1 - alpha, (side, side))[..., None] + 1e-5)
    return np.clip(near_fore + weight * (photo - weight * near_fore - (1 - weight) * near_back), 0, 255), near_back
