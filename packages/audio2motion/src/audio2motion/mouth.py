"""From what the lips should do to expression codes of a face model, through the named motions of `core.face.expression`.

Everything is linear in the codes, so amounts of motion are set by what they measure: a gap channel of 1 gives lips `FULL_GAP` apart.
"""

import torch
from core.face.expression import MOTIONS, motion_axis, mouth_opening
from core.face.model import FaceModel
from jaxtyping import Float, Int
from torch import Tensor

from audio2motion.lip_shapes import ROUNDED, TUCKED, shape_axis

FULL_GAP = 0.235
"""Inner lip distance of a loud "ah" by an average speaker; the unit here is the distance of the outer eye corners."""
SPREAD = 0.075
"""Growth of the mouth's width at width channel 1 (a resting mouth is about 0.6 wide)."""
ROUND = 0.85
"""Share of a firm "oo" (`audio2motion.lip_shapes.ROUNDED`) at width channel -1: 0.16 narrower."""
OVERLAP = 0.03
"""Lips pressed by force are driven this far beyond touching, so that an "m" stays shut when the network blurs it."""
BROWS = 0.05
"""Rise of the brows at amount 1, a clear emphasis."""
LIDS = 0.09
"""Approach of the lids in a blink."""
BLINK_SHAPE = (0.0, 0.35, 0.85, 1.0, 0.8, 0.5, 0.2, 0.0)
"""How shut the eyes are from 3 frames before a blink's centre on, at 25 fps."""


class MouthRig:
    """Turns mouth tracks (`audio2motion.visemes`) and blinks into codes of ``face``.

    Args:
        face: model whose codes are wanted.
    """

    def __init__(self, face: FaceModel) -> None:
        self.face = face

        def per_unit(name: str, measure: str) -> Float[Tensor, "64"]:
            return motion_axis(face, name) / abs(MOTIONS[name].effect[measure])

        self._open = per_unit("jaw_open", "mouth_gap")
        self._wide = per_unit("lips_wide", "mouth_width")
        self._closed = per_unit("lips_closed", "mouth_gap")
        self._lids = per_unit("blink", "eye_gap")
        self._brows = motion_axis(face, "brows_up") * (BROWS / MOTIONS["brows_up"].effect["brow_height"])
        self._round, self._tuck = (self._as_open_as_before(shape_axis(face, shape)) for shape in (ROUNDED, TUCKED))
        self._rest_gap = float(mouth_opening(face, torch.zeros(1, 80), torch.zeros(1, 64)))

    def _as_open_as_before(self, axis: Float[Tensor, "64"]) -> Float[Tensor, "64"]:
        """The same without its part in the opening, which is the gap channel's to say."""
        gap = mouth_opening(self.face, torch.zeros(2, 80), torch.stack([axis, torch.zeros(64)]))
        return axis + (gap[0] - gap[1]) * self._closed

    def codes(
        self, track: Float[Tensor, "t 5"], opening: float = 1.0, blink: Int[Tensor, "t"] | None = None,
        brows: Float[Tensor, "t"] | None = None,
    ) -> Float[Tensor, "t 64"]:  # fmt: skip
        """Expression codes of a mouth track.

        Args:
            track: gap, width, tuck, press, jaw per frame; see `audio2motion.visemes`.
            opening: scales the gap: how far this speaker opens the mouth.
            blink: 1 on the centre frame of each blink.
            brows: how far the brows are raised, 0..1.
        """
        gap, width, tuck, press, jaw = track[:, :, None].unbind(1)
        # A gap of 0 is the model's neutral mouth; pressed lips also undo what the neutral mouth is open. What the jaw does not give of
        # the gap, or gives too much, is up to the lips.
        exp = opening * FULL_GAP * (jaw * self._open + (jaw - gap) * self._closed)
        exp = exp + width.clamp(min=0) * SPREAD * self._wide + (-width).clamp(min=0) * ROUND * self._round
        exp = exp + press * (OVERLAP + max(self._rest_gap, 0.0)) * self._closed + tuck * self._tuck
        if blink is not None:
            exp = exp + blink_curve(blink)[:, None] * LIDS * self._lids
        if brows is not None:
            exp = exp + brows[:, None] * self._brows
        return exp


def blink_curve(blink: Int[Tensor, "t"]) -> Float[Tensor, "t"]:
    """How shut the eyes are, 0..1, for blink units at 25 fps."""
    curve = torch.zeros(blink.shape[0])
    for centre in blink.nonzero()[:, 0].tolist():
        for offset, shut in enumerate(BLINK_SHAPE):
            frame = centre + offset - 3
            if 0 <= frame < len(curve):
                curve[frame] = max(float(curve[frame]), shut)
    return curve


def mouth_amplitude(face: FaceModel, exp: Float[Tensor, "t 64"]) -> float:
    """0.9-quantile over time of the L1 distance of lip points 51 and 57 of 68, mean identity, face units (spec 8.1)."""
    points = face.keypoints(exp.new_zeros(exp.shape[0], 80), exp, 68)
    return float(torch.quantile((points[:, 51] - points[:, 57]).abs().sum(1), 0.9))
