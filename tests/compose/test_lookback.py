"""Looking back: pixels of a frame are followed to the photograph, against projected vertices."""

from dataclasses import replace

import pytest
import torch
from compose.lookback import BORDER, head_surface, look_back
from core.camera import FIT_FOCAL, Camera
from core.face.coeffs import FaceCoeffs
from core.face.expression import close_eyes
from core.face.lids import EDGES, FOLDS, LOWER
from core.face.model import FaceModel, pose_points, project
from core.render.volume import Rendering
from torch.nn import functional as F

SIZE = 128
FACE = FaceModel.embedded()
DEEP = torch.ones(1, 1, SIZE, SIZE)
"""Chords of planes that reach everywhere."""


def coeffs(seed: int, turn: float = 0.0) -> FaceCoeffs:
    generator = torch.Generator().manual_seed(seed)
    identity = torch.randn(1, 80, generator=torch.Generator().manual_seed(0))
    return FaceCoeffs(
        identity, 1.5 * torch.randn(1, 64, generator=generator), torch.tensor([[0.05, turn, 0.0]]), torch.tensor([[0.1, -0.1, 0.2]])
    )


def camera(c: FaceCoeffs) -> Camera:
    return Camera.from_pose(c.euler, c.trans, FIT_FOCAL)


def nothing(distance: float = 2.7) -> Rendering:
    """A rendering that shows no head."""
    empty = torch.zeros(1, 1, SIZE, SIZE)
    return Rendering(empty, empty + distance, empty)


def mesh_pixels(c: FaceCoeffs) -> torch.Tensor:
    return project(pose_points(FACE.vertices(c.id, c.exp), c.euler, c.trans))[0]


@pytest.mark.parametrize("turn", [0.0, 0.3])
def test_skin_is_followed_to_where_the_photograph_shows_it(turn):
    photo, drive = coeffs(1), coeffs(2, turn)
    source = head_surface(FACE, nothing(), DEEP, photo, photo.exp)
    frame = head_surface(FACE, nothing(), DEEP, drive, photo.exp)
    view = look_back(frame, camera(drive), source, camera(photo))
    inner = torch.tensor([1, 4, 5, 195, 50, 280, 107, 336, 9, 151, 205, 425, 117, 346])  # nose, cheeks, forehead: away from any edge
    there = mesh_pixels(drive)[inner]
    place = F.grid_sample(view.place.permute(0, 3, 1, 2), (there * 2 - 1)[None, None], align_corners=False)[0, :, 0].T
    assert (((place + 1) / 2 - mesh_pixels(photo)[inner]) * SIZE).norm(dim=-1).max() < 0.6
    seen = F.grid_sample(view.seen, (there * 2 - 1)[None, None], align_corners=False)
    assert seen.min() > 0.9


def test_the_photograph_itself_stays_where_it_is():
    photo = coeffs(1, 0.2)
    surface = head_surface(FACE, nothing(), DEEP, photo, photo.exp)
    view = look_back(surface, camera(photo), surface, camera(photo))
    ticks = (torch.arange(SIZE) * 2 + 1) / SIZE - 1
    x, y = torch.meshgrid(ticks, ticks, indexing="xy")
    torch.testing.assert_close(view.place[0], torch.stack([x, y], -1), atol=1e-4, rtol=0)
    assert view.seen.min() > 0.999


@pytest.mark.parametrize(("shift", "shown"), [(-0.3, False), (0.3, True)])
def test_above_the_photograph_nothing_is_seen(shift: float, shown: bool):
    """The person has moved down or up: beyond its upper border the photograph knows nothing, beyond the lower one its colours go on."""
    photo = coeffs(1)
    drive = replace(photo, trans=photo.trans + torch.tensor([[0.0, shift, 0.0]]))
    source = head_surface(FACE, nothing(), DEEP, photo, photo.exp)
    frame = head_surface(FACE, nothing(), DEEP, drive, photo.exp)
    view = look_back(frame, camera(drive), source, camera(photo))
    height = F.interpolate(view.place.permute(0, 3, 1, 2), scale_factor=2.0, mode="bilinear")[:, 1:]
    beyond = height.abs() > 1 + 2 * BORDER
    assert 0.02 < beyond.float().mean() < 0.5
    assert (view.seen[beyond].median() > 0.5) == shown
    assert view.seen[beyond].max() == 0 or shown
    assert view.seen[height.abs() < 1 - 2 * BORDER].median() > 0.99


