"""Other backgrounds behind people that stay, on frames put together from known layers."""

from dataclasses import replace

import pytest
import torch
from compose.recolour import recoloured
from core.nn.morphology import dilate

SIZE = 64


@pytest.fixture
def pair(noise_pairs):
    """A disc of a head with a soft edge over a torso over a plate; the batch, what is over any plate, the torso's outline."""
    y, x = torch.meshgrid(torch.arange(SIZE) + 0.5, torch.arange(SIZE) + 0.5, indexing="ij")
    mask = ((16.0 - torch.hypot(y - 26, x - 32)) / 2 + 0.5).clamp(0, 1)[None, None].expand(2, 1, SIZE, SIZE)
    torso = ((y > 40) & ((x - 32).abs() < 24))[None, None].float().expand_as(mask)
    head = (mask > 0.5).float()
    segmap = torch.zeros(2, 6, SIZE, SIZE)
    segmap[:, 3:4], segmap[:, 4:5] = head, torso * (1 - head)
    segmap[:, :1] = 1 - segmap.sum(1, keepdim=True)
    plate = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) - 0.5

    def over(plate):
        return mask * 0.7 + (1 - mask) * (torso * -0.6 + (1 - torso) * plate)

    outline = torch.maximum(dilate(torso, 1) * dilate(1 - torso, 1), dilate(torso, 2) * dilate(head, 2))
    frame = replace(noise_pairs.source, image=over(plate), head_mask=mask, segmap=segmap)
    return (
        replace(noise_pairs, source=frame, target=frame, background=plate),
        over,
        outline,
    )


def test_is_the_person_before_the_other_plate(pair):
    batch, over, outline = pair
    found = recoloured(batch, torch.Generator().manual_seed(1))
    error = (found.target.image - over(found.background)).abs() * (1 - outline)
    assert error.max() < 1e-5
    assert torch.equal(found.source.image, found.target.image)
    assert (found.background - batch.background).abs().mean() > 0.1
    assert found.background.abs().max() <= 1
    assert torch.equal(batch.target.image, over(batch.background))  # what was given is as it was


def test_colours_differ_from_person_to_person_and_repeat_with_the_seed(pair):
    batch, _, _ = pair
    batch = replace(batch, background=batch.background[:1].expand(2, -1, -1, -1))
    first, again, other = (recoloured(batch, torch.Generator().manual_seed(seed)).background for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first[0], first[1])
