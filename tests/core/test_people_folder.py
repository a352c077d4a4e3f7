"""Thirty photographs of the folder that REAL3D_PHOTOS names: every source view shows its photograph."""

import os
from pathlib import Path

import numpy as np
import pytest
from core.errors import PortraitError
from core.people.person import render
from core.people.photos import PhotoSource, find_photos

FOLDER = os.environ.get("REAL3D_PHOTOS", "")
COUNT = 30


def source_view_error(photo: PhotoSource) -> float:
    """PSNR in dB between the photograph and the meshes at its own pose."""
    who = PhotoSource(photo.path, vary=False).make(np.random.default_rng(0))
    c = who.coeffs
    drawn = render(who, c.exp[0].numpy(), c.euler[0].numpy(), c.trans[0].numpy(), who.photograph.shape[0])
    return float(10 * np.log10(255**2 / np.mean((drawn.image.astype(float) - who.photograph) ** 2)))


@pytest.mark.slow
@pytest.mark.skipif(not FOLDER or not Path(FOLDER).is_dir(), reason="REAL3D_PHOTOS names no folder of photographs")
def test_source_views_reproduce_thirty_photographs(record_property):
    photos = [photo for photo in find_photos(FOLDER) if isinstance(photo, PhotoSource)]
    found, refused = {}, {}
    for index in np.linspace(0, len(photos) - 1, min(COUNT, len(photos))).astype(int):
        try:
            found[photos[index].name] = source_view_error(photos[index])
        except PortraitError as error:
            refused[photos[index].name] = error.message
    values = np.array(list(found.values()))
    record_property("source view, dB", f"minimum {values.min():.1f}, median {np.median(values):.1f} of {len(values)}")
    assert len(refused) <= COUNT // 10, refused
    assert values.min() >= 32, {name: round(value, 1) for name, value in found.items() if value < 32}
