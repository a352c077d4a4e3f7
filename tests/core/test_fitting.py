"""Fitting: known faces and poses are found again, also turned far, noisy, small, off centre and lost for some frames."""

import numpy as np
import pytest
import torch
from core.camera import FIT_FOCAL
from core.errors import PortraitError
from core.face import FaceCoeffs, FaceModel, pose_points, project
from core.face.expression import eye_opening, motion_axis, mouth_opening
from core.face.fitting import fit_image, fit_video, reprojection_error
from core.face.pncc import clip_coordinates
from core.raster import rasterize
from scipy.optimize import least_squares


@pytest.fixture(scope="module")
def face() -> FaceModel:
    return FaceModel.embedded()


def landmarks(face: FaceModel, coeffs: FaceCoeffs, depth: bool = True, noise: float = 0.0) -> np.ndarray:
    """What a perfect detector would see: image points, and depth as MediaPipe gives it (image sides, smaller is nearer)."""
    points = pose_points(face.keypoints(coeffs.id, coeffs.exp), coeffs.euler, coeffs.trans)
    image = project(points)
    image = image + noise * torch.randn(image.shape, generator=torch.Generator().manual_seed(9))
    relief = (points[..., 2:].mean(1, keepdim=True) - points[..., 2:]) * FIT_FOCAL / (10 - coeffs.trans[:, None, 2:])
    return (torch.cat([image, relief], 2) if depth else image).numpy()


def person(face: FaceModel, frames: int, yaw: float = 0.0, z: float = -4.0) -> FaceCoeffs:
    generator = torch.Generator().manual_seed(3)
    id = 0.7 * torch.randn(1, 80, generator=generator).expand(frames, -1)
    t = torch.linspace(0, 4, frames)[:, None]
    exp = 0.4 * torch.randn(1, 64, generator=generator) + 0.5 * torch.sin(t) * torch.randn(1, 64, generator=generator)
    exp = exp + 0.6 * torch.sin(2 * t) ** 2 * motion_axis(face, "jaw_open")
    euler = torch.cat([0.15 * torch.sin(t), yaw + 0.1 * torch.cos(t), 0.2 * torch.cos(2 * t)], 1)
    trans = torch.cat([0.4 * torch.sin(t), 0.3 * torch.cos(t), z + 0 * t], 1)
    return FaceCoeffs(id, exp, euler, trans)


def read_off(face: FaceModel, coeffs: FaceCoeffs, size: int = 256) -> np.ndarray:
    """Image points found in rendered faces: the vertices whose blends (barycentric weights) come nearest to where the pixels are.

    Vertices that no pixel shows are put where they are.
    """
    posed = pose_points(face.vertices(coeffs.id, coeffs.exp), coeffs.euler, coeffs.trans)
    places = project(posed).double()
    for image, found in zip(rasterize(clip_coordinates(posed), face.triangles, (size, size)), places, strict=True):
        row, column = (image[..., 3] > 0).nonzero().T
        weights = image[row, column, :2].double()
        weights = torch.cat([weights, 1 - weights.sum(1, keepdim=True)], 1)
        corners, n = face.triangles[image[row, column, 3].long() - 1], len(found)
        pixels = (torch.stack([column, row], 1).double() + 0.5) / size
        normal, right = torch.zeros(n * n).double(), torch.zeros(n, 2).double()
        normal.index_add_(0, (corners[:, :, None] * n + corners[:, None]).flatten(), (weights[:, :, None] * weights[:, None]).flatten())
        right.index_add_(0, corners.flatten(), (weights[:, :, None] * pixels[:, None]).flatten(0, 1))
        seen = normal.view(n, n).diagonal() > 0.5
        normal, hidden = normal.view(n, n)[seen], found[~seen]
        found[seen] = torch.linalg.solve(normal[:, seen], right[seen] - normal[:, ~seen] @ hidden)
    return places.float().numpy()


