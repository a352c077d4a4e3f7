"""The embedded face model: topology, symmetry, units, codes."""

from collections import Counter

import pytest
import torch
from core.camera import FIT_FOCAL
from core.face import FaceModel, pose_points, project
from core.face import regions as r


@pytest.fixture(scope="module")
def face() -> FaceModel:
    return FaceModel.embedded()


def boundary_loops(triangles: torch.Tensor) -> list[set[int]]:
    """Connected sets of edges that belong to one triangle only."""
    edges = Counter(tuple(sorted((t[i], t[(i + 1) % 3]))) for t in triangles.tolist() for i in range(3))
    assert set(edges.values()) == {1, 2}
    loops: list[set[int]] = []
    for a, b in (edge for edge, count in edges.items() if count == 1):
        touching = [loop for loop in loops if a in loop or b in loop]
        loops = [loop for loop in loops if loop not in touching] + [{a, b}.union(*touching)]
    return loops


def test_surface_has_exactly_the_known_holes(face: FaceModel) -> None:
    loops = boundary_loops(face.triangles)
    expected = [r.FACE_OVAL, r.LIPS_INNER, r.LEFT_EYE, r.RIGHT_EYE]
    assert sorted(map(sorted, loops)) == sorted(map(sorted, expected))
    edges = {tuple(sorted((t[i], t[(i + 1) % 3]))) for t in face.triangles.tolist() for i in range(3)}
    assert len(face.mean) - len(edges) + len(face.triangles) == 1 - 3  # Euler: a disc with three holes


def test_triangles_are_oriented_alike_and_face_the_viewer(face: FaceModel) -> None:
    directed = Counter((t[i], t[(i + 1) % 3]) for t in face.triangles.tolist() for i in range(3))
    assert set(directed.values()) == {1}
    corners = face.mean[face.triangles]
    normals = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (normals[:, 2] > 0).float().mean() > 0.97


def test_units_and_centre(face: FaceModel) -> None:
    right, left = face.mean[list(r.OUTER_EYE_CORNERS)]
    torch.testing.assert_close(left - right, torch.tensor([0.88, 0, 0]), rtol=0, atol=1e-4)
    corners = face.mean[face.triangles]
    area = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(dim=1)
    centre = (corners.mean(1) * area[:, None]).sum(0) / area.sum()
    torch.testing.assert_close(centre, torch.zeros(3), rtol=0, atol=1e-4)
    assert face.ncc.amin(0).tolist() == [0, 0, 0]
    assert face.ncc.amax(0).tolist() == [1, 1, 1]
    assert face.ncc[4, 2] > 0.99  # the tip of the nose is nearest


def test_every_axis_is_symmetric_or_antisymmetric(face: FaceModel) -> None:
    mirror, flip = list(r.MIRROR), torch.tensor([-1.0, 1, 1])
    torch.testing.assert_close(face.mean[mirror] * flip, face.mean, rtol=0, atol=1e-5)
    for basis in (face.id_basis, face.exp_basis):
        other = basis[mirror] * flip[:, None]
        parity = (basis * other).sum((0, 1)).sign()
        torch.testing.assert_close(other * parity, basis, rtol=0, atol=1e-4)
        assert 5 < int((parity < 0).sum()) < basis.shape[2] / 2


def test_axes_are_orthogonal_and_fall_in_strength(face: FaceModel) -> None:
    """Orthogonal in the metric of tools/build_face_model.py, which counts MediaPipe's depth by half before the tilt of 9 degrees."""
    angle = torch.deg2rad(torch.tensor(-9.0))
    back = torch.tensor([[1, 0, 0], [0, angle.cos(), -angle.sin()], [0, angle.sin(), angle.cos()]])
    for basis in (face.id_basis, face.exp_basis):
        axes = (torch.diag(torch.tensor([1, 1, 0.5])) @ back @ basis).flatten(0, 1)
        norms = axes.norm(dim=0)
        assert (norms.diff() <= 1e-3 * norms[0]).all()
        gram = (axes / norms).T @ (axes / norms)
        torch.testing.assert_close(gram, torch.eye(len(norms)), rtol=0, atol=0.01)  # float16 in the file


def test_no_triangle_is_degenerate(face: FaceModel) -> None:
    corners = face.mean[face.triangles]
    area = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(dim=1) / 2
    assert area.min() > 1e-6
    assert len({tuple(sorted(t)) for t in face.triangles.tolist()}) == len(face.triangles) == 852


