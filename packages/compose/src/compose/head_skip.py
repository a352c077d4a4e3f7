"""The photograph's own pixels for the head: laid over the drawn head wherever the network trusts them (ours, not in the paper)."""

import torch
from core.compilable import compilable
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from compose.lookback import LookBack
from compose.warping import bleed, enlarge_grid, resize

KNOWN = 0.5
"""Opacity from which on a pixel of a head over black tells its colour."""

DOUBT = 0.02
"""How far from 0 and 1 ``seen`` is taken, so that the network can overrule it."""

LASHES = 0.75
"""How much light the lashes of shut eyes take from the skin."""


@torch.no_grad()
def head_layer(
    head: Float[Tensor, "b 3 S S"], mask: Float[Tensor, "b 1 S S"], landmarks: Float[Tensor, "b 468 2"] | None = None
) -> Float[Tensor, "b c S S"]:
    """Colours that go on beyond the head's edge, and its opacity; then, with ``landmarks``, the colours with shut eyes.

    Args:
        head: head over -1 (multiplied by its mask).
        mask: opacity in [0, 1].
        landmarks: of the face, [0, 1] across the picture, y down.
    """
    known = (mask > KNOWN).to(mask)
    colours = bleed((head + 1) / mask.clamp_min(KNOWN) - 1, known)
    parts = [colours, mask] if landmarks is None else [colours, mask, with_shut_eyes(colours, landmarks)]
    return torch.cat(parts, 1).contiguous(memory_format=torch.channels_last)  # as it is looked up


def with_shut_eyes(colours: Float[Tensor, "b 3 S S"], landmarks: Float[Tensor, "b 468 2"]) -> Float[Tensor, "b 3 S S"]:
    """Skin over eyes and upper lids (``core.people.shut_eyes``), in numpy: once per source."""
    from core.people.shut_eyes import shut_eyes

    pictures = rearrange((colours.clamp(-1, 1) + 1) * 127.5 + 0.5, "b c h w -> b h w c").to(torch.uint8).cpu().numpy()
    painted = [
        torch.from_numpy(shut_eyes(picture, xy, lashes=0.0)) for picture, xy in zip(pictures, landmarks.double().cpu().numpy(), strict=True)
    ]
    return rearrange(torch.stack(painted), "b h w c -> b c h w").to(colours) / 127.5 - 1


def shut_lids(
    colours: Float[Tensor, "b 3 S S"], shut: Float[Tensor, "b 3 S S"], place: Float[Tensor, "b S S 2"], lids: Float[Tensor, "b 2 f f"]
) -> Float[Tensor, "b 3 S S"]:
    """Where lids close, the photograph gives way to the one with shut eyes, and lashes are drawn; only rows with lids are looked up."""
    rows = torch.nonzero(lids.amax((0, 1, 3)) > 0)[:, 0]
    if not len(rows):
        return colours
    scale = colours.shape[-1] // lids.shape[-1]
    high = slice(int(rows[0]), int(rows[-1]) + 1)
    part = slice(high.start * scale, high.stop * scale)
    skin = F.grid_sample(shut, place[:, part], padding_mode="border", align_corners=False)
    share, lashes = F.interpolate(lids[:, :, high], scale_factor=float(scale), mode="bilinear", align_corners=False).chunk(2, 1)
    drawn = (torch.lerp(colours[:, :, part], skin, share) + 1) * (1 - LASHES * lashes) - 1
    return torch.cat([colours[:, :, : part.start], drawn, colours[:, :, part.stop :]], 2)


def open_mouth(colours: Float[Tensor, "b 3 S S"], mouth: Float[Tensor, "b 4 S S"]) -> Float[Tensor, "b 3 S S"]:
    """What is behind the lips in place of the photograph's colours; where it shares a pixel with the lips it has their colours in it."""
    rows = torch.nonzero(mouth[:, 3].amax((0, 2)) > 0)[:, 0]
    if not len(rows):
        return colours
    part = slice(int(rows[0]), int(rows[-1]) + 1)
    inside = mouth[:, :, part]
    drawn = torch.lerp(colours[:, :, part], inside[:, :3], (2 * inside[:, 3:]).clamp_max(1))
    return torch.cat([colours[:, :, : part.start], drawn, colours[:, :, part.stop :]], 2)


