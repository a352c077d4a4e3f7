"""SegFormer parts against plain formulas and published sizes."""

import torch
from core.hub import parameter_count
from core.nn.segformer import DropPath, MiT, MiTConfig, MixBlock, OverlapPatchEmbed, ReducedAttention
from torch.nn import functional as F


def test_mit_b0_has_the_published_number_of_parameters_and_strides():
    with torch.device("meta"):
        assert parameter_count(MiT(MiTConfig())) == 3_319_392
    maps = MiT(MiTConfig(widths=(8, 8, 16, 16), depths=(1, 1, 1, 1), heads=(1, 1, 2, 2)))(torch.randn(2, 3, 64, 64))
    assert [tuple(m.shape) for m in maps] == [(2, 8, 16, 16), (2, 8, 8, 8), (2, 16, 4, 4), (2, 16, 2, 2)]


def test_attention_without_reduction_is_the_textbook_formula():
    torch.manual_seed(0)
    layer, x = ReducedAttention(8, 2), torch.randn(3, 12, 8)
    query = layer.query(x).view(3, 12, 2, 4).transpose(1, 2)
    key, value = (half.view(3, 12, 2, 4).transpose(1, 2) for half in layer.key_value(x).chunk(2, -1))
    mixed = torch.softmax(query @ key.transpose(2, 3) / 2, -1) @ value
    expected = layer.proj(mixed.transpose(1, 2).reshape(3, 12, 8))
    torch.testing.assert_close(layer(x, (3, 4)), expected, atol=1e-6, rtol=1e-5)


def test_reduced_attention_is_constant_over_tokens_when_queries_are():
    torch.manual_seed(0)
    layer = ReducedAttention(8, 2, reduction=2)
    torch.nn.init.zeros_(layer.query.weight)
    out = layer(torch.randn(1, 16, 8), (4, 4))
    torch.testing.assert_close(out, out[:, :1].expand_as(out))


def test_block_keeps_token_order_row_major():
    torch.manual_seed(0)
    embed, block = OverlapPatchEmbed(3, 8).eval(), MixBlock(8, 2).eval()
    image = torch.randn(1, 3, 8, 16)
    tokens, size = embed(image)
    assert size == (4, 8)
    torch.testing.assert_close(tokens[0, 9], embed.norm(F.conv2d(image, embed.proj.weight, embed.proj.bias, 2, 1)[0, :, 1, 1]))
    assert block(tokens, size).shape == tokens.shape


def test_drop_path_keeps_the_mean_and_is_off_in_eval():
    torch.manual_seed(0)
    drop, x = DropPath(0.25), torch.ones(4000, 1, 1)
    kept = drop(x)
    torch.testing.assert_close(kept.unique(), torch.tensor([0.0, 1 / 0.75]))
    assert abs(kept.mean().item() - 1) < 0.05
    assert torch.equal(drop.eval()(x), x)
