"""Pairs of lips and sound to teach and to ask the sync expert: together, a little apart, far apart, of different clips (spec 8.3)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from audio2motion.sync_expert import FRAMES

KINDS = (0.4, 0.3, 0.2, 0.1)
"""Shares of: together; 2 to 5 frames apart; 5 to 10 frames apart; sound of another clip."""


@dataclass(frozen=True)
class Pairs:
    """Windows of `FRAMES` frames of a batch of clips.

    Attributes:
        seen: clip of the motion.
        start: its first frame.
        heard: clip of the sound.
        sound: the frame at which that begins.
        together: 1 where both are the same place, else 0.
    """

    seen: Int[Tensor, "k"]
    start: Int[Tensor, "k"]
    heard: Int[Tensor, "k"]
    sound: Int[Tensor, "k"]
    together: Float[Tensor, "k"]

    def motion(self, exp: Float[Tensor, "b t 64"]) -> Float[Tensor, "k 5 64"]:
        """Motion of the windows."""
        return exp[self.seen[:, None], self.start[:, None] + torch.arange(FRAMES)]

    def audio(self, audio: Float[Tensor, "b u c"]) -> Float[Tensor, "k 10 c"]:
        """Sound of the windows."""
        return audio[self.heard[:, None], 2 * self.sound[:, None] + torch.arange(2 * FRAMES)]


def pairs_together(mask: Float[Tensor, "b t"], each: int, generator: torch.Generator) -> Pairs:
    """``each`` windows of every clip that is long enough, with their own sound."""
    room = _room(mask)
    clips = torch.arange(len(room))[room >= 0].repeat_interleave(each)
    start = _below(room[clips] + 1, generator)
    return Pairs(clips, start, clips, start, torch.ones(len(clips)))


def mixed_pairs(mask: Float[Tensor, "b t"], each: int, generator: torch.Generator) -> Pairs:
    """As `pairs_together`, but of all ``KINDS``; a clip too short for its shift gets the sound of another clip.

    With one clip only, what should be another clip's sound is left out.
    """
    room, pairs = _room(mask), pairs_together(mask, each, generator)
    count = len(pairs.seen)
    kind = torch.multinomial(torch.tensor(KINDS), count, replacement=True, generator=generator) if count else torch.zeros(0).long()
    low, high = torch.tensor([0, 2, 5, 0])[kind], torch.tensor([0, 5, 10, 0])[kind]
    shift = low + _below(high - low + 1, generator)
    sign = 2 * _below(torch.full((count,), 2), generator) - 1
    sound = pairs.start + shift * sign
    ends = room[pairs.seen]
    outside = (sound < 0) | (sound > ends)
    sound = torch.where(outside, pairs.start - shift * sign, sound)  # the other way, if there is room
    outside = (sound < 0) | (sound > ends)
    others = torch.arange(len(room))[room >= 0]
    elsewhere = outside | (kind == 3)
    heard = pairs.heard.clone()
    if len(others) > 1:
        place = torch.searchsorted(others, pairs.seen)
        heard[elsewhere] = others[(place + 1 + _below(torch.full((count,), len(others) - 1), generator)) % len(others)][elsewhere]
        sound = torch.where(elsewhere, _below(room[heard] + 1, generator), sound)
        keep = torch.ones(count, dtype=torch.bool)
    else:
        keep = ~elsewhere
    made = Pairs(pairs.seen, pairs.start, heard, sound, (kind == 0).float())
    return Pairs(*(getattr(made, name)[keep] for name in ("seen", "start", "heard", "sound", "together")))


def _room(mask: Float[Tensor, "b t"]) -> Int[Tensor, "b"]:
    """Last frame at which a window may begin, per clip; below 0: the clip is too short."""
    return mask.detach().cpu().sum(1).long() - FRAMES


def _below(limits: Int[Tensor, "k"], generator: torch.Generator) -> Int[Tensor, "k"]:
    """Whole numbers from 0 to below each limit."""
    return torch.minimum((torch.rand(len(limits), generator=generator) * limits).long(), limits - 1)
