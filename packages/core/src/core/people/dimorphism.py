"""How faces of women and men differ: one direction among the identity codes of the face model.

The directions are those of anthropometry (Farkas, "Anthropometry of the Head and Face", 1994): jaw and nose of men are wider, the lower
third is longer, the brow stands out; eyes and lips of women are fuller, brows lie higher. How much each counts was judged by eye. Each is
a linear measure of the vertices, so the codes that change it most are known; the direction is their sum.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Float

_MEASURES = (
    # share, axis, vertices that add, vertices that are taken away
    (-1.0, 0, (397, 365), (172, 136)),  # jaw
    (-0.6, 0, (327, 294), (98, 64)),  # wings of the nose
    (-0.8, 1, (17,), (152,)),  # chin
    (-0.7, 1, (168,), (2,)),  # nose
    (-0.8, 2, (9, 107, 336), (151, 159, 386)),  # brow ridge
    (0.9, 1, (159, 386), (145, 374)),  # eyes
    (0.9, 1, (0, 14), (13, 17)),  # lips
    (0.6, 1, (105, 334), (159, 386)),  # height of the brows
)


def feminine(id_basis: Float[np.ndarray, "v 3 80"]) -> Float[np.ndarray, "80"]:
    """The unit direction of identity codes from the usual man to the usual woman.

    Args:
        id_basis: vertex motion per unit of every (whitened) identity code.
    """
    total = np.zeros(id_basis.shape[2])
    for share, axis, more, less in _MEASURES:
        change = id_basis[list(more), axis].mean(0) - id_basis[list(less), axis].mean(0)
        total += share * change / np.linalg.norm(change)
    return total / np.linalg.norm(total)


@lru_cache(maxsize=1)
def embedded() -> Float[np.ndarray, "80"]:
    """The same of the embedded face model."""
    from core.face.model import FaceModel

    return feminine(FaceModel.embedded().id_basis.double().numpy())
