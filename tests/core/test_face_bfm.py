"""BFM 2009 from small generated files of the same layouts: what is read, that both layouts agree, and what bad files lead to."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from core.errors import PortraitError
from core.face import FaceCoeffs, FaceModel, pose_points, project, render_pncc
from core.face import regions as r
from core.face.expression import MOTIONS, close_eyes, eye_opening, motion_axis
from core.face.fitting import fit_image, reprojection_error
from scipy.io import savemat

TRIMMED, FRONT = 560, 470  # vertices of the generated files
UNMATCHED = (93, 127, 132, 234, 323, 356, 361, 454)
COMMON = ("index_mp468_from_mesh35709.npy", "bfm_left_eye_faces.npy", "bfm_right_eye_faces.npy")
FILES = ("01_MorphableModel.mat", "Exp_Pca.bin", "std_exp.txt", "BFM_front_idx.mat", "BFM_exp_idx.mat", "facemodel_info.mat")


@pytest.fixture(scope="module")
def original(bfm_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The second layout in the official code's tree: its own small files one folder up, another version of the MediaPipe points."""
    folder = tmp_path_factory.mktemp("deep_3drecon") / "BFM"
    folder.mkdir()
    for name in FILES:
        shutil.copy(bfm_folder / name, folder)
    for name in COMMON[1:]:
        shutil.copy(bfm_folder / name, folder.parent)
    shutil.copy(bfm_folder / COMMON[0], folder / "index_mp468_from_mesh35709_v3.1.npy")
    return folder


@pytest.fixture(scope="module")
def bfm(bfm_folder: Path) -> FaceModel:
    return FaceModel.from_bfm(bfm_folder)