@pytest.mark.parametrize("yaw", [0, 30, -30])
def test_rendered_faces_give_their_coefficients_back(face: FaceModel, yaw: float) -> None:
    """Rasterised, read off the pixels, fitted. Axes beyond the leading ones move points by less than the noise that the fit expects."""
    truth = person(face, 50, float(np.deg2rad(yaw)), z=0.0)[:14]
    found = fit_video(face, read_off(face, truth)).coeffs
    assert (found.euler - truth.euler).abs().max() < np.deg2rad(0.6)
    assert (found.trans - truth.trans)[:, :2].abs().max() < 0.02
    assert (found.trans - truth.trans)[:, 2].abs().max() < 0.15  # of a distance of 10
    assert (found.id - truth.id)[:, :10].square().mean().sqrt() < 0.3  # codes have a standard deviation of 1
    assert (found.exp - truth.exp)[:, :10].square().mean().sqrt() < 0.4
    shapes = [face.keypoints(coeffs.id, coeffs.exp) for coeffs in (found, truth)]
    assert (shapes[0] - shapes[1]).norm(dim=2).mean() < 0.01 * 0.88  # 1 % of the eye distance
    torch.testing.assert_close(mouth_opening(face, found.id, found.exp), mouth_opening(face, truth.id, truth.exp), rtol=0, atol=0.01)
    torch.testing.assert_close(eye_opening(face, found.id, found.exp), eye_opening(face, truth.id, truth.exp), rtol=0, atol=0.006)


def test_clip_that_turns_from_side_to_side(face: FaceModel) -> None:
    truth = person(face, 50)
    yaw = torch.linspace(-1, 1, 50) * np.deg2rad(60)
    truth = FaceCoeffs(truth.id, truth.exp, torch.stack([truth.euler[:, 0], yaw, truth.euler[:, 2]], 1), truth.trans)
    result = fit_video(face, landmarks(face, truth, noise=0.001))
    assert (result.coeffs.euler - truth.euler).abs().max() < np.deg2rad(1.5)
    assert result.error < 0.012
    opening, expected = (mouth_opening(face, coeffs.id, coeffs.exp) for coeffs in (result.coeffs, truth))
    assert torch.corrcoef(torch.stack([opening, expected]))[0, 1] > 0.98


def test_a_still_that_lasts_does_not_jitter(face: FaceModel) -> None:
    """A photograph of 50 frames with the noise of an encoder, through detector, tracker and fit: no point moves by 0.05 pixels of 512."""
    pytest.importorskip("mediapipe")
    photo = pytest.importorskip("skimage.data").astronaut()
    from core.perception.landmarks import track_faces

    noise = np.random.default_rng(0).integers(-1, 2, (50, *photo.shape))
    frames = (np.clip(photo + level, 0, 255).astype(np.uint8) for level in noise)
    coeffs = fit_video(face, np.stack(list(track_faces(frames)))).coeffs
    points = project(pose_points(face.keypoints(coeffs.id, coeffs.exp), coeffs.euler, coeffs.trans)) * 512
    assert points.std(dim=1).min() > 5  # a face and not a point
    assert points.diff(dim=0).norm(dim=2).max() < 0.05


@pytest.mark.gpu
def test_cuda_finds_the_same(face: FaceModel) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    seen = landmarks(face, person(face, 40, 0.4), noise=0.001)
    seen[7] = np.nan
    host, device = fit_video(face, seen), fit_video(FaceModel.load().cuda(), seen)
    assert device.coeffs.exp.is_cuda
    assert device.lost == 1
    torch.testing.assert_close(device.coeffs.to("cpu").euler, host.coeffs.euler, rtol=0, atol=2e-3)
    torch.testing.assert_close(device.coeffs.to("cpu").exp, host.coeffs.exp, rtol=0, atol=0.02)


def test_nothing_is_made_on_the_default_device(face: FaceModel) -> None:
    """With a default device that holds no numbers every tensor has to come from the model's: what CUDA needs, tried without it."""
    seen = landmarks(face, person(face, 8))
    seen[2] = np.nan
    expected = fit_video(face, seen)
    with torch.device("meta"):
        found = fit_video(face, seen)
    assert torch.equal(found.coeffs.exp, expected.coeffs.exp)
    assert found.error == expected.error


@pytest.mark.parametrize("yaw", [0, 30, -60, 60])
@pytest.mark.parametrize("depth", [True, False])
def test_still_finds_pose_and_openings(face: FaceModel, yaw: float, depth: bool) -> None:
    truth = person(face, 1, float(np.deg2rad(yaw)))
    seen = landmarks(face, truth, depth, noise=0.001)
    found = fit_image(face, seen[0])
    assert (found.euler - truth.euler).abs().max() < np.deg2rad(1.5)
    assert (found.trans - truth.trans).abs().max() < 0.15
    assert reprojection_error(face, found, seen).item() < 0.012
    torch.testing.assert_close(mouth_opening(face, found.id, found.exp), mouth_opening(face, truth.id, truth.exp), rtol=0, atol=0.02)
    torch.testing.assert_close(eye_opening(face, found.id, found.exp), eye_opening(face, truth.id, truth.exp), rtol=0, atol=0.012)


