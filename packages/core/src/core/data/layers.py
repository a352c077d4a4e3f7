"""One portrait divided into head, torso continued behind the head, and background continued behind the person (spec section 10)."""

from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from core.data.completion import complete
from core.perception.matting import foreground_colours
from core.perception.parsing import Parsing, Part

CLASSES = 6
NECK_FILL = 53
CLOTHES_FILL = 9
"""Rows of a 512 picture by which neck and clothes are continued upwards behind the head."""
NOTCH = 80
"""Columns of a 512 picture: narrower gaps in the continuation are closed."""
DARKENING = 0.98
"""Factor per row of the continuation: it lies in the shade of the chin."""
INSET = 4
"""Rows below the edge of the head from which colours are taken, because the edge itself is a mixture."""
RESTS = 0.1
"""How far below the chin hair rests on the torso altogether, and how far from clothes not at all, in heights of the picture."""
TRUSTED = 10
"""Pixels of a 512 picture by which the background keeps away from the person."""


@dataclass(frozen=True)
class LayerTensors:
    """The layers as networks want them: float32, RGB in [-1, 1], -1 where a layer is empty."""

    head: Float[Tensor, "1 3 h w"]
    """Hair and face over -1."""
    head_mask: Float[Tensor, "1 1 h w"]
    """Opacity of the head in [0, 1]."""
    torso: Float[Tensor, "1 3 h w"]
    """Neck and clothes, continued behind the head, over -1."""
    torso_mask: Float[Tensor, "1 1 h w"]
    """Opacity of the torso in [0, 1]."""
    background: Float[Tensor, "1 3 h w"]
    """Everything else, continued behind the person."""
    segmap: Float[Tensor, "1 6 h w"]
    """One-hot classes in the order of `Part`."""


@dataclass(frozen=True)
class SourceLayers:
    """The layers as pictures. Colours are those of the layer alone and meaningful where its mask is above 0."""

    head_image: UInt8[np.ndarray, "h w 3"]
    """RGB of hair and face, free of the background's colour."""
    head_mask: Float[np.ndarray, "h w"]
    """Opacity of hair and face in [0, 1]."""
    torso_image: UInt8[np.ndarray, "h w 3"]
    """RGB of neck and clothes, continued upwards behind the head."""
    torso_mask: Float[np.ndarray, "h w"]
    """Opacity of the torso in [0, 1]; 1 in the continued part."""
    background: UInt8[np.ndarray, "h w 3"]
    """RGB without the person."""
    segmap: Float[np.ndarray, "6 h w"]
    """One-hot classes in the order of `Part`."""

    def tensors(self) -> LayerTensors:
        """Batch of one, on the CPU."""

        def mask(array: np.ndarray) -> Tensor:
            return rearrange(torch.from_numpy(np.ascontiguousarray(array, np.float32)), "h w -> 1 1 h w")

        def picture(array: np.ndarray) -> Tensor:
            return rearrange(torch.from_numpy(np.ascontiguousarray(array)).float(), "h w c -> 1 c h w") / 127.5 - 1

        head_mask, torso_mask = mask(self.head_mask), mask(self.torso_mask)
        return LayerTensors(
            (picture(self.head_image) + 1) * head_mask - 1,
            head_mask,
            (picture(self.torso_image) + 1) * torso_mask - 1,
            torso_mask,
            picture(self.background),
            torch.from_numpy(self.segmap)[None],
        )


def split_layers(
    image: UInt8[np.ndarray, "h w 3"], parsing: Parsing, smooth: bool = True, texture: bool = False, hair_rests: bool = False
) -> SourceLayers:
    """Divide a portrait so that ``background``, ``torso`` over it and ``head`` over both show the portrait again.

    Args:
        image: RGB.
        parsing: parts of the image.
        smooth: blur the continued background more, the deeper it lies behind the person; otherwise it copies the nearest pixels exactly.
        texture: continue its texture too (``core.data.completion``), which takes about as long as all the rest.
        hair_rests: hair on shoulders belongs to the torso as well as to the head, or a turning head would take it along.
    """
    torso_image, torso_mask = inpaint_torso(image, parsing, hair_rests)
    background = inpaint_background(image, parsing.person_alpha, smooth, texture)
    head_image = foreground_colours(image, parsing.head_alpha)
    return SourceLayers(head_image, parsing.head_alpha, torso_image, torso_mask, background, one_hot(parsing.labels))


