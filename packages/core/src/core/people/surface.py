"""The face: the face model's own mesh, laid exactly over the photograph, and how an expression moves it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from core.people.geometry import HeadMesh, Pose, projective_uvw

# Pairs of upper and lower points of the three openings in MediaPipe's 468-point topology.
MOUTH_PAIRS = ((191, 80, 81, 82, 13, 312, 311, 310, 415), (95, 88, 178, 87, 14, 317, 402, 318, 324))
RIGHT_EYE_PAIRS = ((246, 161, 160, 159, 158, 157, 173), (7, 163, 144, 145, 153, 154, 155))
LEFT_EYE_PAIRS = ((466, 388, 387, 386, 385, 384, 398), (249, 390, 373, 374, 380, 381, 382))
_OVERLAP = 0.01
"""By how much closed edges overlap, 3DMM units: what merely touches leaves bright dots between its pixels."""
_KEYS = {"oval": 10, "mouth": 13, "right_eye": 159, "left_eye": 386}


def boundary_loops(triangles: Int[np.ndarray, "f 3"]) -> dict[str, Int[np.ndarray, " n"]]:
    """The ordered outlines of the face mesh: ``oval``, ``mouth``, ``right_eye``, ``left_eye``."""
    directed = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    edges = {tuple(edge) for edge in directed.tolist()}
    follows = {a: b for a, b in edges if (b, a) not in edges}
    loops = {}
    for name, first in _KEYS.items():
        loop = [first]
        while follows[loop[-1]] != first:
            loop.append(follows[loop[-1]])
        loops[name] = np.array(loop)
    return loops


def face_surface(triangles: Int[np.ndarray, "f 3"], vertices: Float[np.ndarray, "v 3"], pose: Pose, layer: int) -> HeadMesh:
    """Texture the fitted face with its own photograph.

    Args:
        triangles: of the face model.
        vertices: canonical, fitted and corrected to the measured landmarks.
        pose: of the head in the photograph.
        layer: the texture that holds the photograph.
    """
    anchors = np.arange(len(vertices))[:, None].repeat(3, 1)
    weights = np.array([[1.0, 0.0, 0.0]]).repeat(len(vertices), 0)
    return HeadMesh(vertices, anchors, weights, projective_uvw(pose.apply(vertices)), triangles, np.full(len(triangles), layer, np.uint8))


@dataclass(frozen=True)
class FaceMotion:
    """How the face moves away from its expression in the photograph.

    Attributes:
        basis: expression axes (v, 3, 64).
        fitted: canonical vertices of the fit at the source expression.
        measured: the same, corrected to the measured landmarks.
        source: source expression.
    """

    basis: Float[np.ndarray, "v 3 64"]
    fitted: Float[np.ndarray, "v 3"]
    measured: Float[np.ndarray, "v 3"]
    source: Float[np.ndarray, "64"]

    def __call__(self, exp: Float[np.ndarray, "64"]) -> Float[np.ndarray, "v 3"]:
        """Displacement of every model vertex; lips and lids meet along one line and close when the model's do."""
        motion = self.basis @ (np.asarray(exp, np.float64) - self.source)
        self._meet(motion, MOUTH_PAIRS, 0.5)
        self._meet(motion, RIGHT_EYE_PAIRS, 1.0)
        self._meet(motion, LEFT_EYE_PAIRS, 1.0)
        return motion

    def model(self, exp: Float[np.ndarray, "64"]) -> Float[np.ndarray, "v 3"]:
        """Canonical vertices of the face model itself, as the coefficients describe them."""
        return self.fitted + self.basis @ (np.asarray(exp, np.float64) - self.source)

    def _meet(self, motion: np.ndarray, pairs: tuple[tuple[int, ...], tuple[int, ...]], upper_share: float) -> None:
        """Fit and photograph differ by a residual opening and sideways: fade both out as it closes, till the edges just overlap."""
        up, low = (np.array(side) for side in pairs)

        def gap(points: np.ndarray) -> np.ndarray:
            return points[up, 1] - points[low, 1]

        def share(opening: np.ndarray) -> np.ndarray:
            return np.clip(np.maximum(opening, 0) / np.maximum(before, 0.02), 0, 1)

        before, after, seen = gap(self.fitted), gap(self.fitted + motion), gap(self.measured)
        residual = seen - before
        fade = share(after) - share(before)
        wanted = np.maximum(seen + (after - before) + residual * fade, np.minimum(seen, 0))
        closing = np.clip(-fade, 0, 1)
        change = wanted - _OVERLAP * closing - gap(self.measured + motion)
        motion[up, 1] += upper_share * change
        motion[low, 1] -= (1 - upper_share) * change
        apart = (self.measured + motion)[up] - (self.measured + motion)[low]
        apart *= closing[:, None] * [1.0, 0.0, 1.0]
        motion[up] -= upper_share * apart
        motion[low] += (1 - upper_share) * apart
