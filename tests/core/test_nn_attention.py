"""Attention in pieces against the library's."""

import pytest
import torch
from core.nn.attention import attend, attend_in_pieces
from torch.nn import functional as F


def heads(*lengths: int, dtype: torch.dtype) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, n, 3, 8).transpose(1, 2).to(dtype) for n in lengths]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("queries", [4, 50])
def test_pieces_equal_the_library_s(dtype: torch.dtype, tolerance: float, queries: int, monkeypatch):
    monkeypatch.setattr("core.nn.attention.QUERIES", queries)
    query, key, value = heads(23, 11, 11, dtype=dtype)
    expected = F.scaled_dot_product_attention(*(x.double() for x in (query, key, value)))
    found = attend_in_pieces(query, key, value)
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), expected, atol=tolerance, rtol=0)


def test_pieces_are_for_bfloat16_without_gradients(monkeypatch):
    taken = []
    monkeypatch.setattr("core.nn.attention.attend_in_pieces", lambda query, *_: taken.append(query.dtype) or query)
    for dtype in (torch.float32, torch.bfloat16):
        attend(*heads(5, 5, 5, dtype=dtype))
        with torch.no_grad():
            attend(*heads(5, 5, 5, dtype=dtype))
    assert taken == [torch.bfloat16]
