"""The readable twin of ``core.people.shading``: samples to pictures and labels of many views at once, on any device."""

from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int, Integer, UInt8
from torch import Tensor


@dataclass(frozen=True)
class Samples:
    """What every sample shows of one mesh.

    Attributes:
        near: 1 / distance, 0 where nothing is; (b, h, w), or by pixel (b, s, s, step^2) as all are.
        texel: column and row in the texture.
        kind: texture + 1, 0 where nothing is.
    """

    near: Float[Tensor, "b *s"]
    texel: Float[Tensor, "b *s 2"]
    kind: Integer[Tensor, "b *s"]

    def by_pixel(self, step: int) -> "Samples":
        """The samples of a pixel in the last but one axis of each: (b, s, s, step^2)."""
        near, kind = (rearrange(x, "b (h r) (w c) -> b h w (r c)", r=step, c=step) for x in (self.near, self.kind))
        return Samples(near, rearrange(self.texel, "b (h r) (w c) k -> b h w (r c) k", r=step, c=step), kind)


@dataclass(frozen=True)
class Wardrobe:
    """Textures.

    Attributes:
        textures: RGBA.
        classes: their segmentation.
        gain: their brightness in each view.
    """

    textures: UInt8[Tensor, "n t t 4"]
    classes: UInt8[Tensor, "n t t"]
    gain: Float[Tensor, "b n"]

    def look(self, texel: Float[Tensor, "b *s 2"], layer: Int[Tensor, "b *s"]) -> tuple[Float[Tensor, "b *s 4"], UInt8[Tensor, "b *s"]]:
        """Bilinear RGB 0..255 times brightness with alpha 0..1, and the nearest label."""
        side = self.textures.shape[1]
        u, v = (self.within(x) for x in texel.unbind(-1))
        column, row = u.long(), v.long()
        fx, fy = (u - column)[..., None], (v - row)[..., None]
        flat = self.textures.flatten(0, 2)
        first = (layer * side + row) * side + column
        top = (1 - fx) * (1 - fy) * flat[first] + fx * (1 - fy) * flat[first + 1]
        tone = top + (1 - fx) * fy * flat[first + side] + fx * fy * flat[first + side + 1]
        view = torch.arange(len(layer), device=layer.device).reshape(-1, *[1] * (layer.ndim - 1))
        label = self.classes.flatten()[(layer * side + (v + 0.5).long()) * side + (u + 0.5).long()]
        return torch.cat([tone[..., :3] * self.gain[view, layer][..., None], tone[..., 3:] / 255], -1), label

    def within(self, texel: Tensor) -> Tensor:
        """A texel coordinate that has a neighbour on its right."""
        return texel.clamp(0, self.textures.shape[1] - 1.001)


@dataclass(frozen=True)
class Head:
    """A shaded head.

    Attributes:
        colour: RGB times alpha 0..255.
        alpha: 0..1.
        depth: mean distance of what is solid, 0 where nothing is.
        labels: segmentation.
    """

    colour: Float[Tensor, "b s s 3"]
    alpha: Float[Tensor, "b s s"]
    depth: Float[Tensor, "b s s"]
    labels: UInt8[Tensor, "b s s"]


def shade(solid: Samples, fringe: Samples, step: int, wardrobe: Wardrobe) -> Head:
    """Pixels of ``step x step`` samples; where these show one smooth piece of one texture it is looked up once, in its middle."""
    body, soft = solid.by_pixel(step), fringe.by_pixel(step)
    before = (soft.kind > 0) & (soft.near > body.near)
    colour, alpha, depth, labels = _mixed(body, soft, before, wardrobe)
    one_piece = _smooth(body, soft, wardrobe)
    layer = (body.kind[..., 0] - 1).clamp_min(0)
    tone, label = wardrobe.look(wardrobe.within(body.texel).mean(3), layer)
    depth = torch.where(one_piece, 1 / torch.where(one_piece, body.near.mean(3), 1.0), depth)
    return Head(
        torch.where(one_piece[..., None], tone[..., :3], colour),
        torch.where(one_piece, 1.0, alpha),
        depth,
        torch.where(one_piece, label, labels),
    )


def _smooth(body: Samples, soft: Samples, wardrobe: Wardrobe) -> Bool[Tensor, "b s s"]:
    """Do all samples of a pixel show one smooth piece of one texture, with nothing of the fringe in front?"""
    texel = wardrobe.within(body.texel)
    near_by = (texel.amax(3) - texel.amin(3) < 1.5).all(-1)
    same = (body.kind == body.kind[..., :1]).all(3) & (body.kind[..., 0] > 0)
    return same & near_by & ~(soft.near > body.near).any(3)