def test_what_the_photograph_did_not_show_is_not_seen():
    """Turned by 60 degrees, the far side of the face was hidden by the near one."""
    photo, drive = coeffs(1, -0.5), coeffs(1, 0.5)
    source = head_surface(FACE, nothing(), DEEP, photo, photo.exp)
    frame = head_surface(FACE, nothing(), DEEP, drive, photo.exp)
    view = look_back(frame, camera(drive), source, camera(photo))
    posed = pose_points(FACE.vertices(photo.id, photo.exp), photo.euler, photo.trans)[0]
    seen = F.grid_sample(view.seen, (mesh_pixels(drive) * 2 - 1)[None, None], align_corners=False)[0, 0, 0]
    both = torch.tensor([4, 5, 195, 197])
    assert seen[both].min() > 0.8
    sides = {name: torch.tensor(points) for name, points in {"right": [127, 162, 234], "left": [356, 389, 454]}.items()}
    hidden = min(sides, key=lambda name: posed[sides[name], 2].mean().item())
    assert seen[sides[hidden]].mean() < 0.5


def test_holes_are_not_skin_and_motion_fades_outside():
    photo, drive = coeffs(1), coeffs(2)
    surface = head_surface(FACE, nothing(), DEEP, drive, photo.exp)
    assert surface.skin[0, 0, 0, 0] == 0
    assert surface.shift[0, :, 0, 0].abs().max() < 1e-3
    assert surface.shift.abs().max() > 0.005


def test_rendered_depth_counts_where_there_is_no_mesh():
    photo = coeffs(1)
    weights = torch.zeros(1, 1, SIZE, SIZE)
    weights[..., :20, 40:90] = 1  # hair above the face
    depth = torch.full_like(weights, 9.0)
    depth[..., :20, 40:90] = 2.5
    surface = head_surface(FACE, Rendering(weights, depth, weights), DEEP, photo, photo.exp)
    assert surface.distance[..., :10, 45:85].sub(2.5).abs().max() < 1e-5
    assert surface.distance.max() < 3.5  # continued from what was rendered, never the empty depth


def far_hair(distance: float) -> torch.Tensor:
    """``seen`` where hair of the frame, ``distance`` from its camera, lies beyond the planes of a photograph that has its like at 2.7."""
    photo = coeffs(1)
    hair = torch.zeros(1, 1, SIZE, SIZE)
    hair[..., :20, 40:90] = 1
    source = head_surface(FACE, Rendering(hair, 2.7 * torch.ones_like(hair), hair), 0 * DEEP, photo, photo.exp)
    source = replace(source, distance=torch.where(hair > 0, 2.7, source.distance))
    frame = replace(source, distance=torch.where(hair > 0, distance, source.distance))
    return look_back(frame, camera(photo), source, camera(photo)).seen[..., 4:30, 100:160]


def test_beyond_the_planes_roughly_the_same_depth_is_believed():
    """And strands are not drawn out along a line of sight, as they were when anything was believed there."""
    assert far_hair(2.7).min() > 0.99
    assert far_hair(2.74).min() > 0.85, "within the planes this would be another point"
    assert far_hair(3.2).max() < 0.01


def test_what_the_photograph_knows_counts_beyond_the_planes_of_the_frame():
    """Planes that reach everywhere in the photograph and nowhere in the frame: nothing is painted from places that lie elsewhere."""
    photo, drive = coeffs(1, -0.5), coeffs(1, 0.5)
    source, frame = (head_surface(FACE, nothing(), chord * DEEP, c, photo.exp) for c, chord in ((photo, 1), (drive, 0)))
    reaching = head_surface(FACE, nothing(), DEEP, drive, photo.exp)
    found, wanted = (look_back(surface, camera(drive), source, camera(photo)) for surface in (frame, reaching))
    assert torch.equal(found.seen, wanted.seen)
    assert found.seen.min() < 0.1
    assert found.known.max() == 0, "but the network has no say there"