@pytest.mark.parametrize("z", [3.0, -30.0])
def test_faces_of_any_size(face: FaceModel, z: float) -> None:
    truth = person(face, 1, z=z)
    found = fit_image(face, landmarks(face, truth)[0])
    assert (found.euler - truth.euler).abs().max() < np.deg2rad(1.5)
    assert abs(found.trans[0, 2] - z) < 0.02 * (10 - z)


def test_mean_face_is_found_exactly(face: FaceModel) -> None:
    """Nothing pulls a mean face away: priors are zero there."""
    truth = FaceCoeffs(torch.zeros(1, 80), torch.zeros(1, 64), torch.tensor([[0.1, -0.3, 0.2]]), torch.tensor([[0.2, -0.1, -3.0]]))
    found = fit_image(face, landmarks(face, truth, depth=False)[0])
    assert max(found.id.abs().max(), found.exp.abs().max()) < 0.02
    torch.testing.assert_close(found.euler, truth.euler, rtol=0, atol=1e-3)
    torch.testing.assert_close(found.trans, truth.trans, rtol=0, atol=1e-2)


def test_pose_agrees_with_a_general_solver(face: FaceModel) -> None:
    """Codes held at what the fit found, scipy's least squares finds the same pose from another start."""
    truth = person(face, 1, 0.4)
    seen = landmarks(face, truth, depth=False)
    found = fit_image(face, seen[0])
    points = face.keypoints(found.id, found.exp)

    def error(pose: np.ndarray) -> np.ndarray:
        euler, trans = torch.tensor(pose, dtype=torch.float32)[None].split(3, 1)
        return (project(pose_points(points, euler, trans)).numpy() - seen).ravel()

    solved = least_squares(error, np.array([0.0, 0.2, 0.0, 0.0, 0.0, -2.0]), diff_step=1e-3).x
    np.testing.assert_allclose(found.euler[0].numpy(), solved[:3], atol=np.deg2rad(0.7))
    np.testing.assert_allclose(found.trans[0].numpy(), solved[3:], atol=0.05)


def test_clip_with_lost_frames(face: FaceModel) -> None:
    truth = person(face, 60)
    seen = landmarks(face, truth, noise=0.001)
    seen[0] = seen[20:23] = np.nan
    result = fit_video(face, seen)
    assert result.lost == 4
    assert result.error < 0.01
    assert len(result.coeffs) == 60
    assert torch.equal(result.coeffs.id, result.coeffs.id[:1].expand(60, -1))
    assert (result.coeffs.euler - truth.euler)[1:].abs().max() < np.deg2rad(1.5)
    error = (mouth_opening(face, result.coeffs.id, result.coeffs.exp) - mouth_opening(face, truth.id, truth.exp)).abs()
    assert error[1:].max() < 0.03


def test_known_identity_is_kept(face: FaceModel) -> None:
    truth = person(face, 6)
    result = fit_video(face, landmarks(face, truth), identity=truth.id[0])
    torch.testing.assert_close(result.coeffs.id, truth.id.contiguous())
    assert result.error < 0.002


def test_smoothing_removes_jitter_without_delay(face: FaceModel) -> None:
    truth = person(face, 60)
    noisy = fit_video(face, landmarks(face, truth, noise=0.003), identity=truth.id[:1]).coeffs
    alone = torch.cat([fit_video(face, row[None], identity=truth.id[:1]).coeffs.euler for row in landmarks(face, truth, noise=0.003)])
    assert (noisy.euler - truth.euler).diff(dim=0).std() < 0.75 * (alone - truth.euler).diff(dim=0).std()
    lags = [(noisy.euler[5 + k : 55 + k] - truth.euler[5:55]).norm() for k in (-1, 0, 1)]
    assert lags[1] == min(lags)


def test_no_face_at_all(face: FaceModel) -> None:
    with pytest.raises(PortraitError, match="E_NO_FACE"):
        fit_video(face, np.full((3, 468, 3), np.nan, np.float32))


def test_wrong_shapes_are_named(face: FaceModel) -> None:
    with pytest.raises(ValueError, match=r"\(68, 2\)"):
        fit_image(face, np.zeros((68, 2), np.float32))


def test_refined_landmarks_are_accepted(face: FaceModel) -> None:
    seen = landmarks(face, person(face, 1))[0]
    irises = np.concatenate([seen, np.full((10, 3), 0.5, np.float32)])
    torch.testing.assert_close(fit_image(face, irises).exp, fit_image(face, seen).exp)