def _mixed(body: Samples, soft: Samples, before: Bool[Tensor, "b s s k"], wardrobe: Wardrobe) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Average of all samples of a pixel: colour times alpha, alpha, mean distance of what is solid, label of the last sample."""
    thread, thread_label = wardrobe.look(soft.texel, (soft.kind - 1).clamp_min(0))
    skin, skin_label = wardrobe.look(body.texel, (body.kind - 1).clamp_min(0))
    seen = body.kind > 0
    front = thread[..., 3] * before
    behind = (1 - front) * seen
    colour = (front[..., None] * thread[..., :3] + behind[..., None] * skin[..., :3]).mean(3)
    hair = before & ~seen & (front > 0.5)
    distance = torch.where(seen, 1 / torch.where(seen, body.near, 1.0), 0) + torch.where(hair, 1 / torch.where(hair, soft.near, 1.0), 0)
    count = (seen | hair).sum(3)
    label = torch.where(seen & (behind > 0.5), skin_label, thread_label)
    shown = before | seen
    last = (shown * torch.arange(1, shown.shape[3] + 1, device=shown.device)).argmax(3, keepdim=True)
    labels = torch.where(shown.any(3), label.gather(3, last)[..., 0], 0)
    return colour, (front + behind).mean(3), distance.sum(3) / count.clamp_min(1), labels


@dataclass(frozen=True)
class Torso:
    """The flat torso.

    Attributes:
        layer: RGB times alpha 0..255 and alpha.
        classes: segmentation.
    """

    layer: Float[Tensor, "h w 4"]
    classes: UInt8[Tensor, "h w"]

    @classmethod
    def of(
        cls, image: UInt8[np.ndarray, "h w 3"], alpha: Float[np.ndarray, "h w"], classes: UInt8[np.ndarray, "h w"], device: torch.device
    ) -> "Torso":
        """Of a ``core.people.person.Torso``."""
        opacity = torch.from_numpy(np.ascontiguousarray(alpha, np.float32)).to(device)[..., None]
        colours = torch.from_numpy(np.ascontiguousarray(image)).to(device)
        return cls(torch.cat([colours * opacity, opacity], -1), torch.from_numpy(np.ascontiguousarray(classes)).to(device))


def _taps(
    scale: Float[Tensor, " b"], start: Float[Tensor, " b"], count: int, size: int
) -> tuple[Int[Tensor, "2 b n"], Float[Tensor, "b n"]]:
    """The two torso pixels that each pixel of a line lies between, mirrored at the borders, and the share of the second."""
    position = scale[:, None] * torch.arange(count, device=scale.device) + start[:, None]
    first = position.floor()
    pair = torch.stack([first, first + 1]).long().abs() % (2 * size - 2)
    return torch.minimum(pair, 2 * size - 2 - pair), (position - first).float()


def wear(torso: Torso, maps: Float[Tensor, "b 3"], size: int) -> tuple[Float[Tensor, "b s s 4"], UInt8[Tensor, "b s s"]]:
    """The torso as the views show it (RGB times alpha 0..255, alpha) and its labels; ``maps`` as in ``core.people.shading.wear``."""
    (across, fx), (down, fy) = (_taps(maps[:, 0], maps[:, k], size, torso.layer.shape[2 - k]) for k in (1, 2))
    fx, fy = fx[:, None, :, None], fy[:, :, None, None]

    def tap(row: int, column: int) -> Tensor:
        return torso.layer[down[row][:, :, None], across[column][:, None]]

    worn = (1 - fy) * ((1 - fx) * tap(0, 0) + fx * tap(0, 1)) + fy * ((1 - fx) * tap(1, 0) + fx * tap(1, 1))
    row = torch.where(fy[..., 0, 0] >= 0.5, down[1], down[0])
    column = torch.where(fx[:, 0, :, 0] >= 0.5, across[1], across[0])
    return worn, torso.classes[row[:, :, None], column[:, None]]


def compose(
    head: Head, worn: Float[Tensor, "b s s 4"], cloth: UInt8[Tensor, "b s s"], plate: UInt8[Tensor, "s s 3"]
) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor], UInt8[Tensor, "b s s"]]:
    """Put head, torso and background together.

    Returns:
        Pictures (everything, head, visible torso; uint8), masks (head, visible torso) with the distance, and labels.
    """
    clear = 1 - head.alpha
    body = clear * worn[..., 3]
    torso = clear[..., None] * worn[..., :3]
    whole = head.colour + torso + (clear - body)[..., None] * plate
    mostly = head.alpha >= 0.5
    labels = torch.where(mostly, head.labels, torch.where(worn[..., 3] >= 0.5, cloth, 0))
    pictures = tuple((picture + 0.5).clamp(0, 255).byte() for picture in (whole, head.colour, torso))
    return pictures, (head.alpha, body, torch.where(mostly, head.depth, 0.0)), labels
