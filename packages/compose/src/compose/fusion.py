"""How head, torso and background meet: Eq. 5 of Real3D-Portrait, as pure functions.

Masks are 1 where a layer covers. ``head`` is M_head, the sum of the ray weights (Eq. 11), ``torso`` is M_torso.
"""

import torch
from jaxtyping import Float
from torch import Tensor

FOG = 0.02
"""Head masks below this are the haze that softplus densities leave in empty space."""
RIM = 0.1
"""Head mask at which the rendered head layer counts in full."""


def person_mask(head: Float[Tensor, "b 1 h w"], torso: Float[Tensor, "b 1 h w"], threshold: float = 0.9) -> Float[Tensor, "b 1 h w"]:
    """M_person, the union of head and torso (spec 7.4): the clamped sum, in which a head above ``threshold`` counts as solid.

    The paper says bitwise or; the sum is its differentiable form. Only this mask uses the threshold, never the blend of head and torso.
    """
    solid = torch.where(head > threshold, torch.ones_like(head), head)
    return (solid + torso).clamp(0, 1)


def blend(front: Float[Tensor, "b c h w"], behind: Float[Tensor, "b c h w"], mask: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b c h w"]:
    """``front`` where ``mask`` is 1, ``behind`` where it is 0: one step of Eq. 5."""
    if not torch.is_grad_enabled() and front.dtype == behind.dtype == mask.dtype:
        if mask.dtype == torch.bfloat16:  # with one mask for all channels this type is four times slower
            mask = torch.empty_like(front).copy_(mask)
        return torch.lerp(behind, front, mask)  # one pass instead of four
    return front * mask + behind * (1 - mask)


def added(features: Float[Tensor, "b c h w"], more: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """The sum; for inference it takes the place of ``features``."""
    return features + more if torch.is_grad_enabled() else features.add_(more)


def fuse(
    head: Float[Tensor, "b c h w"],
    torso: Float[Tensor, "b c h w"],
    background: Float[Tensor, "b c h w"],
    head_mask: Float[Tensor, "b 1 h w"],
    person: Float[Tensor, "b 1 h w"],
) -> Float[Tensor, "b c h w"]:
    """Eq. 5: ``(head M_head + torso (1 - M_head)) M_person + background (1 - M_person)``, of images or of feature maps.

    ``person`` is ``person_mask(head_mask, torso_mask)``.
    """
    return blend(blend(head, torso, head_mask), background, person)


def concat_layers(
    foreground: Float[Tensor, "b c h w"], background: Float[Tensor, "b c h w"], person: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, "b twoc h w"]:
    """The two terms of Eq. 5 side by side instead of added, each already multiplied by its mask, for convolutions to mix (spec 7.4)."""
    return torch.cat([foreground * person, background * (1 - person)], 1)


def over(
    head: Float[Tensor, "b 3 h w"],
    below: Float[Tensor, "b 3 h w"],
    head_mask: Float[Tensor, "b 1 h w"],
    threshold: float = 0.9,
) -> Float[Tensor, "b 3 h w"]:
    """Eq. 5 for images with soft masks: the rendered head over the layers below it.

    Volume rendering leaves the head over black (-1), that is, multiplied by its mask already. Multiplying it again, as Eq. 5
    does, would draw a dark seam around hair; so the head is added and only what lies under it is attenuated.
    Where the head mask is 0 the layers below come through untouched, where it reaches ``threshold`` they are gone.
    For masks of 0 and 1 this equals ``fuse``.

    Args:
        head: the rendered head over -1.
        below: torso over background, ``blend(torso, background, torso_mask)``.
        head_mask: M_head at the images' size.
        threshold: head mask that covers entirely.
    """
    presence = ((head_mask - FOG) / (RIM - FOG)).clamp(0, 1)
    cover = ((head_mask - FOG) / (threshold - FOG)).clamp(0, 1)
    # (head + 1) presence + (below + 1) (1 - cover) - 1, in two passes over the images
    return torch.addcmul(torch.addcmul(presence - cover, below, 1 - cover), head, presence)
