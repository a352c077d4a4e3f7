"""PNCC images: geometry against the projection, colours against the code, holes."""

import pytest
import torch
from core.face import FaceModel, pncc_clip, project, render_pncc
from core.face.expression import close_eyes, close_lips, motion_axis
from core.face.regions import LEFT_EYE, LIPS_INNER, RIGHT_EYE

ZERO = torch.zeros(1, 80)


@pytest.fixture(scope="module")
def face() -> FaceModel:
    return FaceModel.embedded()


def hole(face: FaceModel, image: torch.Tensor, ring: tuple[int, ...], exp: torch.Tensor) -> int:
    """Empty pixels in the bounding box of a ring of points."""
    box = project(face.keypoints(ZERO, exp)[:, list(ring)])[0] * image.shape[2]
    low, high = box.amin(0).floor().int(), box.amax(0).ceil().int()
    return int((image[0, :, low[1] : high[1] + 1, low[0] : high[0] + 1] == -1).all(0).sum())


def test_colours_are_the_mean_coordinates_at_projected_vertices(face: FaceModel) -> None:
    generator = torch.Generator().manual_seed(0)
    id, exp = torch.randn(1, 80, generator=generator), torch.randn(1, 64, generator=generator)
    image = render_pncc(face, id, exp, 256)
    pixels = (project(face.keypoints(id, exp))[0] * 256).long()
    front = [4, 5, 195, 50, 280, 151, 9, 199, 205, 425]  # nose, cheeks, forehead, chin: smooth places that nothing hides
    seen = image[0, :, pixels[front, 1], pixels[front, 0]].T
    torch.testing.assert_close(seen, face.ncc[front] * 2 - 1, rtol=0, atol=0.04)


def test_orientation_and_range(face: FaceModel) -> None:
    image = render_pncc(face, ZERO, torch.zeros(1, 64), 128)[0]
    skin = (image != -1).any(0)
    rows, columns = skin.nonzero().T
    assert image.min() == -1
    assert image.max() <= 1
    red = image[0][skin].sub(image[0][skin].mean())
    green = image[1][skin].sub(image[1][skin].mean())
    assert torch.corrcoef(torch.stack([red, columns.float()]))[0, 1] > 0.98  # x grows to the viewer's right
    assert torch.corrcoef(torch.stack([green, rows.float()]))[0, 1] < -0.98  # y grows upwards
    assert not skin[[0, -1]].any()
    assert 0.55 < (columns.max() - columns.min() + 1) / 128 < 0.75


def test_face_mirrors_onto_itself(face: FaceModel) -> None:
    image = render_pncc(face, ZERO, torch.zeros(1, 64), 128)[0]
    same = (image != -1).any(0) == (image != -1).any(0).flip(1)
    assert same.float().mean() > 0.995


def test_holes_open_and_close(face: FaceModel) -> None:
    neutral = torch.zeros(1, 64)
    shouting = neutral + motion_axis(face, "jaw_open")
    rest, shout = render_pncc(face, ZERO, neutral, 256), render_pncc(face, ZERO, shouting, 256)
    assert hole(face, rest, LIPS_INNER, neutral) < 20
    assert hole(face, shout, LIPS_INNER, shouting) > 300
    silent = close_lips(face, ZERO, shouting, torch.ones(1))
    assert hole(face, render_pncc(face, ZERO, silent, 256), LIPS_INNER, silent) < 20
    asleep = close_eyes(face, ZERO, neutral, torch.ones(1))
    shut = render_pncc(face, ZERO, asleep, 256)
    for eye in (LEFT_EYE, RIGHT_EYE):
        assert hole(face, rest, eye, neutral) > 60
        assert hole(face, shut, eye, asleep) < 12


def test_no_partial_colours_at_borders(face: FaceModel) -> None:
    """Every pixel is either empty or a colour between those of the vertices: nothing is blended with the background."""
    image = render_pncc(face, ZERO, torch.zeros(1, 64), 64)[0]
    skin = (image != -1).any(0)
    assert image[:, skin].amin() >= -1
    assert (image[1, skin] > -0.999).all()
    assert torch.equal(image[:, ~skin], torch.full_like(image[:, ~skin], -1))


def test_backends_draw_the_same(face: FaceModel) -> None:
    exp = torch.randn(2, 64, generator=torch.Generator().manual_seed(2))
    fast, slow = (render_pncc(face, torch.zeros(2, 80), exp, 32, backend) for backend in ("numba", "torch"))
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-5)


def test_a_clip_comes_in_parts_as_it_is_asked_for(face: FaceModel, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(4)
    id, exp = torch.randn(1, 80, generator=generator), torch.randn(7, 64, generator=generator)
    drawn: list[int] = []

    def counted(face: FaceModel, id: torch.Tensor, exp: torch.Tensor, *rest: object) -> torch.Tensor:
        drawn.append(len(exp))
        return render_pncc(face, id, exp, *rest)

    monkeypatch.setattr("core.face.pncc.render_pncc", counted)
    parts = pncc_clip(face, id, exp, 48, batch=3)
    first = next(parts)
    assert drawn == [3]  # the rest of the clip waits
    whole = torch.cat([first, *parts])
    assert drawn == [3, 3, 1]
    alone = torch.cat([render_pncc(face, id, row[None], 48) for row in exp])
    assert (whole == alone).float().mean() > 0.6  # sums of other batch sizes round differently ...
    assert ((whole - alone).abs() > 1e-4).float().mean() < 1e-3  # ... which may flip a pixel on an edge
