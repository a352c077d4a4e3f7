"""Eq. 5 against its closed form."""

import torch
from compose.fusion import FOG, blend, concat_layers, fuse, over, person_mask


def layers(channels: int = 3) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.rand(2, channels, 4, 5, generator=generator) * 2 - 1 for _ in range(3))


def full(value: float) -> torch.Tensor:
    return torch.full((2, 1, 4, 5), float(value))


def test_pure_masks_select_one_layer():
    head, torso, background = layers(7)
    for w, t, expected in ((1, 0, head), (1, 1, head), (0, 1, torso), (0, 0, background)):
        person = person_mask(full(w), full(t))
        assert torch.equal(fuse(head, torso, background, full(w), person), expected)


def test_soft_masks_by_hand():
    head, torso, background = (full(v) for v in (0.5, -0.5, 1.0))
    w, t = 0.25, 0.5
    person = person_mask(full(w), full(t))  # 0.75
    expected = (0.5 * 0.25 - 0.5 * 0.75) * 0.75 + 1.0 * 0.25
    torch.testing.assert_close(fuse(head, torso, background, full(w), person), full(expected))


def test_threshold_makes_the_head_solid_only_in_the_union():
    assert person_mask(full(0.91), full(0))[0, 0, 0, 0] == 1
    torch.testing.assert_close(person_mask(full(0.9), full(0)), full(0.9))
    assert person_mask(full(0.7), full(0.7)).max() == 1
    head, torso, background = layers()
    torch.testing.assert_close(fuse(head, torso, background, full(0.95), full(1)), head * 0.95 + torso * 0.05)


def test_concatenated_terms_sum_to_equation_5():
    head, torso, background = layers()
    w, t = full(0.3), full(0.4)
    person = person_mask(w, t)
    terms = concat_layers(blend(head, torso, w), background, person)
    torch.testing.assert_close(terms[:, :3] + terms[:, 3:], fuse(head, torso, background, w, person))


def test_over_equals_equation_5_for_hard_masks():
    head, torso, background = layers()
    for w, t in ((1, 0), (1, 1), (0, 1), (0, 0)):
        below = blend(torso, background, full(t))
        rendered = head * w - (1 - w)  # volume rendering leaves -1 where the head is not
        expected = fuse(head, torso, background, full(w), person_mask(full(w), full(t)))
        torch.testing.assert_close(over(rendered, below, full(w)), expected)


def test_over_leaves_fog_alone_and_adds_light_linearly():
    head, below, _ = layers()
    assert torch.allclose(over(head, below, full(FOG)), below, atol=1e-6)
    half = FOG + 0.5 * (0.9 - FOG)
    torch.testing.assert_close(over(head, below, full(half)), head + 0.5 * (below + 1))
