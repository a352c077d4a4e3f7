"""Clips without a store: people are made and drawn when a frame is asked for, in whatever process asks.

Everything follows from the seed, the person's name and the number of the frame, so any worker of any rank draws the same bytes, in any
order. Making a person costs much more than drawing a frame; the last few stay in memory, and ``core.train.bursts`` orders the samples so
that few people are wanted at a time.
"""

from collections import OrderedDict
from collections.abc import Sequence
from zlib import crc32

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from core.camera import Camera
from core.data.clip_codec import quarter_depth
from core.data.clip_writer import ClipSource, still_layers
from core.data.clips import ClipOrder, FrameBatch, Split, one_hot, picture
from core.data.plan import ClipPlan, PlanOptions, plan_clip
from core.errors import PortraitError
from core.face.model import FaceModel
from core.people.person import Person, PersonFrame

KEPT = 16
"""People that stay in memory; one of 512 pixels takes some 20 MB."""


class LiveClips:
    """People who are drawn meanwhile (``core.data.clips.Clips``).

    Args:
        sources: who; those who cannot be made give their place to the next of their split.
        size: side of the pictures.
        options: what frames there are of everyone; frames that nobody asks for cost nothing, so there may be hundreds.
        seed: of variation, expressions and cameras.
    """

    def __init__(self, sources: Sequence[ClipSource], size: int = 512, options: PlanOptions | None = None, seed: int = 0) -> None:
        self.sources, self.image_size = list(sources), size
        self.options, self.seed = options or PlanOptions(), seed
        self._made: OrderedDict[int, tuple[Person, ClipPlan]] = OrderedDict()

    def __getstate__(self) -> dict:
        """People do not travel to other processes; they are made again there."""
        return self.__dict__ | {"_made": OrderedDict()}

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def face_model(self) -> str:
        """Fingerprint of the face model that the coefficients belong to."""
        return FaceModel.embedded().fingerprint

    def indices(self, split: Split | None = None) -> list[int]:
        """Clips of one split, or all."""
        return [i for i, source in enumerate(self.sources) if split is None or source.split == split]

    def made(self, clip: int) -> tuple[Person, ClipPlan]:
        """The person of one clip and what its frames show.

        Raises:
            PortraitError: ``E_NO_PEOPLE`` when nobody of the split can be made.
        """
        if clip not in self._made:
            while len(self._made) >= KEPT:
                self._made.popitem(last=False)
            self._made[clip] = self._make(clip)
        self._made.move_to_end(clip)
        return self._made[clip]

    def _make(self, clip: int) -> tuple[Person, ClipPlan]:
        alike = self.indices(self.sources[clip].split)
        start, reason = alike.index(clip), ""
        for number in alike[start:] + alike[:start]:
            source = self.sources[number]
            rng = np.random.default_rng((self.seed, crc32(source.name.encode())))
            try:
                person = source.make(rng)
            except PortraitError as error:
                reason = error.message
                continue
            return person, plan_clip(person, self.options, rng)
        raise PortraitError("E_NO_PEOPLE", f"nobody could be made; at last: {reason}", "Give other photographs.")

    def order(self, clip: int) -> ClipOrder:
        """How the frames of one clip belong together."""
        plan = self.made(clip)[1]
        return ClipOrder(plan.group, plan.take, plan.time)

    def frame(self, clip: int, index: int, size: int | None = None) -> FrameBatch:
        """Draw one frame."""
        person, plan = self.made(clip)
        drawn = plan.render(person, index, size or self.image_size)
        return as_batch(drawn, plan, index, self.options.torso_delay > 0)

    def head(self, clip: int, index: int, size: int | None = None) -> tuple[Float[Tensor, "1 3 s s"], Float[Tensor, "1 1 s s"], Camera]:
        """Head over -1, its mask and the camera of one frame."""
        person, plan = self.made(clip)
        drawn = plan.render(person, index, size or self.image_size)
        return picture(drawn.head), torch.from_numpy(drawn.head_alpha)[None, None], drawn.camera

    def still(self, clip: int, size: int | None = None) -> tuple[Float[Tensor, "1 3 s s"], Float[Tensor, "1 3 s s"]]:
        """Background and inpainted torso of one clip."""
        background, torso = still_layers(self.made(clip)[0], size or self.image_size)
        return picture(background), picture(torso)


def as_batch(drawn: PersonFrame, plan: ClipPlan, index: int, lags: bool) -> FrameBatch:
    """A drawn frame as a batch of one.

    Args:
        drawn: with all labels.
        plan: of its clip.
        index: its number.
        lags: whether the torso has key points of its own.
    """
    one = slice(index, index + 1)
    return FrameBatch(
        image=picture(drawn.image),
        head=picture(drawn.head),
        head_mask=torch.from_numpy(drawn.head_alpha)[None, None],
        segmap=one_hot(drawn.labels),
        coeffs=drawn.coeffs,
        camera=drawn.camera,
        exp_before=torch.from_numpy(plan.exp_before[one]),
        exp_after=torch.from_numpy(plan.exp_after[one]),
        keypoints=torch.from_numpy(drawn.keypoints)[None],
        gaze=torch.from_numpy(drawn.gaze)[None],
        depth=torch.from_numpy(quarter_depth(drawn.depth))[None, None],
        torso_keypoints=torch.from_numpy(drawn.torso_keypoints)[None] if lags else None,
    )
