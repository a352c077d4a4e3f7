"""How a training step is carried out, as opposed to what it computes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """Options of ``StageModule`` that trade memory and time."""

    accumulate: int = 1
    """Batches whose gradients are added up for one update, as if they were one batch; what ``trainer.accumulate_grad_batches`` is where
    optimisation is automatic. What is left at the end of an epoch is not used."""
    compile: str | None = None
    """Backend of ``torch.compile`` for the networks that the stage hands over, such as ``inductor``; None: as they are."""

    def __post_init__(self) -> None:
        if self.accumulate < 1:
            raise ValueError(f"effort.accumulate is {self.accumulate}, not a positive number of batches")
