"""Mouths drawn into the look back."""

import numpy as np
import torch
from compose.head_skip import HeadSkip
from compose.lookback import LookBack
from compose.mouth_layer import mouth_of, with_mouths
from core.face.coeffs import FaceCoeffs
from core.face.model import FaceModel


class Square:
    """A mouth that shows a red square, half of its last row."""

    def draw(self, exp, euler, trans, size):
        share = np.ones((4, 4), np.float32)
        share[-1] = 0.25
        return np.full((4, 4, 3), (255, 0, 0), np.uint8), share, (8, 16)


def view(count: int) -> LookBack:
    ticks = (torch.arange(16) * 2 + 1) / 16 - 1
    place = torch.stack(torch.meshgrid(ticks, ticks, indexing="xy"), -1).expand(count, -1, -1, -1)
    return LookBack(
        place, torch.zeros(count, 1, 32, 32), torch.ones(count, 1, 32, 32), torch.ones(count, 1, 32, 32), torch.zeros(count, 2, 32, 32)
    )


def test_what_is_drawn_counts_as_seen_and_covers_the_photograph():
    found = with_mouths(view(2), [Square(), Square()], FaceCoeffs.zeros(2), 64)
    expected = torch.zeros(32, 32)
    expected[4, 8:10], expected[5, 8:10] = 1, 0.625
    torch.testing.assert_close(found.seen, expected.expand(2, 1, 32, 32))
    layer = torch.cat([torch.zeros(2, 3, 64, 64), torch.ones(2, 1, 64, 64)], 1)
    moved = HeadSkip.move(layer, found)
    red = torch.tensor([1.0, -1.0, -1.0])
    torch.testing.assert_close(moved[0, :3, 8:11, 16:20], red[:, None, None].expand(3, 3, 4))
    torch.testing.assert_close(moved[0, :3, 11, 16:20], 0.5 * red[:, None].expand(3, 4))
    rest = torch.ones(64, 64, dtype=torch.bool)
    rest[8:12, 16:20] = False
    torch.testing.assert_close(moved[0, :3, rest], torch.zeros(3, int(rest.sum())))


def test_without_a_mouth_nothing_changes():
    before = view(1)
    assert with_mouths(before, [None], FaceCoeffs.zeros(1), 64) is before


def test_mouths_belong_to_the_embedded_face_model():
    coeffs = FaceCoeffs.zeros(1)
    assert mouth_of(FaceModel.embedded(), torch.zeros(1, 3, 64, 64), coeffs) is not None
