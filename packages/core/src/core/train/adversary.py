"""The GAN step of stages 1 to 3: one object that knows when it starts, what it sees and how it learns (spec 3.5, 9)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from core.camera import Camera
from core.losses.adversarial import discriminator_loss, generator_loss, r1_penalty
from core.nn.discriminator import DualDiscriminator, DualDiscriminatorConfig


@dataclass(frozen=True)
class AdversaryOptions:
    """When and how strongly the discriminator takes part. Off with ``weight`` 0."""

    weight: float = 0.0
    """Weight of ``softplus(-D)`` in the generator's loss; 0: no discriminator is built."""
    start: int = 0
    """First step at which the generator feels it."""
    learn_from: int = 0
    """First step at which the discriminator learns."""
    lr: float = 2e-4 * 16 / 17
    """Learning rate of the discriminator."""
    decays: bool = False
    """Its learning rate decays in step with the generator's (stages 2 and 3); otherwise it is constant (stage 1)."""
    r1: float = 5.0
    """Gamma of the R1 penalty on real pairs: ``gamma / 2`` times the squared gradient with respect to image and raw rendering together.
    5 as in Real3D-Portrait (spec 6.2); EG3D has 1."""
    r1_every: int = 16
    """The penalty is taken every so many steps, and multiplied by that number."""


@dataclass(frozen=True)
class Views:
    """What the dual discriminator looks at.

    Attributes:
        image: final image in [-1, 1].
        raw: raw rendering of the same view in [-1, 1].
        camera: the view.
    """

    image: Float[Tensor, "b 3 h w"]
    raw: Float[Tensor, "b 3 s s"]
    camera: Camera

    def detached(self) -> "Views":
        """The same pictures without their history."""
        return Views(self.image.detach(), self.raw.detach(), self.camera)


@dataclass(frozen=True)
class Judged:
    """One batch of views as it was made and as it should look.

    Attributes:
        fake: what the networks made.
        real: what is taken for real.
        share: of ``AdversaryOptions.weight`` in the generator's loss.
    """

    fake: Views
    real: Views
    share: float = 1.0


class Adversary(nn.Module):
    """Dual discriminator with its losses and its timetable.

    Args:
        options: timetable and weights.
        config: size of the discriminator.
    """

    def __init__(self, options: AdversaryOptions, config: DualDiscriminatorConfig) -> None:
        super().__init__()
        self.options = options
        self.discriminator = DualDiscriminator(config)

    def pushes(self, step: int) -> bool:
        """Whether the generator feels the discriminator at this step."""
        return step >= self.options.start

    def learns(self, step: int) -> bool:
        """Whether the discriminator learns at this step."""
        return step >= self.options.learn_from

    def optimizer(self, betas: tuple[float, float]) -> torch.optim.Optimizer:
        """The discriminator's optimiser."""
        return torch.optim.Adam(self.discriminator.parameters(), self.options.lr, betas=betas)

    def rate(self, decay: float) -> float:
        """Learning rate when the generator's has decayed to ``decay`` of its peak."""
        return self.options.lr * (decay if self.options.decays else 1.0)

    def generator_loss(self, fake: Views) -> Float[Tensor, ""]:
        """``weight * softplus(-D(fake))``."""
        return self.options.weight * generator_loss(self._judge(fake))

    def discriminator_loss(self, fake: Views, real: Views, step: int) -> Float[Tensor, ""]:
        """``softplus(D(fake)) + softplus(-D(real))``, with the R1 penalty on real images every ``r1_every`` steps."""
        penalise = step % self.options.r1_every == 0
        real = real.detached()
        if penalise:
            real.image.requires_grad_()
            real.raw.requires_grad_()
        verdict = self._judge(real)
        loss = discriminator_loss(verdict, self._judge(fake.detached()))
        if penalise:
            loss = loss + self.options.r1 * self.options.r1_every * r1_penalty(verdict, [real.image, real.raw])
        return loss

    def _judge(self, views: Views) -> Float[Tensor, "b 1"]:
        return self.discriminator(views.image, views.raw, views.camera.label)