def test_the_inside_of_a_mouth_that_was_shut_is_not_seen():
    photo, drive = coeffs(1), coeffs(1)
    jaw = FACE.exp_basis[13, 1] - FACE.exp_basis[14, 1]
    shut, wide = (FaceCoeffs(photo.id, amount * jaw[None] / jaw.square().sum(), photo.euler, photo.trans) for amount in (-0.02, 0.25))
    surfaces = {}
    for name, c, source in (("shut", shut, shut), ("wide", wide, wide), ("opened", wide, shut)):
        surfaces[name] = head_surface(FACE, nothing(), DEEP, c, source.exp)
    lips = mesh_pixels(wide)[[13, 14]].mean(0) * 2 - 1
    opened = look_back(surfaces["opened"], camera(drive), surfaces["shut"], camera(photo)).seen
    same = look_back(surfaces["wide"], camera(drive), surfaces["wide"], camera(photo)).seen
    inside = [F.grid_sample(seen, lips.view(1, 1, 1, 2), align_corners=False).item() for seen in (opened, same)]
    assert inside[0] < 0.3
    assert inside[1] > 0.95


def test_lids_that_shut_are_marked_between_their_fold_and_the_lower_lid():
    source = FaceCoeffs(torch.zeros(1, 80), torch.zeros(1, 64), torch.zeros(1, 3), torch.zeros(1, 3))
    shut = replace(source, exp=close_eyes(FACE, source.id, source.exp, torch.ones(1)))
    empty = Rendering(torch.zeros(1, 3, SIZE, SIZE), torch.full((1, 1, SIZE, SIZE), 2.7), torch.zeros(1, 1, SIZE, SIZE))
    lids = head_surface(FACE, empty, DEEP, shut, source.exp).lids
    points = project(pose_points(FACE.vertices(shut.id, shut.exp), shut.euler, shut.trans))[0] * 2 * SIZE
    marked = torch.zeros(2 * SIZE, 2 * SIZE, dtype=torch.bool)
    for eye in range(2):
        fold, low = points[list(FOLDS[eye])], points[list(LOWER[eye])]
        middle = (points[EDGES[eye][4]] - 0.5).round().long()
        assert lids[0, 0, middle[1] - 2, middle[0]] > 0.9
        assert lids[0, 1, middle[1] - 1 : middle[1] + 2, middle[0]].max() > 0.6
        area = torch.cat([fold, low])
        (left, top), (right, bottom) = (area.amin(0) - 5).long(), (area.amax(0) + 9).long()
        marked[top:bottom, left:right] = True
    assert lids[0, :, ~marked].max() == 0
    assert head_surface(FACE, empty, DEEP, source, shut.exp).lids[:, 0].max() == 0  # opened eyes


@pytest.mark.parametrize("seed", [2, 3])
def test_compiled_equals_tensors(seed: int, monkeypatch):
    photo, drive = coeffs(1), coeffs(seed, 0.4)
    exp = photo.exp.clone()
    exp[:, :3] += 2.0
    drive = replace(drive, trans=drive.trans + torch.tensor([[0.3, 0.4, 0.2]]))
    source, frame = (head_surface(FACE, nothing(), DEEP, each, exp) for each in (photo, drive))
    rough = 0.05 * torch.randn(source.distance.shape, generator=torch.Generator().manual_seed(seed))
    source = replace(source, distance=source.distance + rough, known=torch.rand(rough.shape, generator=torch.Generator().manual_seed(1)))
    with torch.no_grad():
        fast = look_back(frame, camera(drive), source, camera(photo))
    monkeypatch.setattr("compose.lookback.compilable", lambda *_: False)
    slow = look_back(frame, camera(drive), source, camera(photo))
    assert frame.holes.sum() > 50
    for name in ("place", "seen", "known"):
        ours, theirs = getattr(fast, name), getattr(slow, name)
        assert theirs.std() > 0.05
        torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=0)
