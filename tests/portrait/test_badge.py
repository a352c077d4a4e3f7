import numpy as np
import pytest
from portrait.badge import Badge


@pytest.mark.parametrize("side", [64, 512])
@pytest.mark.parametrize("grey", [0, 255])
def test_badge_is_legible_on_black_and_white_and_confined_to_its_corner(side, grey):
    image = np.full((side, side, 3), grey, np.uint8)
    marked = Badge(side)(image)
    rows, columns = np.nonzero((marked != image).any(2))
    assert rows.min() > side * 0.8
    assert columns.max() < side
    assert np.ptp(marked[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]) > 100
    assert (image == grey).all(), "the input is not changed"
    if side == 512:
        assert columns.min() > side * 0.6
