"""Hair that hangs before the face and beside it: a soft sheet of its own, so that it neither moves with the skin below nor smears over it.

The sheet lies on face and head but falls away from them no steeper than ``SLOPE``: where the cheek runs back along the photograph's rays,
hair goes on in front of it. The face wears the skin that goes on below.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy.ndimage import gaussian_filter, maximum_filter, minimum_filter

from core.people.canvas import HAIR, PAD, to_canvas
from core.people.geometry import LAYER_BACK, LAYER_FRONT, HeadMesh, Pose, projective_uvw, unproject
from core.people.grid import STEP, compact, grid_triangles, quads_of
from core.people.hull import Hull
from core.people.openings import continue_colours

FACE = 3
"""Segmentation label of the face's skin."""
SLOPE = 1.2
"""Depth per distance."""
HUNG, LAID = 0.5, 0.03
"""How far long hair, which hangs down beside the cheek, and short hair leave what is below them at most, 3DMM units."""
LIFT = 0.02
"""How far the sheet lies in front of the face, 3DMM units."""
LONG = 0.4
"""Least length of hair above the ear lobes that counts as long, 3DMM units."""
STEEPEST = 2.5
"""Depth per distance from which on short hair is not drawn: it would be a streak, and there is skin below."""
SEAM = 0.06
"""How far short hair before the face goes on over the hair outside it, 3DMM units."""
REACH = 0.3
"""How far outside the face the sheet goes on at most, 3DMM units."""
_STEPS = ((0, 1, 1.0), (1, 0, 1.0), (0, -1, 1.0), (-1, 0, 1.0), (1, 1, 2**0.5), (1, -1, 2**0.5), (-1, 1, 2**0.5), (-1, -1, 2**0.5))


def hair_share(hair: Bool[np.ndarray, "c c"]) -> Float[np.ndarray, "c c"]:
    """Opacity of the sheet: all of the hair and, softly, a little around it, where skin and hair mix."""
    return np.clip(4 * gaussian_filter(hair.astype(np.float32), 1.5), 0, 1)


def bare_face(
    image: UInt8[np.ndarray, "c c 3"], share: Float[np.ndarray, "c c"], inside: Bool[np.ndarray, "c c"]
) -> tuple[UInt8[np.ndarray, "c c 3"], Bool[np.ndarray, "c c"]]:
    """The photograph without the hair that lies inside the face, and where that was.

    Args:
        image: colours of the head on the canvas.
        share: of the sheet in every pixel.
        inside: the face.
    """
    covered = inside & (share > 0.6)
    if not covered.any() or not (inside & ~covered).any():
        return image, np.zeros_like(covered)
    skin = continue_colours(image, inside & (share == 0), 4.0)
    return np.where(covered[..., None], skin, image), covered


def dress_hair(
    textures: UInt8[np.ndarray, "n c c 4"],
    classes: UInt8[np.ndarray, "n c c"],
    image: UInt8[np.ndarray, "c c 3"],
    share: Float[np.ndarray, "c c"],
    shown: Float[np.ndarray, "c c"],
    inside: Bool[np.ndarray, "c c"],
) -> None:
    """Move hair from the front's texture to the back's, which the sheet wears with the opacity ``share * shown``.

    Args:
        textures: of a lifted person, changed in place.
        classes: their labels, changed in place.
        image: colours of the head on the canvas.
        share: of hair in every pixel, see ``hair_share``.
        shown: what ``curtain`` leaves of it.
        inside: the face.
    """
    textures[LAYER_FRONT, ..., :3], covered = bare_face(textures[LAYER_FRONT, ..., :3], share, inside)
    classes[LAYER_FRONT][covered] = FACE
    worn = share > 0
    textures[LAYER_BACK, ..., :3][worn] = image[worn]
    textures[LAYER_BACK, ..., 3] = np.round(share * shown * 255)
    classes[LAYER_BACK][worn] = HAIR


