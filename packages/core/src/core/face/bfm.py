"""The Basel Face Model 2009 as a ``FaceModel``, from either layout of its files (spec 1.1 and 1.2; Deng et al. 2019; Guo et al. 2019).

1. ``BFM_model_front.mat``: the front of the face, 80 identity and 64 expression axes already scaled.
2. ``01_MorphableModel.mat``, ``Exp_Pca.bin``, ``std_exp.txt``, ``BFM_front_idx.mat``, ``BFM_exp_idx.mat``, ``facemodel_info.mat``: what the
   first is made of.

Either needs three small files of the official code beside it: the vertices of MediaPipe's points and the triangles of the eyeballs.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int

from core.face.bfm_files import bad, find, read_expressions, read_mat, read_numbers, zero_based
from core.face.model import FaceModel
from core.face.regions import LM68, OUTER_EYE_CORNERS, POINTS

IDENTITIES, EXPRESSIONS = 80, 64
MICROMETRES = 1e5
"""Micrometres, the unit of BFM, in a decimetre, that of the front model and of the cameras."""
EYE_DISTANCES = (0.5, 1.5)
"""Plausible distances of the outer eye corners in decimetres."""
MEDIAPIPE = tuple(f"index_mp468_from_mesh35709{version}.npy" for version in ("", "_v3.1", "_v3", "_v2", "_v1"))
EYEBALLS = ("bfm_left_eye_faces.npy", "bfm_right_eye_faces.npy")


@dataclass(frozen=True)
class FrontModel:
    """What both layouts agree on.

    Attributes:
        path: file that errors name.
        mean: vertices in decimetres.
        id_basis: identity axes times their deviations.
        exp_basis: the same of expressions.
        triangles: vertex numbers, from 0, eyeballs included.
        keypoints: vertices of the 68 points as the file counts them, from 1.
    """

    path: Path
    mean: Float[np.ndarray, "v 3"]
    id_basis: Float[np.ndarray, "v 3 80"]
    exp_basis: Float[np.ndarray, "v 3 64"]
    triangles: Int[np.ndarray, "f 3"]
    keypoints: Int[np.ndarray, "68"]


def _blocks(path: Path, values: np.ndarray, columns: int | None = None) -> np.ndarray:
    """(3 v, k) as (v, 3, columns), (3 v,) as (v, 3).

    Raises:
        PortraitError: ``E_FACE_MODEL``.
    """
    rows = values.size if columns is None else values.shape[0]
    if rows % 3 or (columns is not None and (values.ndim != 2 or values.shape[1] < columns)):
        raise bad(path, f"holds an array of shape {values.shape}, which is no face model of {columns or 3} columns")
    return values.reshape(-1, 3) if columns is None else values[:, :columns].reshape(-1, 3, columns)


def _front(
    path: Path, info: Path, mean: np.ndarray, axes: tuple[np.ndarray, np.ndarray], labels: tuple[np.ndarray, np.ndarray]
) -> FrontModel:
    """Check that parts belong together: ``labels`` are the triangles and key points that ``info`` holds."""
    id_basis, exp_basis = axes
    if not len(mean) == len(id_basis) == len(exp_basis):
        raise bad(path, f"holds {len(mean)} mean vertices, {len(id_basis)} of identity and {len(exp_basis)} of expression")
    triangles, keypoints = (zero_based(info, numbers, len(mean)) for numbers in labels)
    if triangles.size % 3 or len(keypoints) != len(LM68):
        raise bad(info, f"holds {triangles.size} triangle corners and {len(keypoints)} of 68 key points")
    return FrontModel(path, mean, id_basis, exp_basis, triangles.reshape(-1, 3), keypoints + 1)


def read_front(folder: Path) -> FrontModel:
    """The first layout.

    Raises:
        PortraitError: ``E_FACE_MODEL``.
    """
    path = folder / "BFM_model_front.mat"
    mean, identity, expression, *labels = read_mat(path, "meanshape", "idBase", "exBase", "tri", "keypoints")
    axes = _blocks(path, identity, IDENTITIES), _blocks(path, expression, EXPRESSIONS)
    return _front(path, path, _blocks(path, mean), axes, tuple(labels))


def read_original(folder: Path) -> FrontModel:
    """The second layout. Numbers keep the precision of their files until the end, so that both layouts agree to the last bit.

    Raises:
        PortraitError: ``E_FACE_MODEL``.
    """
    path, info = folder / "01_MorphableModel.mat", folder / "facemodel_info.mat"
    mean, axes, deviations = read_mat(path, "shapeMU", "shapePC", "shapeEV")
    mean, identity = _blocks(path, mean), _blocks(path, axes, IDENTITIES)
    if deviations.size < IDENTITIES or len(mean) != len(identity):
        raise bad(path, f"holds {deviations.size} deviations, {len(mean)} mean vertices and {len(identity)} of identity")
    identity = identity * deviations.ravel()[:IDENTITIES] / MICROMETRES

    trim = zero_based(folder / "BFM_exp_idx.mat", *read_mat(folder / "BFM_exp_idx.mat", "trimIndex"), len(mean))
    chosen = zero_based(folder / "BFM_front_idx.mat", *read_mat(folder / "BFM_front_idx.mat", "idx"), len(trim))
    axes, deviations = read_expressions(folder, len(trim))
    expression = _blocks(folder / "Exp_Pca.bin", axes, EXPRESSIONS)[chosen] * deviations[:EXPRESSIONS] / MICROMETRES
    shape = trim[chosen]
    labels = read_mat(info, "tri", "keypoints")
    return _front(path, info, mean[shape] / MICROMETRES, (identity[shape], expression), tuple(labels))


def _without_eyeballs(folder: Path, triangles: Int[np.ndarray, "f 3"]) -> Int[np.ndarray, "g 3"]:
    """Open the eyes, as PNCC needs them (spec 1.4)."""
    keep = np.ones(len(triangles), bool)
    for path in (find(folder, name) for name in EYEBALLS):
        keep[zero_based(path, read_numbers(path), len(triangles))] = False
    return triangles[keep]


def _facing_front(mean: Float[np.ndarray, "v 3"], triangles: Int[np.ndarray, "f 3"]) -> Int[np.ndarray, "f 3"]:
    """Counter-clockwise as seen from the front, whatever the file's order: visibility in a fit needs normals that point outwards."""
    a, b, c = (mean[triangles[:, corner]] for corner in range(3))
    return triangles if np.cross(b - a, c - a)[:, 2].sum() > 0 else triangles[:, [0, 2, 1]]