def test_identity_neither_opens_the_mouth_nor_does_expression_change_the_skull(face: FaceModel) -> None:
    gap = (face.id_basis[13, 1] - face.id_basis[14, 1]).norm()
    assert gap < 0.1 * (face.exp_basis[13, 1] - face.exp_basis[14, 1]).norm()
    skull = [10, 67, 297, 168, 6, 127, 356]
    assert face.exp_basis[skull].norm(dim=(1, 2)).max() < 0.35 * face.exp_basis[[13, 14, 17, 152]].norm(dim=(1, 2)).min()
    assert face.exp_basis[skull].norm(dim=(1, 2)).max() < 0.2 * face.id_basis[skull].norm(dim=(1, 2)).min()


def test_vertices_are_linear_and_keypoints_are_vertices(face: FaceModel) -> None:
    generator = torch.Generator().manual_seed(0)
    id, exp = torch.randn(2, 80, generator=generator), torch.randn(2, 64, generator=generator)
    vertices = face.vertices(id, exp)
    slow = face.mean + torch.einsum("vck,bk->bvc", face.id_basis, id) + torch.einsum("vck,bk->bvc", face.exp_basis, exp)
    torch.testing.assert_close(vertices, slow, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(face.keypoints(id, exp), vertices[:, face.keypoints468])
    torch.testing.assert_close(face.keypoints(id, exp, which=68), vertices[:, face.keypoints68])
    with pytest.raises(ValueError, match="which=5"):
        face.keypoints(id, exp, which=5)


def test_projection_formula(face: FaceModel) -> None:
    """Spec 1.2 in its own 224-pixel words."""
    points = torch.tensor([[[0.3, -0.2, 0.5]]])
    u, v = 1015 * 0.3 / 9.5 + 112, 1015 * -0.2 / 9.5 + 112
    torch.testing.assert_close(project(points)[0, 0], torch.tensor([u / 224, 1 - v / 224]))
    assert abs(FIT_FOCAL - 1015 / 224) < 1e-9


def test_pose_axes(face: FaceModel) -> None:
    """Positive pitch looks down, positive yaw turns the face to the viewer's right, positive roll tilts its top to the left."""
    nose, top = torch.tensor([[[0.0, 0, 1]]]), torch.tensor([[[0.0, 1, 0]]])
    trans = torch.zeros(1, 3)
    assert pose_points(nose, torch.tensor([[0.3, 0, 0]]), trans)[0, 0, 1] < 0
    assert pose_points(nose, torch.tensor([[0, 0.3, 0]]), trans)[0, 0, 0] > 0
    assert pose_points(top, torch.tensor([[0, 0, 0.3]]), trans)[0, 0, 0] < 0


def test_fingerprint_tells_models_apart(face: FaceModel) -> None:
    assert len(face.fingerprint) == 12
    assert FaceModel.embedded() is face
    other = FaceModel(face.mean * 1.01, face.id_basis, face.exp_basis, face.triangles, face.keypoints468, "other")
    assert other.fingerprint != face.fingerprint


def test_the_68_points_follow_the_scheme(face: FaceModel) -> None:
    points = face.mean[face.keypoints68]
    assert len(set(r.LM68)) == 68
    assert (points[0:16, 0].diff() > 0).all()  # jaw from the viewer's left to the right
    assert points[8, 1] == points[:, 1].min()  # chin
    assert (points[27:31, 1].diff() < 0).all()  # down the nose
    assert points[36, 0] < points[39, 0] < points[42, 0] < points[45, 0]
    left_to_right = [16 - i for i in range(17)] + [26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 27, 28, 29, 30, 35, 34, 33, 32, 31]
    assert [r.MIRROR[r.LM68[i]] for i in range(36)] == [r.LM68[i] for i in left_to_right]


def test_rings_are_closed_and_mirrored(face: FaceModel) -> None:
    for ring in (r.LIPS_OUTER, r.LIPS_INNER, r.LEFT_EYE, r.RIGHT_EYE, r.FACE_OVAL):
        edges = {tuple(sorted((t[i], t[(i + 1) % 3]))) for t in face.triangles.tolist() for i in range(3)}
        assert all(tuple(sorted((a, b))) in edges for a, b in zip(ring, (*ring[1:], ring[0]), strict=True))
    assert tuple(r.MIRROR[i] for i in r.RIGHT_EYE) == r.LEFT_EYE
    assert tuple(r.MIRROR[i] for i in r.RIGHT_BROW) == r.LEFT_BROW
    assert all(r.MIRROR[r.MIRROR[i]] == i for i in range(r.POINTS))
