"""Random walks on a picture (Grady 2006): a doubtful pixel asks its neighbours, and asks less across edges."""

import numpy as np
from jaxtyping import Bool, Float
from scipy import sparse
from scipy.sparse.linalg import spsolve

EDGE = 6.0
"""Lab distance between neighbours at which they have exp(-1/2) of the say that equal ones have."""
LEAST_SAY = 0.01


def random_walk(
    lab: Float[np.ndarray, "h w 3"], inside: Bool[np.ndarray, "h w"], belief: Float[np.ndarray, "h w"], trust: Float[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w"]:
    """Chance that a walk from a pixel ends in a "yes".

    Minimises ``sum trust_i (x_i - belief_i)^2 + sum say_ij (x_i - x_j)^2`` over the 4-connected pixels inside, where ``say`` is between
    `LEAST_SAY` (edges) and 1 + `LEAST_SAY` (equal colours). Exact: one sparse linear system.

    Args:
        lab: CIE Lab colours.
        inside: pixels that take part.
        belief: what each pixel would say alone, in [0, 1].
        trust: how firmly, above 0; 1 is as firm as one neighbour of the same colour.

    Returns:
        In [0, 1]; 0 outside.
    """
    count = int(inside.sum())
    number = np.full(inside.shape, -1, np.int32)
    number[inside] = np.arange(count, dtype=np.int32)
    rows, columns, says = [], [], []
    for here, there in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        pair = inside[here] & inside[there]
        distance = np.square(lab[here][pair] - lab[there][pair]).sum(axis=-1)
        rows.append(number[here][pair])
        columns.append(number[there][pair])
        says.append(np.exp(-distance / (2 * EDGE**2)) + LEAST_SAY)
    half = sparse.coo_matrix((np.concatenate(says), (np.concatenate(rows), np.concatenate(columns))), shape=(count, count))
    graph = (half + half.T).tocsc()
    degree = np.asarray(graph.sum(axis=0)).ravel()
    system = (sparse.diags(degree + trust[inside]) - graph).tocsc()
    result = np.zeros(inside.shape, np.float32)
    # the system is symmetric: this ordering fills in least
    result[inside] = spsolve(system, (trust * belief)[inside], permc_spec="MMD_AT_PLUS_A")
    return np.clip(result, 0, 1)
