"""Growing and shrinking masks against scipy."""

import numpy as np
import pytest
import torch
from core.nn.morphology import dilate, erode
from scipy.ndimage import grey_dilation, grey_erosion


@pytest.mark.parametrize("radius", [0, 1, 4, 20])
def test_equals_scipy(radius):
    image = np.random.default_rng(0).random((13, 17)).astype(np.float32)
    tensor, window = torch.from_numpy(image)[None, None], (2 * radius + 1,) * 2
    np.testing.assert_array_equal(dilate(tensor, radius)[0, 0].numpy(), grey_dilation(image, window, mode="nearest"))
    np.testing.assert_array_equal(erode(tensor, radius)[0, 0].numpy(), grey_erosion(image, window, mode="nearest"))
