"""Teeth, tongue and cavity of a lifted person (``core.people.mouth``) as a layer of the look back (ours, not in the paper)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from core.face.coeffs import FaceCoeffs
from core.face.model import FaceModel
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from compose.lookback import LookBack

if TYPE_CHECKING:
    from core.people.mouth import Mouth


def mouth_of(face: FaceModel, image: Float[Tensor, "1 3 S S"], coeffs: FaceCoeffs) -> "Mouth | None":
    """The mouth of one photograph in [-1, 1]; None unless ``face`` is the embedded model, which mouths are made for."""
    if len(face.mean) != 468:
        return None
    from core.people.mouth import Mouth

    pixels = rearrange((image[0].clamp(-1, 1) + 1) * 127.5 + 0.5, "c h w -> h w c").to(torch.uint8)
    return Mouth.of(pixels.cpu().numpy(), coeffs)


def with_mouths(view: LookBack, mouths: "Sequence[Mouth | None]", coeffs: FaceCoeffs, size: int) -> LookBack:
    """The look back with mouths drawn for its frames, which then count as seen; as it was if there are none.

    Args:
        view: of the frames.
        mouths: one per frame.
        coeffs: expressions and poses of the frames.
        size: side of the finished picture.
    """
    layer, seen, scale = view.place.new_zeros(len(view.place), 4, size, size), view.seen.clone(), size // view.seen.shape[-1]
    for number, mouth in enumerate(mouths):
        if mouth is None:
            return view
        code = (x[number].detach().cpu().numpy() for x in (coeffs.exp, coeffs.euler, coeffs.trans))
        colours, share, (top, left) = mouth.draw(*code, size)
        window = layer[number, :, top : top + share.shape[0], left : left + share.shape[1]]
        window[:3] = rearrange(torch.from_numpy(colours), "h w c -> c h w").to(layer) / 127.5 - 1
        window[3] = torch.from_numpy(share).to(layer)
        coarse = [slice(start // scale, -(-(start + length) // scale)) for start, length in zip((top, left), share.shape, strict=True)]
        rows, columns = (slice(part.start * scale, part.stop * scale) for part in coarse)
        part = seen[number, :, coarse[0], coarse[1]]
        torch.maximum(part, F.avg_pool2d(layer[number, 3:, rows, columns], scale), out=part)
    return replace(view, seen=seen, mouth=layer)
