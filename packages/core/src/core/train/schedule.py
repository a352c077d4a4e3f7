"""Learning rates as a pure function of the step, and the options that shape them."""

import math
from dataclasses import dataclass
from typing import Literal

from torch import nn


@dataclass(frozen=True)
class Schedule:
    """Optimiser options of a stage (AdamW; spec 9, common part)."""

    lr: float = 1e-4
    """Peak learning rate of the generator."""
    betas: tuple[float, float] = (0.0, 0.99)
    """Adam's momentum terms."""
    weight_decay: float = 0.0
    """Decoupled weight decay; 0 makes AdamW plain Adam."""
    warmup: int = 4000
    """Steps of linear warm-up."""
    decay: Literal["step", "cosine"] = "step"
    """``step``: times ``factor`` every ``every`` steps. ``cosine``: to ``floor`` at the end of ``max_steps`` or ``max_time``."""
    factor: float = 0.95
    """Factor of the ``step`` decay."""
    every: int = 5000
    """Interval of the ``step`` decay, in steps."""
    floor: float = 1e-5
    """Smallest learning rate after warm-up."""
    clip: float = 1.0
    """Gradient norm over all parameters of the task is clipped to this."""


@dataclass(frozen=True)
class Group:
    """Parameters that share a learning-rate factor and an active interval."""

    name: str
    """Shown in the logs."""
    module: nn.Module
    """Its trainable parameters form the group."""
    scale: float = 1.0
    """Factor on the scheduled learning rate."""
    start: int = 0
    """Frozen before this step."""
    stop: int | None = None
    """Frozen from this step on."""
    ramp: int = 0
    """The rate rises linearly until this step; 0: it does not."""

    def active(self, step: int) -> bool:
        """Whether the group moves at ``step``."""
        return step >= self.start and (self.stop is None or step < self.stop)

    def factor(self, step: int) -> float:
        """Factor on the scheduled learning rate at ``step``."""
        return self.scale * (min(1.0, step / self.ramp) if self.ramp else 1.0) if self.active(step) else 0.0


def decayed(schedule: Schedule, step: int, progress: float) -> float:
    """Scheduled rate at a step, without warm-up.

    Args:
        schedule: the options.
        step: optimiser steps of the generator done so far.
        progress: finished part of the run in [0, 1]; only ``cosine`` looks at it.
    """
    if schedule.decay == "cosine":
        shape = 0.5 * (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0)))
        return schedule.floor + (schedule.lr - schedule.floor) * shape
    return max(schedule.lr * schedule.factor ** (step // schedule.every), schedule.floor)


def learning_rate(schedule: Schedule, step: int, progress: float) -> float:
    """Scheduled rate at a step: ``decayed`` with a linear warm-up."""
    return decayed(schedule, step, progress) * min(1.0, (step + 1) / max(schedule.warmup, 1))
