"""What keeps the motion planes steady: the temporal term (Eq. 4 or its stand-in) and the linearity of blinks (spec 9.2)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from core.data.clips import FrameBatch, PairBatch
from core.face.expression import close_eyes
from core.face.model import FaceModel
from core.face.pncc import render_pncc
from core.losses.auto_weight import AutoWeight
from core.losses.laplacian import laplacian, perturb
from core.nn.segformer import DropPath
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from animate.model import MotionAdapter
from animate.motion import PNCCs

Mean = Callable[[Tensor], Tensor]
"""Mean of a number over all ranks."""
Drivers = tuple[Tensor, Tensor, Callable[..., Tensor]]
"""Identities and expressions of the drivers that are compared, one after another, and the distance of their planes."""


@dataclass(frozen=True)
class SteadinessOptions:
    """Weights of the terms on the motion planes alone; no picture is rendered for them."""

    temporal: Literal["laplacian", "perturb", "off"] = "laplacian"
    """``laplacian``: Eq. 4 over three neighbouring frames. ``perturb``: identity and expression with a little noise, L1, as the released
    code has it. ``off``: the ablation."""
    temporal_weight: float = 1.0
    """Fixed weight of that term; 1 is Eq. 3 to the letter."""
    temporal_target: float = 0.0
    """Above 0: the weight is tuned instead, so that the term comes to this value."""
    temporal_limit: float = 0.2
    """Largest tuned weight."""
    power: Literal[1, 2] = 2
    """Of the differences in Eq. 4: 2 as in the paper, 1 as in the released code."""
    noise: float = 0.01
    """Standard deviation of the noise of ``perturb``, in units of the whitened codes."""
    blink_weight: float = 0.0
    """Fixed weight of the blinks' linearity."""
    blink_target: float = 0.0
    """Above 0: the weight is tuned instead."""
    blink_limit: float = 2.0
    """Largest tuned weight."""
    every: int = 4
    """Both terms are taken every so many steps, and multiplied by that number."""
    source_share: float = 0.25
    """How often they are taken at the source frame rather than at the target."""


class Steadiness(nn.Module):
    """Both terms with their weights. Weights that tune themselves are buffers, and exist only then.

    Args:
        options: forms and weights.
    """

    def __init__(self, options: SteadinessOptions) -> None:
        super().__init__()
        self.options = options
        self.fixed = {"temporal": options.temporal_weight if options.temporal != "off" else 0.0, "blink": options.blink_weight}
        tuned = {}
        if options.temporal != "off" and options.temporal_target > 0:
            tuned["temporal"] = AutoWeight(options.temporal_target, options.temporal_limit)
        if options.blink_target > 0:
            tuned["blink"] = AutoWeight(options.blink_target, options.blink_limit)
        self.tuned = nn.ModuleDict(tuned)

    def due(self, step: int) -> bool:
        """Whether any term is taken at this step."""
        return step % self.options.every == 0 and (len(self.tuned) > 0 or any(self.fixed.values()))

    def losses(
        self, adapter: MotionAdapter, face: FaceModel, batch: PairBatch, pnccs: PNCCs, generator: torch.Generator, mean: Mean
    ) -> dict[str, Float[Tensor, ""]]:
        """Weighted terms; tuned weights move after they were used.

        Args:
            adapter: whose planes shall be steady.
            face: face model in which the coefficients are meant.
            batch: pairs of frames with the codes of their neighbours.
            pnccs: of the same pairs.
            generator: decides between source and target, and draws noise and eyelids.
            mean: over all ranks, so that they tune alike.
        """
        at_source = torch.rand((), generator=generator, device=generator.device) < self.options.source_share
        frame = batch.source if bool(at_source) else batch.target
        forms = {"temporal": self._temporal, "blink": self._blink}
        weighted = {}
        for name, form in forms.items():
            if name not in self.tuned and not self.fixed[name]:
                continue
            identity, codes, distance = form(face, batch.source.coeffs.id, frame, generator)
            term = distance(*self._planes(adapter, face, pnccs, identity, codes))
            weight = self.tuned[name].value.clone() if name in self.tuned else self.fixed[name]
            weighted[name] = self.options.every * weight * term
            if name in self.tuned:
                self.tuned[name].update(mean(term.detach().clone()))
        return weighted

    def weights(self) -> dict[str, Float[Tensor, ""]]:
        """The tuned weights as they are now, for the logs."""
        return {name: each.value.clone() for name, each in self.tuned.items()}

    def _temporal(self, face: FaceModel, identity: Tensor, frame: FrameBatch, generator: torch.Generator) -> Drivers:
        if self.options.temporal == "laplacian":
            codes = torch.cat([frame.exp_before, frame.coeffs.exp, frame.exp_after])
            return identity.repeat(3, 1), codes, partial(laplacian, power=self.options.power)
        pairs = (torch.cat([code, perturb(code, generator, self.options.noise)]) for code in (identity, frame.coeffs.exp))
        return *pairs, F.l1_loss

    def _blink(self, face: FaceModel, identity: Tensor, frame: FrameBatch, generator: torch.Generator) -> Drivers:
        """``L1(MA(p2), (MA(p1) + MA(p3)) / 2)`` for eyes closed by p1 in [0, 1/2], p3 in [1/2, 1] and their mean p2."""
        first, last = torch.rand(2, len(identity), generator=generator, device=generator.device).to(identity) / 2
        amounts = torch.cat([first, (first + last + 0.5) / 2, last + 0.5])
        identity = identity.repeat(3, 1)
        return identity, close_eyes(face, identity, frame.coeffs.exp.repeat(3, 1), amounts), partial(laplacian, power=1)

    def _planes(self, adapter: MotionAdapter, face: FaceModel, pnccs: PNCCs, identity: Tensor, codes: Tensor) -> tuple[Tensor, ...]:
        """Motion planes for several drivers of the same sources, in one pass and without dropout, whose noise would drown the differences.

        What a relative adapter subtracts is the same for all of them and needs no gradient.
        """
        count = len(codes) // len(pnccs.src)
        with torch.no_grad():
            driving = render_pncc(face, identity, codes, pnccs.src.shape[-1])
        with without_dropout(adapter):
            with torch.no_grad():
                rest = adapter.at_rest(pnccs.src, pnccs.cano)
            src, cano = (image.repeat(count, 1, 1, 1) for image in (pnccs.src, pnccs.cano))
            planes = adapter(src, driving, cano, None if rest is None else rest.repeat(count, 1, 1, 1, 1))
        return planes.chunk(count)


@contextmanager
def without_dropout(network: nn.Module) -> Iterator[None]:
    """Inside, nothing of ``network`` is dropped at random; other layers keep their mode."""
    kinds = (nn.Dropout, nn.Dropout2d, DropPath)
    layers = [layer for layer in network.modules() if isinstance(layer, kinds) and layer.training]
    for layer in layers:
        layer.eval()
    try:
        yield
    finally:
        for layer in layers:
            layer.train()
