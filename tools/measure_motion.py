"""Measure how faces move over time, for ``core.people.takes``.

    python tools/measure_motion.py face-landmarks-468.npz packages/core/src/core/people/motion.safetensors

The measurements: clips among the meshes that ``tools/build_face_model.py`` reads (``frame`` is the order in time, 12.5 meshes a second).
Their whitened expression codes are taken for sums of two smooth random motions, a quick one (speech) and a slow one (mood), and of noise of
the measurement, which is left out: the autocorrelation of every code is fitted by ``a (1 + t/Q) exp(-t/Q) + b (1 + t/S) exp(-t/S)`` for
t > 0. Writes ``quick`` and ``slow`` (64 standard deviations each) and ``times`` (Q and S in seconds). Deterministic; takes some seconds.
"""

import argparse
from pathlib import Path

import numpy as np
from build_face_model import DEPTH_WEIGHT, EYE_DISTANCE, RIGID, TILT, align
from core.face.model import FaceModel
from safetensors.numpy import save_file
from scipy.optimize import nnls

STEP = 0.08  # seconds between meshes
LAGS = 13  # of the autocorrelation; beyond a second clips of some ten seconds say little
SHORTEST = 30  # meshes of a clip
QUICK, SLOW = np.geomspace(0.05, 0.25, 9), np.geomspace(0.4, 2.0, 9)  # seconds that are tried


def codes_of(meshes: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Whitened expression codes (n, 64) of the meshes (n, 468, 3) of one clip, less their mean."""
    rigid = np.isin(np.arange(meshes.shape[1]), RIGID).astype(float)
    aligned = align(meshes, meshes.mean(0), rigid)
    tilt = np.array([[1, 0, 0], [0, np.cos(TILT), -np.sin(TILT)], [0, np.sin(TILT), np.cos(TILT)]])
    motion = ((aligned - aligned.mean(0)) * EYE_DISTANCE @ tilt.T).reshape(len(meshes), -1)
    weight = np.tile([1, 1, DEPTH_WEIGHT], meshes.shape[1])
    weighed = basis * weight[:, None]
    return np.linalg.solve(weighed.T @ weighed + 1e-4 * np.eye(basis.shape[1]), weighed.T @ (motion * weight).T).T


def autocovariance(clips: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """(LAGS, 64) over all clips of (frame numbers, codes); pairs with a lost frame are left out."""
    total, count = np.zeros((LAGS, 64)), np.zeros(LAGS)
    for frames, codes in clips:
        place = np.round((frames - frames[0]) / np.median(np.diff(frames))).astype(int)
        rows = np.full((place[-1] + 1, 64), np.nan)
        rows[place] = codes
        for lag in range(min(LAGS, len(rows))):
            products = rows[: len(rows) - lag] * rows[lag:]
            known = np.isfinite(products[:, 0])
            total[lag] += products[known].sum(0)
            count[lag] += known.sum()
    return total / count[:, None]


def shape(time: np.ndarray, constant: float) -> np.ndarray:
    """Autocorrelation of white noise that went twice through a low-pass."""
    return (1 + time / constant) * np.exp(-time / constant)


def fit(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variances (2, 64) of the quick and the slow motion and their two times; lag 0, which holds the noise, does not count."""
    time = np.arange(1, LAGS) * STEP
    best = (np.inf, np.zeros((2, 64)), np.zeros(2))
    for quick in QUICK:
        for slow in SLOW:
            columns = np.stack([shape(time, quick), shape(time, slow)], 1)
            solved = [nnls(columns, covariance[1:, axis]) for axis in range(64)]
            error = sum(rest**2 for _, rest in solved)
            if error < best[0]:
                best = error, np.stack([x for x, _ in solved], 1), np.array([quick, slow])
    return best[1], best[2]


def main() -> None:
    """Read, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("meshes", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    data, basis = np.load(args.meshes), FaceModel.embedded().exp_basis.double().numpy().reshape(-1, 64)
    clips = []
    for face in np.unique(data["face"]):
        rows = np.flatnonzero(data["face"] == face)
        if len(rows) >= SHORTEST:
            rows = rows[np.argsort(data["frame"][rows])]
            clips.append((data["frame"][rows].astype(int), codes_of(data["xyz"][rows] * float(data["scale"]), basis)))
    covariance = autocovariance(clips)
    variance, times = fit(covariance)
    noise = 1 - variance.sum() / covariance[0].sum()
    print(
        f"{len(clips)} clips; times {times.round(3)} s; share of quick motion {variance[0].sum() / variance.sum():.2f}, noise {noise:.2f}"
    )
    quick, slow = np.sqrt(variance)
    save_file({"quick": quick.astype(np.float32), "slow": slow.astype(np.float32), "times": times.astype(np.float32)}, args.out)


if __name__ == "__main__":
    main()
