"""Light, tone, age and gaze of made people as options of the data modules, for stores and for people who are drawn meanwhile."""

from pathlib import Path

import numpy as np
import pytest
from animate.data import AnimateDataModule
from compose.data import ComposeDataModule
from core.data.clips import ClipStore
from core.media.image import write_image
from core.people.photos import split_of
from core.train.data import ClipDataModule
from recon.data import ReconDataModule

SIZE = 96


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    from skimage.data import astronaut

    folder = tmp_path_factory.mktemp("photos")
    assert split_of("astronaut") == "train"
    write_image(folder / "astronaut.png", astronaut())
    return folder


def module(root: Path, photos: Path, live: bool, **options: float) -> ClipDataModule:
    return ClipDataModule(str(root), people=1, photos=str(photos), frames=2, size=SIZE, live=live, **options)


@pytest.mark.parametrize("kind", [ClipDataModule, ReconDataModule, AnimateDataModule, ComposeDataModule])
def test_every_data_module_hands_the_shares_on(kind, photos):
    data = kind("nowhere", photos=str(photos), live=True, relit=0.1, toned=0.2, aged=0.3, gaze=0.5)
    clips = data.clips()
    (source,) = clips.sources
    assert (source.relit, source.toned, source.aged) == (0.1, 0.2, 0.3)
    assert clips.options.gaze == 0.5
    (plain,) = kind("nowhere", photos=str(photos), live=True).clips().sources
    assert (plain.relit, plain.toned, plain.aged) == (0.0, 0.0, 0.0)


def test_a_store_and_people_drawn_meanwhile_are_varied_alike(photos, tmp_path):
    toned = module(tmp_path / "toned", photos, live=False, toned=1.0, gaze=0.0)
    toned.prepare_data()
    stored = ClipStore(tmp_path / "toned")
    drawn = module(tmp_path / "none", photos, live=True, toned=1.0, gaze=0.0).clips()
    plain = module(tmp_path / "none", photos, live=True, gaze=0.0).clips()
    images = [clips.frame(0, 0).head.numpy() for clips in (stored, drawn, plain)]
    assert np.abs(images[0] - images[1]).mean() < 0.02
    assert np.abs(images[2] - images[1]).mean() > 0.02
    gazes = np.concatenate([drawn.frame(0, n).gaze.numpy() for n in range(2)])
    assert np.ptp(gazes, 0).max() == 0


def test_procedural_people_have_no_shares(tmp_path):
    data = ClipDataModule(str(tmp_path), people=1, size=SIZE, live=True, relit=1.0)
    assert not hasattr(data.clips().sources[0], "relit")
