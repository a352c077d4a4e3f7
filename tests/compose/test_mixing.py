import pytest
import torch
from compose.box import Box
from compose.mixing import blended_torch
from compose.mixing_numba import blended
from torch.nn import functional as F

FUSION = 32


@pytest.mark.parametrize("torso_size", [FUSION // 2, FUSION, 12])
@pytest.mark.parametrize("box", [Box(0, 16, 0, 16), Box(4, 16, 8, 12)], ids=["whole", "part"])
def test_compiled_layers_are_the_readable_ones(torso_size: int, box: Box):
    torch.manual_seed(0)
    size = 2 * (box.bottom - box.top), 2 * (box.right - box.left)
    head, torso, scenery = torch.randn(2, 5, *size), torch.randn(2, 5, torso_size, torso_size), torch.randn(2, 5, FUSION, FUSION)
    masks = tuple(F.interpolate(torch.rand(2, 1, 4, 4), size, mode="bicubic").clamp(0, 1) for _ in range(2))
    arguments = head, torso, scenery, masks, torch.randn(5), 0.01, box
    with torch.no_grad():
        torch.testing.assert_close(blended(*arguments), blended_torch(*arguments), atol=1e-5, rtol=0)


def test_layers_of_bfloat16_are_rounded_once():
    torch.manual_seed(0)
    head, torso, scenery = (torch.randn(1, 5, side, side, dtype=torch.bfloat16) for side in (32, 16, 32))
    masks, bias = (torch.rand(1, 1, 32, 32), torch.rand(1, 1, 32, 32)), torch.randn(5, dtype=torch.bfloat16)
    with torch.no_grad():
        found = blended(head, torso, scenery, masks, bias, 0.01, Box(0, 16, 0, 16))
        expected = blended_torch(*(x.float() for x in (head, torso, scenery)), masks, bias.float(), 0.01, Box(0, 16, 0, 16))
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, atol=1e-5, rtol=2**-8)


def test_the_layers_cover_each_other():
    head, torso, scenery = (torch.full((1, 2, 4, 4), value) for value in (1.0, 2.0, 3.0))
    bias, box, one, none = torch.tensor([0.0, -9.0]), Box(0, 2, 0, 2), torch.ones(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    for masks, expected in (((one, one), 1.0), ((none, one), 2.0), ((one, none), 3.0)):
        found = blended(head, torso, scenery, masks, bias, 0.5, box)[0, :, 0, 0]
        torch.testing.assert_close(found, torch.tensor([expected, (expected - 9) / 2]))
