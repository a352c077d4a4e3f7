"""Build the embedded face model from measured MediaPipe meshes.

    python tools/build_face_model.py face-landmarks-468.npz packages/core/src/core/face/embedded.safetensors

The measurements: ``xyz`` (n, 468, 3) meshes aligned to ``mean``, ``scale``, ``face`` (whose mesh), ``mirror`` (mirrored point numbers);
unit: the distance of the outer eye corners. Needs numpy, safetensors, mediapipe (for its tessellation). Deterministic; takes half a minute.

1. Meshes are aligned on points without muscles (forehead border, temples, nose bridge), so that an opening jaw does not lift the skull.
2. Expression: principal axes of the motion within clips, after removing what goes with the remaining movements of those points: errors of
   MediaPipe's depth and of the alignment.
3. Identity: one mesh per face, its mouth closed along the expression axes; the covariance between faces minus the covariance that remaining
   expressions explain (two-covariance model; the stills are not all neutral); principal axes of what is left.

4. The whole is scaled to 3DMM units, tilted so that a straight look has pitch 0, and centred on its surface.

All principal axes are computed for mirror-symmetric and mirror-antisymmetric motion separately, so that each column is exactly one or the
other, and are scaled by their standard deviations: codes are whitened.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from core.face import regions
from safetensors.numpy import save_file

EYE_DISTANCE = 0.88  # 3DMM units between the outer eye corners: what the cameras of the 3DMM expect
TILT = np.deg2rad(9.0)  # how far the measurements' mean looks up: fitted, straight portraits have pitches of 4 to 12 degrees without it
DEPTH_WEIGHT = 0.5  # MediaPipe guesses depth: it counts less when axes are chosen
NUISANCE = 6
RIGID = (10, 109, 67, 103, 54, 21, 162, 127, 168, 6, 197, 195, 338, 297, 332, 284, 251, 389, 356)
UPPER_INNER, LOWER_INNER = list(regions.LIPS_INNER[1:10]), list(regions.LIPS_INNER[:10:-1])
MIRROR = np.array(regions.MIRROR)


@dataclass
class Meshes:
    """Aligned meshes (n, 468, 3), whose they are (n,), and the symmetric mean (468, 3)."""

    points: np.ndarray
    face: np.ndarray
    mean: np.ndarray

    def groups(self) -> list[np.ndarray]:
        """Mesh numbers of every face."""
        return [np.flatnonzero(self.face == number) for number in np.unique(self.face)]


def mirrored(meshes: np.ndarray) -> np.ndarray:
    """Mirror images of meshes or motions (n, 468, 3)."""
    return meshes[:, MIRROR] * np.array([-1.0, 1.0, 1.0])


def align(meshes: np.ndarray, target: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted similarity alignment of every mesh to ``target``."""
    weights = weights / weights.sum()
    centre = weights @ target
    a = meshes - np.einsum("v,nvi->ni", weights, meshes)[:, None]
    u, s, vt = np.linalg.svd(np.einsum("nvi,v,vj->nij", a, weights, target - centre))
    signs = np.ones_like(s)
    signs[:, 2] = np.sign(np.linalg.det(u @ vt))
    scale = (s * signs).sum(1) / np.einsum("nvi,v->n", a**2, weights)
    return scale[:, None, None] * (a @ ((u * signs[:, None]) @ vt)) + centre


def steady(meshes: Meshes) -> Meshes:
    """Align on the rigid points."""
    weights = np.isin(np.arange(regions.POINTS), RIGID).astype(float)
    return Meshes(align(meshes.points, meshes.mean, weights), meshes.face, meshes.mean)


def within_clips(meshes: Meshes) -> np.ndarray:
    """Deviations from each clip's median mesh (n, 468, 3)."""
    clips = [group for group in meshes.groups() if len(group) > 20]
    return np.concatenate([meshes.points[clip] - np.median(meshes.points[clip], 0) for clip in clips])


def principal(covariance: np.ndarray, count: int) -> np.ndarray:
    """Axes (1404, count) scaled by their standard deviations, of a covariance in the depth-weighted metric."""
    values, vectors = np.linalg.eigh(covariance)
    order = np.argsort(values)[::-1][:count]
    return vectors[:, order] * np.sqrt(values[order].clip(0))


