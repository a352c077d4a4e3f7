"""Measure what the embedded face model leaves unexplained of the meshes it was made from, and of faces it has not seen.

    python tools/measure_face_model.py face-landmarks-468.npz

"As shipped" is the committed model on all faces; "unseen" is built from every other face and tested on the rest. Distances are root mean
squares over points in percent of the distance of the outer eye corners. Codes have no prior: what is left over, the axes cannot reach.
"""

import argparse
from pathlib import Path

import numpy as np
from build_face_model import EYE_DISTANCE, MIRROR, RIGID, Meshes, align, build, read_meshes, within_clips
from core.face import FaceModel, regions

Basis = np.ndarray  # (468, 3, k)


def unexplained(motion: np.ndarray, basis: Basis) -> tuple[np.ndarray, np.ndarray]:
    """Rest of motions (n, 468, 3) after the best codes of ``basis``, and the codes (n, k)."""
    design = basis.reshape(-1, basis.shape[-1])
    flat = motion.reshape(len(motion), -1)
    codes = flat @ np.linalg.pinv(design).T
    return (flat - codes @ design.T).reshape(motion.shape), codes


def percent(motion: np.ndarray) -> str:
    """Root mean square over meshes and points, seen from the front and with depth."""
    flat, full = (np.sqrt((motion[..., :axes] ** 2).sum(-1).mean()) / EYE_DISTANCE * 100 for axes in (2, 3))
    return f"{flat:.2f} ({full:.2f})"


def report(title: str, meshes: Meshes, mean: np.ndarray, id_basis: Basis, exp_basis: Basis) -> None:
    """Rows of the table for one model and one set of meshes."""
    weights = np.isin(np.arange(regions.POINTS), RIGID).astype(float)
    posed = Meshes(align(meshes.points, mean, weights), meshes.face, mean)
    faces = np.stack([np.median(posed.points[group], 0) for group in posed.groups()]) - mean
    motion = within_clips(posed)
    everything = np.concatenate([id_basis, exp_basis], 2)
    for what, values, basis in (
        ("motion within clips, 64 expression axes", motion, exp_basis),
        ("one mesh per face, 80 identity axes", faces, id_basis),
        ("every mesh, all 144 axes", posed.points - mean, everything),
    ):
        rest, codes = unexplained(values, basis)
        spread = codes.std(0)
        variance = 100 * (1 - (rest**2).sum() / (values**2).sum())
        row = [f"{title}: {what}", percent(values), percent(rest), f"{variance:.2f} %", f"{np.median(spread):.2f}"]
        print("| " + " | ".join(row) + " |")


def symmetry(face: FaceModel) -> None:
    """How exactly the shipped model is its own mirror image."""
    flip = np.array([-1.0, 1, 1])
    mean = face.mean.numpy()
    print(f"mean: mirror error {np.abs(mean[MIRROR] * flip - mean).max() / EYE_DISTANCE * 100:.5f} % of the eye distance")
    for name in ("id_basis", "exp_basis"):
        basis = getattr(face, name).numpy()
        other = basis[MIRROR] * flip[:, None]
        parity = np.sign((basis * other).sum((0, 1)))
        error = np.abs(other * parity - basis).max() / EYE_DISTANCE * 100
        print(f"{name}: {int((parity > 0).sum())} symmetric and {int((parity < 0).sum())} antisymmetric axes, mirror error {error:.4f} %")


def main() -> None:
    """Print the table of ``docs/faces.md``."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("measurements", type=Path)
    meshes = read_meshes(parser.parse_args().measurements)
    face = FaceModel.embedded()
    rebuilt = build(meshes)
    same = all(np.allclose(rebuilt[name].astype(np.float32), getattr(face, name).numpy(), atol=1e-3) for name in rebuilt)
    print(f"rebuilding gives the shipped model: {same}")
    symmetry(face)
    print("| meshes and axes | spread | left over | explained | median spread of codes |\n|---|---|---|---|---|")
    report("as shipped", meshes, face.mean.numpy().astype(np.float64), face.id_basis.numpy(), face.exp_basis.numpy())
    seen, unseen = (Meshes(meshes.points[pick], meshes.face[pick], meshes.mean) for pick in (meshes.face % 2 == 0, meshes.face % 2 == 1))
    half = {name: value.astype(np.float64) for name, value in build(seen).items()}
    report("unseen", unseen, half["mean"], half["id_basis"], half["exp_basis"])


if __name__ == "__main__":
    main()