def fall(distance: Float[np.ndarray, "h w"], where: Bool[np.ndarray, "h w"], drop: float, steps: int) -> Float[np.ndarray, "h w"]:
    """The nearest surface to the camera that falls away from a given one by at most ``drop`` per cell, over at most ``steps`` cells.

    Args:
        distance: from the camera; infinite where there is nothing to hang on.
        where: cells that the surface may pass.
        drop: change of distance per cell.
        steps: cells.
    """
    out = distance
    for _ in range(steps):
        padded = np.pad(out, 1, mode="edge")
        moved = [padded[1 + r : padded.shape[0] - 1 + r, 1 + c : padded.shape[1] - 1 + c] + far * drop for r, c, far in _STEPS]
        out = np.where(where, np.minimum(out, np.min(moved, 0)), out)
    return out


def _hung(hair: Bool[np.ndarray, "r r"], lobe: float, chin: float, least: float) -> Float[np.ndarray, "r r"]:
    """Which cells of hair hang free, 0..1: what goes down past the ear lobes' row from ``least`` rows above; less and less to the chin."""
    out = hair.copy()
    for row in range(int(lobe) - 1, -1, -1):
        out[row] &= out[row + 1]
    out &= out[: int(lobe)].sum(0) >= least
    fade = np.clip((chin - np.arange(len(out))) / (0.5 * (chin - lobe)), 0, 1)
    return gaussian_filter(out.astype(np.float64), 1.5) * fade[:, None]


def curtain(
    hull: Hull,
    share: Float[np.ndarray, "c c"],
    face: tuple[Float[np.ndarray, "v 2"], Float[np.ndarray, " v"], Int[np.ndarray, "f 3"]],
    pose: Pose,
) -> tuple[HeadMesh, HeadMesh, Float[np.ndarray, "c c"]]:
    """Hang the sheet up.

    Args:
        hull: of the head.
        share: opacity of the sheet on the canvas.
        face: its vertices in photograph coordinates, their distance from the camera, its triangles.
        pose: of the head in the photograph.

    Returns:
        The opaque middle and the soft border of the sheet, which wear the back of the head, whose texture shows this hair; and how much of
        it is to be seen, 0..1 on the canvas.
    """
    grid, (xy, distance, triangles) = hull.grid, face
    cell = STEP / grid.side / (hull.unit / (1 + 2 * PAD))
    below = grid.over_mesh(to_canvas(xy), distance, triangles)
    front, away = (values.reshape(below.shape) for values in (hull.front, hull.away))
    under, here = np.where(below > 0, below, front), grid.sample(gaussian_filter(share, 2.0)) > 0.004
    lobe, chin = (float(to_canvas(xy)[rows, 1].mean()) * grid.columns for rows in ([132, 361], [152]))
    hung = _hung(here, lobe, chin, LONG / cell)
    hanging = fall(np.where(below > 0, below, np.inf), here, SLOPE * cell, round(REACH / cell))
    lifted = np.clip(under - hanging, 0, LAID + (HUNG - LAID) * hung) * np.clip(1 - away / REACH, 0, 1)
    ahead = under - lifted - LIFT
    ahead = np.minimum(ahead, gaussian_filter(ahead, 1.0))
    level = np.hypot(*np.gradient(ahead)) < STEEPEST * cell
    beside = (away < np.maximum(REACH * hung, SEAM)) & (ahead < front - 0.25 * LIFT)
    shown = gaussian_filter((level | (hung > 0.02)).astype(np.float32), 1.0)
    kept = here & hull.opaque & ((below > 0) | beside) & (shown > 0.05)
    points = unproject(grid.xy, ahead.reshape(-1))
    sheet = replace(hull.fore, vertices=pose.remove(points), uvw=projective_uvw(points))
    shown = grid.stretched(np.clip(2 * shown - 0.3, 0, 1))
    seen = share * shown
    some, full = (grid.sample(extreme(seen, STEP + 1)) for extreme in (maximum_filter, minimum_filter))
    cells = quads_of(kept) & ~quads_of(some < 0.02)
    opaque = cells & quads_of(full > 0.99)
    solid, soft = (sheet.wearing(grid_triangles(part, grid.columns), LAYER_BACK) for part in (opaque, cells & ~opaque))
    return compact(solid), compact(soft), shown