def test_reads_what_was_written(bfm: FaceModel) -> None:
    face = FaceModel.embedded()
    centre = bfm.mean.double().mean(0)
    torch.testing.assert_close(centre, torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-7)
    torch.testing.assert_close(bfm.mean[:468] - bfm.mean[4], face.mean - face.mean[4], rtol=0, atol=1e-6)
    torch.testing.assert_close(bfm.id_basis[:468], face.id_basis, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(bfm.exp_basis[:468], face.exp_basis, rtol=1e-5, atol=1e-7)
    assert bfm.keypoints68.tolist() == list(r.LM68)
    assert (~bfm.matched468).nonzero()[:, 0].tolist() == list(UNMATCHED)
    assert torch.equal(bfm.keypoints468[bfm.matched468], torch.arange(468)[bfm.matched468])
    assert bfm.ncc.amin(0).tolist() == [0, 0, 0]
    assert bfm.ncc.amax(0).tolist() == [1, 1, 1]


def test_eyes_are_open_and_triangles_face_the_viewer(bfm: FaceModel) -> None:
    assert torch.equal(bfm.triangles, FaceModel.embedded().triangles)


def test_both_layouts_give_the_same_model(bfm: FaceModel, original: Path) -> None:
    other = FaceModel.from_bfm(original)
    assert other.fingerprint == bfm.fingerprint != FaceModel.embedded().fingerprint
    for (name, mine), (_, theirs) in zip(bfm.named_buffers(), other.named_buffers(), strict=True):
        assert torch.equal(mine, theirs), name


def test_one_based_key_points_for_official_weights(bfm: FaceModel, bfm_folder: Path) -> None:
    official = FaceModel.load(bfm_folder, lm68_one_based=True)
    assert torch.equal(official.keypoints68, bfm.keypoints68 + 1)
    assert official.fingerprint == bfm.fingerprint  # the same codes and PNCC


def test_pncc_has_holes_for_eyes_and_mouth(bfm: FaceModel) -> None:
    codes = torch.zeros(1, 80), 0.8 * motion_axis(bfm, "jaw_open")[None]
    image = render_pncc(bfm, *codes, size=256)[0]
    points = bfm.vertices(*codes)
    middle = torch.stack([points[0, 468], points[0, 469], (points[0, 13] + points[0, 14]) / 2, points[0, 4]])
    x, y = (project(middle[None])[0] * 256).long().unbind(1)
    holes, nose = image[:, y[:3], x[:3]], image[:, y[3], x[3]]
    assert (holes == -1).all()
    torch.testing.assert_close(nose, bfm.ncc[4] * 2 - 1, rtol=0, atol=0.05)


@pytest.mark.parametrize("name", MOTIONS)
def test_equal_content_means_equal_motions(bfm: FaceModel, name: str) -> None:
    every_point = FaceModel(bfm.mean, bfm.id_basis, bfm.exp_basis, bfm.triangles, torch.arange(468), "bfm with all points")
    torch.testing.assert_close(motion_axis(every_point, name), motion_axis(FaceModel.embedded(), name), rtol=1e-3, atol=1e-3)


def test_blink_closes_the_eyes_of_bfm(bfm: FaceModel) -> None:
    id, exp = torch.zeros(1, 80), torch.zeros(1, 64)
    closed = close_eyes(bfm, id, exp, torch.ones(1))
    assert abs(eye_opening(bfm, id, closed)) < 0.005
    moved = (bfm.keypoints(id, closed) - bfm.keypoints(id, exp))[0].norm(dim=1)
    assert moved[[4, 61, 291, 152]].max() < 0.01 < moved[[159, 386]].min()


def test_fit_leaves_out_what_the_mesh_does_not_reach(bfm: FaceModel) -> None:
    generator = torch.Generator().manual_seed(1)
    true = FaceCoeffs(0.7 * torch.randn(1, 80, generator=generator), 0.5 * torch.randn(1, 64, generator=generator),
                      torch.tensor([[0.1, -0.3, 0.05]]), torch.tensor([[0.1, -0.2, -3.0]]))  # fmt: skip
    points = pose_points(bfm.vertices(true.id, true.exp)[:, :468], true.euler, true.trans)
    landmarks = project(points)[0].numpy()
    fitted = fit_image(bfm, landmarks)
    assert reprojection_error(bfm, fitted, landmarks[None])[0] < 0.005
    torch.testing.assert_close(fitted.euler, true.euler, rtol=0, atol=0.02)
    landmarks[list(UNMATCHED)] = 0.9
    other = fit_image(bfm, landmarks)
    assert torch.equal(other.exp, fitted.exp)
    assert torch.equal(other.euler, fitted.euler)


def test_numbers_stay_out_of_checkpoints_which_fit_no_other_model(bfm: FaceModel) -> None:
    state = bfm.state_dict()
    assert list(state.values()) == [bfm.fingerprint]
    bfm.load_state_dict(state)
    with pytest.raises(PortraitError, match="E_FACE_MODEL"):
        FaceModel.load("embedded").load_state_dict(state)


def copy_to(folder: Path, source: Path) -> Path:
    shutil.copytree(source, folder, dirs_exist_ok=True)
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(PortraitError) as caught:
        FaceModel.load(folder)
    assert caught.value.code == "E_FACE_MODEL"
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [("01_MorphableModel.mat", ("unibas.ch", "registration", "non-commercial research only")),
     ("Exp_Pca.bin", ("Juyong/3DFace", "research only")),
     *((name, ("Deep3DFaceReconstruction", "MIT")) for name in FILES[2:])],
)  # fmt: skip
def test_a_missing_or_truncated_file_is_named_with_source_and_licence(
    original: Path, tmp_path: Path, name: str, words: tuple[str, ...]
) -> None:
    folder = copy_to(tmp_path / "BFM", original)
    for common in COMMON[1:]:
        shutil.copy(original.parent / common, folder)
    whole = (folder / name).read_bytes()
    (folder / name).unlink()
    missing = refusal(folder)
    (folder / name).write_bytes(whole[: len(whole) * 2 // 3])
    truncated = refusal(folder)
    (folder / name).write_bytes(b"")
    empty = refusal(folder)
    for message in (missing, truncated, empty):
        assert name in message
        assert all(word in message for word in words)


@pytest.mark.parametrize("name", COMMON)
def test_the_official_codes_own_files_are_named_too(bfm_folder: Path, tmp_path: Path, name: str) -> None:
    folder = copy_to(tmp_path / "BFM", bfm_folder)
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[:100])
    assert name in refusal(folder)
    np.save(folder / name, np.full(468, 10**6))
    assert name in refusal(folder)
    np.save(folder / name, np.array([{"a": 1}], object), allow_pickle=True)
    assert name in refusal(folder)
    (folder / name).unlink()
    message = refusal(folder)
    assert name in message
    assert "yerfor/Real3DPortrait" in message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"idBase": None}, "lacks idBase"),
        ({"idBase": np.zeros((FRONT * 3, 40))}, "80 columns"),
        ({"exBase": np.zeros((FRONT * 3 - 3, 64))}, f"{FRONT - 1} of expression"),
        ({"exBase": np.full((FRONT * 3, 64), np.nan)}, "no finite numbers under exBase"),
        ({"meanshape": np.zeros((1, FRONT * 3))}, "outer eye corners"),
        ({"keypoints": np.arange(5) + 1}, "68 key points"),
        ({"keypoints": np.full(68, FRONT + 1)}, f"outside 1..{FRONT}"),
        ({"tri": np.zeros((10, 3))}, f"outside 1..{FRONT}"),
        ({"tri": "triangles"}, "no finite numbers under tri"),
    ],
)
def test_a_wrong_front_model_is_explained(bfm_folder: Path, tmp_path: Path, change: dict, words: str) -> None:
    from scipy.io import loadmat

    folder = copy_to(tmp_path / "BFM", bfm_folder)
    content = {key: value for key, value in loadmat(bfm_folder / "BFM_model_front.mat").items() if not key.startswith("__")} | change
    savemat(folder / "BFM_model_front.mat", {key: value for key, value in content.items() if value is not None})
    message = refusal(folder)
    assert "BFM_model_front.mat" in message
    assert words in message


def test_files_of_different_meshes_do_not_mix(original: Path, tmp_path: Path) -> None:
    folder = copy_to(tmp_path / "BFM", original)
    savemat(folder / "BFM_exp_idx.mat", {"trimIndex": np.arange(TRIMMED - 1) + 1})
    savemat(folder / "BFM_front_idx.mat", {"idx": np.arange(FRONT) + 1})
    assert "Exp_Pca.bin" in refusal(folder)
    (folder / "std_exp.txt").write_text("1 2 3")
    savemat(folder / "BFM_exp_idx.mat", {"trimIndex": np.arange(TRIMMED) + 1})
    assert "std_exp.txt" in refusal(folder)


def test_an_absent_or_empty_folder(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        message = refusal(folder)
        assert "01_MorphableModel.mat is missing, and so is BFM_model_front.mat" in message
        assert "unibas.ch" in message


def test_an_oldest_matlab_file_of_the_right_name_is_refused(bfm_folder: Path, tmp_path: Path) -> None:
    folder = copy_to(tmp_path / "BFM", bfm_folder)
    savemat(folder / "BFM_model_front.mat", {"a": np.eye(3)}, format="4")
    assert "lacks meanshape, idBase, exBase, tri, keypoints" in refusal(folder)