def weigh(motion: np.ndarray) -> np.ndarray:
    """Flatten (n, 468, 3) motions into the depth-weighted metric (n, 1404)."""
    return (motion * [1, 1, DEPTH_WEIGHT]).reshape(len(motion), -1)


def unweigh(axes: np.ndarray) -> np.ndarray:
    """Axes (1404, k) of the depth-weighted metric as motions (468, 3, k)."""
    return axes.reshape(regions.POINTS, 3, -1) / np.array([1, 1, DEPTH_WEIGHT])[:, None]


def parities(motion: np.ndarray) -> list[np.ndarray]:
    """Symmetric and antisymmetric parts of motions; their covariances add up to that of the mirror-augmented data."""
    other = mirrored(motion)
    return [(motion + other) / 2, (motion - other) / 2]


def muscle_motion(motion: np.ndarray) -> np.ndarray:
    """What muscles and jaw do (n, 13): mouth gap, width, corners, protrusion, chin, nose to lip, lids, brows."""
    x, y, z = motion[..., 0], motion[..., 1], motion[..., 2]
    mouth = [y[:, 13] - y[:, 14], x[:, 291] - x[:, 61], y[:, 61] - y[:, 0], y[:, 291] - y[:, 0], y[:, 17] - y[:, 0], z[:, 0] - z[:, 2]]
    jaw = [x[:, 152], y[:, 152] - y[:, 2], y[:, 0] - y[:, 2]]
    eyes = [y[:, 159] - y[:, 145], y[:, 386] - y[:, 374], y[:, 105] - y[:, 133], y[:, 334] - y[:, 362]]
    return np.stack([*mouth, *jaw, *eyes], 1)


def without_nuisance(motion: np.ndarray, count: int) -> np.ndarray:
    """Subtract what the main movements of the rigid points predict, linearly, beside what muscles do.

    Predicting from both at once keeps the motion of the jaw, which is correlated with the errors that an opening mouth causes.
    """
    flat = motion.reshape(len(motion), -1)
    rigid = motion[:, RIGID].reshape(len(motion), -1)
    _, vectors = np.linalg.eigh(rigid.T @ rigid)
    scores = rigid @ vectors[:, -count:]
    slopes = np.linalg.lstsq(np.concatenate([scores, muscle_motion(motion)], 1), flat, rcond=None)[0]
    return (flat - scores @ slopes[:count]).reshape(motion.shape)


def strongest(parts: list[np.ndarray], count: int) -> np.ndarray:
    """The ``count`` axes of greatest variance among several sets (1404, k)."""
    axes = np.concatenate(parts, 1)
    return axes[:, np.argsort((axes**2).sum(0))[::-1][:count]]


