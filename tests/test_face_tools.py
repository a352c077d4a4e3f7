"""The scripts that make, measure and draw the embedded face model."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from core.face import FaceModel
from core.face import regions as r

ROOT = Path(__file__).parent.parent


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(ROOT / "tools")
    yield import_module
    for name in ("build_face_model", "measure_face_model", "draw_face_axes"):
        sys.modules.pop(name, None)


def test_codes_of_the_measured_faces_are_white(tool) -> None:
    """Whatever the faces, their codes have mean square 1 and do not correlate, once mirror images are counted too."""
    build = tool("build_face_model")
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(6, r.POINTS, 3)) * rng.uniform(0.5, 3, (6, 1, 1))
    faces = np.einsum("nk,kvi->nvi", rng.normal(size=(40, 6)), hidden)
    axes = build.identity_axes(faces, np.zeros((3 * r.POINTS, 1)), 12)  # a mirrored axis doubles the dimensions
    middle = (faces.mean(0) + build.mirrored(faces.mean(0)[None])[0]) / 2
    both = np.concatenate([faces - middle, build.mirrored(faces - middle)])
    codes = np.linalg.lstsq(axes, build.weigh(both).T, rcond=None)[0]
    np.testing.assert_allclose(codes @ codes.T / len(both), np.eye(12), atol=1e-6)
    np.testing.assert_allclose(axes @ codes, build.weigh(both).T, atol=1e-6)


def test_alignment_undoes_turning_moving_and_scaling(tool) -> None:
    build = tool("build_face_model")
    target = FaceModel.embedded().mean.double().numpy()
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    found = build.align((1.7 * target @ turn + [1.0, 2.0, 3.0])[None], target, np.ones(r.POINTS))
    np.testing.assert_allclose(found[0], target, atol=1e-12)


def test_what_axes_reach_is_explained_and_nothing_else(tool) -> None:
    measure = tool("measure_face_model")
    basis = FaceModel.embedded().exp_basis.double().numpy()
    codes = np.random.default_rng(0).normal(size=(5, 64))
    beyond = np.random.default_rng(1).normal(size=(5, r.POINTS, 3))
    beyond, _ = measure.unexplained(beyond, basis)
    rest, found = measure.unexplained(np.einsum("vik,nk->nvi", basis, codes) + beyond, basis)
    np.testing.assert_allclose(found, codes, atol=1e-6)
    np.testing.assert_allclose(rest, beyond, atol=1e-6)


def test_the_picture_in_the_docs_shows_the_shipped_model(tool) -> None:
    from PIL import Image

    drawn = np.asarray(tool("draw_face_axes").sheet(FaceModel.embedded()).convert("RGB"), np.float32)
    with Image.open(ROOT / "docs" / "face_axes.png") as file:
        committed = np.asarray(file.convert("RGB"), np.float32)
    assert committed.shape == drawn.shape
    assert np.abs(committed - drawn).mean() < 1
