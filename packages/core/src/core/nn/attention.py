"""Softmax attention: the library's, and in pieces where that is slow."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

QUERIES = 256
"""Per piece: their scores stay small beside the keys."""


def attend(query: Float[Tensor, "b h n d"], key: Float[Tensor, "b h m d"], value: Float[Tensor, "b h m d"]) -> Float[Tensor, "b h n d"]:
    """``softmax(query key^T / sqrt(d)) value``.

    The library's fused kernel multiplies bfloat16 on a CPU two to five times slower than plain products do.
    """
    if query.device.type == "cpu" and query.dtype == torch.bfloat16 and not torch.is_grad_enabled():
        return attend_in_pieces(query, key, value)
    return F.scaled_dot_product_attention(query, key, value)


def attend_in_pieces(
    query: Float[Tensor, "b h n d"], key: Float[Tensor, "b h m d"], value: Float[Tensor, "b h m d"]
) -> Float[Tensor, "b h n d"]:
    """The same, ``QUERIES`` queries at a time, for inference; products and weights have the type of ``query``."""
    out = torch.empty_like(query, memory_format=torch.contiguous_format)
    with torch.autocast(query.device.type, enabled=False):  # it would make the scores float32
        key, value = (key * query.shape[-1] ** -0.5).contiguous().transpose(-1, -2), value.contiguous()
        for start in range(0, query.shape[2], QUERIES):
            part = slice(start, start + QUERIES)
            scores = query[:, :, part].contiguous() @ key
            share = scores.sub_(scores.amax(-1, keepdim=True)).exp_()  # softmax() makes float32 of it
            out[:, :, part] = share @ value / share.sum(-1, keepdim=True)
    return out
