"""The script that measures how the layers of stage 3 fit together, on layers whose figures are known."""

import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from core.face.coeffs import FaceCoeffs


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(Path(__file__).parent.parent / "tools")
    yield import_module("measure_layers")
    for name in ("measure_layers", "film_people"):
        sys.modules.pop(name, None)


def film_of(measure, seed: int = 0):
    rng = torch.Generator().manual_seed(seed)
    truth, plate = torch.rand(2, 3, 32, 32, generator=rng), torch.rand(1, 3, 32, 32, generator=rng)
    head = torch.zeros(2, 1, 32, 32)
    head[:, :, :, :16] = 1
    edge = measure.meeting(head, 1 - head)
    return measure.Film(FaceCoeffs.zeros(2), truth, truth, edge, edge, plate)


def test_layers_meet_in_a_strip(measure) -> None:
    edge = film_of(measure).edge
    assert edge[0, 0, 7].nonzero().flatten().tolist() == list(range(16 - measure.STRIP, 16 + measure.STRIP))


@pytest.mark.parametrize("share", [0.0, 0.3, -0.1])
def test_the_share_of_the_old_background_is_found(measure, share) -> None:
    film = film_of(measure)
    green = torch.tensor(measure.GREEN).view(1, 3, 1, 1) / 255
    noise = 0.01 * torch.randn(film.green.shape, generator=torch.Generator().manual_seed(1))
    assert measure.leak(film.green + share * (film.plate - green) + noise, film) == pytest.approx(share, abs=0.01)


def test_errors_count_under_the_mask_only(measure) -> None:
    film = film_of(measure)
    wrong = film.own + 0.1 * (1 - film.edge) + film.edge * 3 / 255
    assert measure.edge_error(wrong, film.own, film.edge) == pytest.approx(3.0, abs=1e-3)


def test_layers_over_green_add_up(measure) -> None:
    """Half a head of 200 and a quarter of a torso of 100 over a quarter of green."""
    frame = SimpleNamespace(
        head=np.full((1, 1, 3), 100, np.uint8), torso=np.full((1, 1, 3), 25, np.uint8), background_alpha=np.full((1, 1), 0.25)
    )
    assert measure.before_green(frame)[0, 0].tolist() == [125, 125 + 44, 125 + 16]
