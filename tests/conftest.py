"""Fixtures of several packages' tests."""

from pathlib import Path

import numpy as np
import pytest
import torch
from core.camera import FIT_FOCAL, Camera
from core.data.clips import FrameBatch, PairBatch
from core.face import FaceModel
from core.face import regions as r
from core.face.coeffs import FaceCoeffs
from scipy.io import savemat

ORIGINAL, TRIMMED, FRONT = 600, 560, 470  # 53490, 53215 and 35709 in the real files
UNMATCHED = (93, 127, 132, 234, 323, 356, 361, 454)


def with_eyeballs(face: FaceModel) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The embedded triangles, clockwise and with the eyes filled by fans around vertices 468 and 469; numbers of the fans' triangles."""
    rings = ((r.LEFT_EYE, 468), (r.RIGHT_EYE, 469))
    fans = [[(a, b, centre) for a, b in zip(ring, (*ring[1:], ring[0]), strict=True)] for ring, centre in rings]
    triangles = np.concatenate([face.triangles[:, [0, 2, 1]].numpy(), *map(np.array, fans)])
    start = len(face.triangles)
    return triangles, {"left": np.arange(start, start + 16), "right": np.arange(start + 16, start + 32)}


def write_bfm(folder: Path) -> None:
    """The embedded model as BFM 2009: both layouts in one folder, the first derived from the second by the formulas of spec 1.1."""
    face, rng = FaceModel.embedded(), np.random.default_rng(0)
    eyes = [face.mean[list(ring)].mean(0, keepdim=True).numpy() for ring in (r.LEFT_EYE, r.RIGHT_EYE)]
    trim, front = rng.permutation(ORIGINAL)[:TRIMMED], rng.permutation(TRIMMED)[:FRONT]
    std_id, std_exp = rng.uniform(1e3, 1e5, 85).astype(np.float32), rng.uniform(1e2, 1e4, 79).round(6)
    mean = rng.normal(size=(ORIGINAL, 3))
    identity, expression = rng.normal(size=(ORIGINAL, 3, 85)), rng.normal(size=(TRIMMED, 3, 79))
    mean[trim[front]] = np.concatenate([face.mean.numpy(), *eyes])
    mean += (0.1, -0.2, 0.3)  # loading centres the vertices
    identity[trim[front[:468]], :, :80] = face.id_basis.numpy()
    expression[front[:468], :, :64] = face.exp_basis.numpy()
    identity[trim[front[468:]]], expression[front[468:]] = 0, 0
    shape_mu = (mean * 1e5).reshape(-1, 1).astype(np.float32)
    shape_pc = (identity * 1e5 / std_id).reshape(-1, 85).astype(np.float32)
    exp_pc = (expression * 1e5 / std_exp).reshape(-1, 79).astype(np.float32)
    triangles, eyeballs = with_eyeballs(face)
    info = {"tri": triangles.astype(np.int32) + 1, "keypoints": np.array([r.LM68], np.uint16) + 1}

    savemat(folder / "01_MorphableModel.mat", {"shapeMU": shape_mu, "shapePC": shape_pc, "shapeEV": std_id[:, None], "texMU": shape_mu})
    offset = rng.normal(size=3 * TRIMMED).astype("<f4")
    (folder / "Exp_Pca.bin").write_bytes(np.array([79], "<i4").tobytes() + offset.tobytes() + exp_pc.T.astype("<f4").tobytes())
    np.savetxt(folder / "std_exp.txt", std_exp[None])
    savemat(folder / "BFM_exp_idx.mat", {"trimIndex": trim[:, None] + 1})
    savemat(folder / "BFM_front_idx.mat", {"idx": front[:, None].astype(float) + 1})
    savemat(folder / "facemodel_info.mat", info)
    id_base = (shape_pc * std_id / 1e5).reshape(-1, 3, 85)[trim[front], :, :80]
    ex_base = (exp_pc * std_exp / 1e5).reshape(-1, 3, 79)[front, :, :64]
    front_mean = (shape_mu.reshape(-1, 3) / 1e5)[trim[front]]
    savemat(
        folder / "BFM_model_front.mat",
        info | {"meanshape": front_mean.reshape(1, -1), "idBase": id_base.reshape(-1, 80), "exBase": ex_base.reshape(-1, 64)},
    )
    points = np.arange(468)
    points[list(UNMATCHED)] = -999
    np.save(folder / "index_mp468_from_mesh35709.npy", points)
    np.save(folder / "bfm_left_eye_faces.npy", eyeballs["left"] + 1)
    np.save(folder / "bfm_right_eye_faces.npy", eyeballs["right"] + 1)


@pytest.fixture(scope="session")
def bfm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small files in both layouts of BFM 2009 whose content is the embedded model, of 470 vertices; not to be changed."""
    folder = tmp_path_factory.mktemp("bfm")
    write_bfm(folder)
    return folder


@pytest.fixture(scope="session")
def noise_pairs() -> PairBatch:
    """Two pairs of frames of noise, 64 pixels, with poses, expressions and masks that make sense; not to be changed."""
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator) * 2 - 1

    def frame() -> FrameBatch:
        mask = torch.zeros(2, 1, 64, 64)
        mask[..., 12:44, 18:46] = 1
        image, classes = noise(2, 3, 64, 64), torch.full((64, 64), 4)
        classes[:44] = 0
        classes[12:44, 18:46] = 3
        exp, euler = 0.5 * noise(2, 64), 0.1 * noise(2, 3)
        coeffs = FaceCoeffs(torch.zeros(2, 80), exp, euler, torch.zeros(2, 3))
        camera = Camera.from_pose(euler, torch.zeros(2, 3), FIT_FOCAL)
        segmap = torch.eye(6)[classes].permute(2, 0, 1).expand(2, -1, -1, -1)
        keypoints = torch.cat([0.4 * noise(2, 68, 2), torch.zeros(2, 68, 1)], 2)
        head = (image + 1) * mask - 1
        return FrameBatch(image, head, mask, segmap, coeffs, camera, exp + 0.1 * noise(2, 64), exp + 0.1 * noise(2, 64), keypoints)

    torso = torch.full((2, 3, 64, 64), -1.0)
    torso[..., 40:, :] = noise(2, 3, 24, 64)
    return PairBatch(frame(), frame(), noise(2, 3, 64, 64), torso, torch.arange(2))