def _mediapipe_points(folder: Path, vertices: int) -> Int[np.ndarray, "468"]:
    """Vertex of every MediaPipe point, -1 for those that the mesh does not reach (8 beside the ears; -999 in the file)."""
    path = find(folder, *MEDIAPIPE)
    points = read_numbers(path)
    if len(points) != POINTS or points.max() >= vertices:
        raise bad(path, f"holds {len(points)} numbers up to {points.max(initial=0)}, not {POINTS} vertices of {vertices}")
    return points.clip(-1)


def load_bfm(folder: Path, lm68_one_based: bool = False) -> FaceModel:
    """Build the model from the user's own files.

    Vertices are centred on their average (spec 1.2); unit: decimetre, the outer eye corners about 0.9 apart. 35,709 vertices, about 69,600
    triangles, 80 identity and 64 expression codes; the mean of ``Exp_Pca.bin`` is not added, as everywhere in this field.

    Args:
        folder: of the files in either layout; the first wins if both are there. The official code's small files may lie in it or above it.
        lm68_one_based: take the file's 68 key-point numbers, which count from 1, as if they counted from 0: what the official code does and
            its torso weights expect.

    Raises:
        PortraitError: ``E_FACE_MODEL`` that names the missing or wrong file, where to get it and its licence.
    """
    layouts = {"BFM_model_front.mat": read_front, "01_MorphableModel.mat": read_original}
    readers = [read for name, read in layouts.items() if (folder / name).is_file()]
    if not readers:
        raise bad(folder / "01_MorphableModel.mat", "is missing, and so is BFM_model_front.mat")
    front = readers[0](folder)
    vertices = len(front.mean)
    mean = front.mean.astype(np.float64)
    points = _mediapipe_points(folder, vertices)
    right, left = mean[points[list(OUTER_EYE_CORNERS)]]
    if not EYE_DISTANCES[0] < left[0] - right[0] < EYE_DISTANCES[1]:
        raise bad(front.path, f"puts the outer eye corners {left[0] - right[0]:.3g} apart instead of about 0.9: unit or topology differ")
    keypoints = front.keypoints - (0 if lm68_one_based else 1)
    if keypoints.max() >= vertices:
        raise bad(front.path, "has a key point on its last vertex, which lm68_one_based moves beyond the end")
    tensors = {
        "mean": (mean - mean.mean(0)).astype(np.float32),
        "id_basis": front.id_basis.astype(np.float32),
        "exp_basis": front.exp_basis.astype(np.float32),
        "triangles": _facing_front(mean, _without_eyeballs(folder, front.triangles)),
        "keypoints468": points,
        "keypoints68": keypoints,
    }
    return FaceModel(**{name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in tensors.items()}, name="bfm2009")