def one_hot(labels: UInt8[np.ndarray, "h w"]) -> Float[np.ndarray, "6 h w"]:
    """One plane for every class, 1 where a pixel belongs to it."""
    return (labels[None] == np.arange(CLASSES, dtype=np.uint8)[:, None, None]).astype(np.float32)


def inpaint_torso(
    image: UInt8[np.ndarray, "h w 3"], parsing: Parsing, hair_rests: bool = False
) -> tuple[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "h w"]]:
    """Continue neck and clothes upwards behind the head, column by column, each row a little darker (spec section 10).

    Args:
        image: RGB.
        parsing: parts of the image.
        hair_rests: add hair below the chin and next to clothes.

    Returns:
        Colours of the torso alone, and its opacity.
    """
    import cv2

    scale = image.shape[0] / 512
    labels = parsing.labels
    head = np.isin(labels, (Part.HAIR, Part.FACE_SKIN, Part.OTHER))
    neck, clothes = labels == Part.BODY_SKIN, labels == Part.CLOTHES
    colours = foreground_colours(image, parsing.person_alpha).astype(np.float32)
    filled = np.zeros(labels.shape, np.bool_)
    for part, rows in ((clothes, CLOTHES_FILL), (neck, NECK_FILL)):
        colours, added = _continue_upwards(colours, part, head, max(2, round(rows * scale)), max(1, round(INSET * scale)))
        filled |= added
    colours, filled = _without_notches(colours, filled, head, round(NOTCH * scale))
    blurred = cv2.blur(colours, (2 * round(3 * scale) + 1, 2 * round(2 * scale) + 1))
    soft = cv2.blur(filled.astype(np.float32), (5, 5))[..., None]
    colours = np.where(filled[..., None], blurred, colours) * soft + colours * (1 - soft)
    visible = np.clip(parsing.person_alpha - parsing.head_alpha, 0, 1)
    mask = np.maximum(visible, cv2.GaussianBlur(filled.astype(np.float32), (0, 0), max(0.6, scale)) * head)
    mask = np.maximum(mask, (filled | (_below(filled) & (neck | clothes))) * parsing.person_alpha)
    if hair_rests:
        mask = np.maximum(mask, _resting_hair(labels) * parsing.head_alpha)
    return np.clip(np.round(colours), 0, 255).astype(np.uint8), mask.astype(np.float32)