def moved_head_torch(layer: Float[Tensor, "b c S S"], view: LookBack) -> Float[Tensor, "b 4 S S"]:
    """``HeadSkip.move`` with gradients and on any device; ``layers_numba.moved_head`` is its compiled twin."""
    place = enlarge_grid(view.place, layer.shape[-1])
    moved = F.grid_sample(layer[:, :4], place, padding_mode="border", align_corners=False)
    colours, alpha = moved[:, :3], moved[:, 3:]
    if layer.shape[1] > 4:
        colours = shut_lids(colours, layer[:, 4:], place, view.lids)
    if view.mouth is not None:
        colours = open_mouth(colours, view.mouth)
    return torch.cat([(colours + 1) * alpha - 1, alpha], 1)


def trusted_torch(
    features: Float[Tensor, "b n h w"], last: nn.Conv2d, seen: Float[Tensor, "b 1 h w"], known: Float[Tensor, "b 1 h w"], doubt: float
) -> Float[Tensor, "b 1 h w"]:
    """The odds of ``seen``, kept ``doubt`` away from certainty, and what ``last`` makes of the features where things are known."""
    return (torch.logit(seen, eps=doubt) + last(features).to(seen.dtype) * known).sigmoid()


class HeadSkip(nn.Module):
    """Reads the photograph, moved to the frame, into the features of the head, and says where it is better than what they draw."""

    READ = 7
    """Head over -1 (3), opacity, ``seen``, ``skin``, M_head."""

    def __init__(self, channels: int, narrow: int) -> None:
        """``channels`` of the head's features at the fusion size, ``narrow`` inside."""
        super().__init__()
        self.read = nn.Sequential(nn.Conv2d(self.READ, narrow, 3, padding=1), nn.LeakyReLU(0.01), nn.Conv2d(narrow, channels, 3, padding=1))
        self.judge = nn.Sequential(nn.Conv2d(channels, narrow, 3, padding=1), nn.LeakyReLU(0.01), nn.Conv2d(narrow, 1, 3, padding=1))
        for last in (self.read[-1], self.judge[-1]):  # begin as the photograph, wherever it shows the point
            nn.init.normal_(last.weight, std=1e-4)
            nn.init.zeros_(last.bias)

    @staticmethod
    def move(layer: Float[Tensor, "b c S S"], view: LookBack) -> Float[Tensor, "b 4 S S"]:
        """The photograph's head as the frame shows it: over -1, with its opacity. ``layer`` as ``head_layer`` makes it."""
        if compilable(layer, view.place):
            from compose.layers_numba import moved_head

            return moved_head(layer, view.place, view.lids, view.mouth, LASHES)
        return moved_head_torch(layer, view)

    @staticmethod
    def evidence(moved: Float[Tensor, "b 4 S S"], view: LookBack, weights: Float[Tensor, "b 1 r r"]) -> Float[Tensor, "b 7 f f"]:
        """What is known of the head, at twice the size of ``weights`` (M_head)."""
        return torch.cat([resize(x, 2 * weights.shape[-1]) for x in (moved, view.seen, view.skin, weights)], 1)

    def features(self, evidence: Float[Tensor, "b 7 h w"]) -> Float[Tensor, "b c h w"]:
        """What to add to the head's features; in the type of the weights."""
        return self.read(evidence.to(self.read[0].weight.dtype))

    def trust(
        self, features: Float[Tensor, "b c h w"], evidence: Float[Tensor, "b 7 h w"], known: Float[Tensor, "b 1 h w"]
    ) -> Float[Tensor, "b 1 h w"]:
        """Share of the photograph in the head, in [0, 1].

        ``seen`` is the odds to start from; the network overrules it where the planes tell something (``known``), and not where they do not
        reach: few made people have hair that big, and it would be cut off.
        """
        narrow, seen = self.judge[:-1](features), evidence[:, 4:5]
        if compilable(narrow, seen, known):
            from compose.trust_numba import trusted

            return trusted(narrow, self.judge[-1], seen, known, DOUBT)
        return trusted_torch(narrow, self.judge[-1], seen, known, DOUBT)