def expression_axes(meshes: Meshes, count: int) -> np.ndarray:
    """Whitened expression axes (1404, count) in the depth-weighted metric."""
    parts = []
    for part in parities(within_clips(meshes)):
        flat = weigh(without_nuisance(part, NUISANCE // 2))
        parts.append(principal(flat.T @ flat / len(flat), count))
    return strongest(parts, count)


def lip_gaps(meshes: np.ndarray) -> np.ndarray:
    """Height of the mouth hole at nine places (..., 9)."""
    return meshes[..., UPPER_INNER, 1] - meshes[..., LOWER_INNER, 1]


def neutral_faces(meshes: Meshes, expression: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One mesh per face with open eyes and closed mouth (m, 468, 3), and the projector of the codes that closing leaves free (k, k)."""
    axes = unweigh(expression)
    gaps = lip_gaps(np.moveaxis(axes, 2, 0)).T  # (9, k)
    inverse = gaps.T @ np.linalg.inv(gaps @ gaps.T + 1e-6 * np.eye(9))
    faces = np.stack([np.median(meshes.points[group], 0) for group in meshes.groups()])
    lids = (faces[:, 159, 1] - faces[:, 145, 1] + faces[:, 386, 1] - faces[:, 374, 1]) / 2
    faces = faces[lids > 0.06]
    codes = -lip_gaps(faces) @ inverse.T
    return faces + np.einsum("vik,nk->nvi", axes, codes), np.eye(gaps.shape[1]) - inverse @ gaps


def identity_axes(faces: np.ndarray, remaining: np.ndarray, count: int) -> np.ndarray:
    """Whitened identity axes (1404, count): covariance between faces less the one of ``remaining`` expression axes (1404, k)."""
    deviation = faces - (faces.mean(0) + mirrored(faces.mean(0)[None])[0]) / 2
    unexplained = parities(np.moveaxis(unweigh(remaining), 2, 0))
    parts = []
    for part, expression in zip(parities(deviation), unexplained, strict=True):
        flat, taken = weigh(part), weigh(expression)
        parts.append(principal(flat.T @ flat / len(flat) - taken.T @ taken, count))
    return strongest(parts, count)


def triangles(mean: np.ndarray) -> np.ndarray:
    """Faces of the tessellation (852, 3), seen counter-clockwise from the front: its 3-cliques but for two that are no faces."""
    from mediapipe.python.solutions.face_mesh_connections import FACEMESH_TESSELATION

    near: dict[int, set[int]] = {}
    for a, b in FACEMESH_TESSELATION:
        near.setdefault(a, set()).add(b)
        near.setdefault(b, set()).add(a)
    cliques = {tuple(sorted((a, b, c))) for a in near for b in near[a] for c in near[a] & near[b]}
    faces = np.array(sorted(cliques - {(49, 64, 129), (279, 294, 358)}))  # these two cover three smaller ones each
    corners = mean[faces]
    back = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2] < 0
    faces[back] = faces[back][:, [0, 2, 1]]
    return oriented(faces)


def oriented(faces: np.ndarray) -> np.ndarray:
    """Turn the faces that disagree with most of their neighbours: those whose normal points sideways."""
    for _ in range(len(faces)):
        edges: dict[tuple[int, int], list[int]] = {}
        for number, (a, b, c) in enumerate(faces.tolist()):
            for edge in ((a, b), (b, c), (c, a)):
                edges.setdefault(edge, []).append(number)
        clashes = np.bincount([n for owners in edges.values() if len(owners) > 1 for n in owners], minlength=len(faces))
        if not clashes.any():
            return faces
        worst = int(clashes.argmax())
        faces[worst] = faces[worst][[0, 2, 1]]
    raise RuntimeError("the tessellation cannot be oriented")


def surface_centre(mean: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Centre of the surface, each triangle counted with its area."""
    a, b, c = np.moveaxis(mean[faces], 1, 0)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    return ((a + b + c) / 3 * area[:, None]).sum(0) / area.sum()


def read_meshes(path: Path) -> Meshes:
    """The measurements, aligned on the rigid points."""
    with np.load(path) as data:
        if not np.array_equal(data["mirror"], MIRROR):
            raise SystemExit("the mirror map differs from core.face.regions.MIRROR")
        return steady(Meshes(data["xyz"] * np.float64(data["scale"]), data["face"], data["mean"].astype(np.float64)))


def build(meshes: Meshes) -> dict[str, np.ndarray]:
    """The tensors of the model file, in 3DMM units and axes."""
    expression = expression_axes(meshes, 64)
    faces, free = neutral_faces(meshes, expression)
    identity = identity_axes(faces, expression @ free, 80)
    mean = (faces.mean(0) + mirrored(faces.mean(0)[None])[0]) / 2
    tessellation = triangles(mean)
    scale = EYE_DISTANCE / (mean[263, 0] - mean[33, 0])
    mean = mean * scale
    tilt = np.array([[1, 0, 0], [0, np.cos(TILT), -np.sin(TILT)], [0, np.sin(TILT), np.cos(TILT)]])
    mean = (mean - surface_centre(mean, tessellation)) @ tilt.T
    return {
        "mean": mean.astype(np.float32),
        "id_basis": (tilt @ unweigh(identity) * scale).astype(np.float16),
        "exp_basis": (tilt @ unweigh(expression) * scale).astype(np.float16),
        "triangles": tessellation.astype(np.int16),
    }


def main() -> None:
    """Read the measurements, write the model."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("measurements", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    meshes = read_meshes(arguments.measurements)
    tensors = {name: np.ascontiguousarray(value) for name, value in build(meshes).items()}
    save_file(tensors, arguments.output, {"name": "mediapipe468"})
    print(f"{arguments.output}: {arguments.output.stat().st_size / 1e3:.0f} kB from {len(meshes.points)} meshes")


if __name__ == "__main__":
    main()