def _resting_hair(labels: UInt8[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """How far hair belongs to the torso too: below the chin and next to clothes it rests on them, and stays while the head turns."""
    import cv2

    rows = np.flatnonzero((labels == Part.FACE_SKIN).sum(1) > len(labels) / 64)
    chin, reach = rows[-1] if len(rows) else len(labels), RESTS * len(labels)
    below = ((np.arange(len(labels)) - chin) / reach)[:, None]
    beside = 1 - cv2.distanceTransform((labels != Part.CLOTHES).astype(np.uint8), cv2.DIST_L2, 5) / reach
    return (labels == Part.HAIR) * np.clip(np.maximum(below, beside), 0, 1)


def _without_notches(
    colours: Float[np.ndarray, "h w 3"], filled: Bool[np.ndarray, "h w"], head: Bool[np.ndarray, "h w"], widest: int
) -> tuple[Float[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"]]:
    """Close gaps between columns of the continuation, up to ``widest`` pixels, with the nearest colours: a collar's tip beside the neck."""
    import cv2

    # cv2 takes what lies outside the picture for the least helpful value, so that no gap is closed against the border
    window = np.ones((2 * (widest // 16) + 1, 2 * (widest // 2) + 1), np.uint8)  # some rows, or single ones would stay open
    closed = cv2.morphologyEx(filled.astype(np.uint8), cv2.MORPH_CLOSE, window) > 0
    gaps = closed & head & ~filled
    if not gaps.any():
        return colours, filled
    _, nearest = cv2.distanceTransformWithLabels((~filled).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    of_label = np.zeros((nearest.max() + 1, 3), colours.dtype)
    of_label[nearest[filled]] = colours[filled]
    return np.where(gaps[..., None], of_label[nearest], colours), filled | gaps


def _below(filled: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The pixels within three rows under the continued part, where head and torso mix in the photo."""
    result = filled.copy()
    for rows in (1, 2, 3):
        result[rows:] |= filled[:-rows]
    return result


def _continue_upwards(
    colours: Float[np.ndarray, "h w 3"], part: Bool[np.ndarray, "h w"], head: Bool[np.ndarray, "h w"], rows: int, inset: int
) -> tuple[Float[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"]]:
    """Copy the colour ``inset`` pixels below the first torso pixel under the head over it and ``rows`` pixels up, where the head is."""
    height, width = part.shape
    under = np.zeros_like(part)
    under[1:] = part[1:] & head[:-1]
    # the lowest such place is the edge of the chin; higher ones are gaps between strands
    first = height - 1 - np.argmax(under[::-1], axis=0)
    touches = under.any(axis=0)
    y = np.arange(height)[:, None]
    steps = first[None] - y
    ceiling = first[touches].max(initial=0) - 1.6 * rows  # measured from the chin; higher up, horns would show beside the cheeks
    fill = touches[None] & (steps >= 1) & (steps <= rows) & ((y >= ceiling) | (steps <= 0.4 * rows)) & head
    edge = touches[None] & (steps <= 0) & (steps > -inset) & part
    origin = np.minimum(first + inset, height - 1)
    taken = np.where(part[origin, np.arange(width)][:, None], colours[origin, np.arange(width)], colours[first, np.arange(width)])
    shade = DARKENING ** np.maximum(steps, 0)[..., None]
    return np.where((fill | edge)[..., None], taken[None] * shade, colours).astype(np.float32), fill


def inpaint_background(
    image: UInt8[np.ndarray, "h w 3"], person_alpha: Float[np.ndarray, "h w"], smooth: bool = True, texture: bool = False
) -> UInt8[np.ndarray, "h w 3"]:
    """Fill the place of the person with the nearest trusted background pixel (K nearest neighbours with K = 1, spec section 10).

    Exact, by one Euclidean distance transform. Trusted are pixels farther than ``TRUSTED`` from the person.

    Args:
        image: RGB.
        person_alpha: opacity of the person.
        smooth: blur with a width that grows with the distance from trusted pixels, against streaks.
        texture: near the trusted pixels put their texture in place of the blur; with ``smooth`` only.
    """
    import cv2
    from scipy.ndimage import distance_transform_edt

    person = person_alpha > 0.03
    margin = TRUSTED * image.shape[0] / 512
    trusted = ~person
    if person.any():
        trusted = cv2.distanceTransform(trusted.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) > margin
    if not trusted.any():
        trusted = person_alpha <= person_alpha.min()
    away, nearest = distance_transform_edt(~trusted, return_indices=True)
    filled = image[tuple(nearest)]
    if not smooth:
        return filled
    filled = np.where(trusted[..., None], image, _blur_by(filled, 0.5 * away))
    return complete(image, trusted, filled) if texture else filled


def _blur_by(image: UInt8[np.ndarray, "h w 3"], width: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Gaussian blur whose standard deviation (pixels) differs from pixel to pixel, interpolated between octaves."""
    import cv2

    colours = image.astype(np.float32)
    result, previous, low = colours.copy(), colours, 0.0
    for sigma in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0):
        if width.max() <= low:
            break
        factor = max(1, int(sigma / 3))
        small = cv2.resize(colours, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), sigma / factor, borderType=cv2.BORDER_REPLICATE)
        blurred = cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        share = np.clip((width - low) / (sigma - low), 0, 1)[..., None].astype(np.float32)
        result += share * (blurred - previous)  # 1 in all octaves below the width, so that the sum telescopes
        previous, low = blurred, sigma
    return np.clip(np.round(result), 0, 255).astype(np.uint8)
