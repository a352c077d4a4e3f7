"""What the LightningModules of the picture stages share: optimisation by hand, the GAN step, logging, weights in and out.

Optimisation is manual because of the discriminator. ``trainer.global_step``, ``max_steps`` and every "step" in the YAML files
count updates of the generator only: the discriminator's optimiser is stepped outside Lightning's counter.
"""

from abc import abstractmethod
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from pytorch_lightning import LightningModule
from pytorch_lightning.callbacks import Timer
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor, nn

from core.errors import PortraitError
from core.hub import Pretrained
from core.train.adversary import Adversary, Judged
from core.train.effort import Effort
from core.train.schedule import Group, Schedule, decayed, learning_rate
from core.train.statistics import RunningStatistics

MAX_BAD_STEPS = 20
"""So many steps in a row may be skipped because their gradients are not finite; one more ends the run."""


@dataclass(frozen=True)
class Outcome:
    """One evaluation of a stage's objective.

    Attributes:
        losses: weighted terms; their sum is minimised.
        judged: views for the discriminator.
    """

    losses: dict[str, Float[Tensor, ""]]
    judged: tuple[Judged, ...] = ()


class StageModule(LightningModule):
    """Base of ``ReconModule``, ``AnimateModule`` and ``ComposeModule``.

    Args:
        schedule: learning rate, warm-up, decay, clipping.
        adversary: the GAN step, or None.
        init_from: weights folder of the stage before (or of this one); read in ``setup``, so that a resumed checkpoint wins.
        seed: of windows and ray jitter; each step and rank draws its own numbers.
        effort: gradient accumulation and compilation.
    """

    def __init__(
        self,
        schedule: Schedule,
        adversary: Adversary | None,
        init_from: str | None,
        seed: int,
        effort: Effort = Effort(),  # noqa: B008
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.schedule = schedule
        self.adversary = adversary
        self.init_from = init_from
        self.seed = seed
        self.effort = effort
        self._part = 0
        self._before: RunningStatistics | None = None
        self.bad_steps, self.skipped = 0, 0
        self._asleep: list[nn.Module] = []

    # ---- what a stage defines
    @abstractmethod
    def networks(self) -> dict[str, Pretrained]:
        """Networks that this stage hands over, by folder name."""

    @abstractmethod
    def groups(self) -> list[Group]:
        """Trainable parameters."""

    @abstractmethod
    def objective(self, batch: Any) -> Outcome:
        """Losses of one training batch."""

    @abstractmethod
    def scores(self, batch: Any) -> dict[str, Float[Tensor, " b"]]:
        """Figures per image for validation and test."""

    @abstractmethod
    def portraits(self, batch: Any) -> dict[str, Float[Tensor, "b 3 _ _"]]:
        """Columns of the contact sheet, in [-1, 1]."""

    def frozen(self) -> list[nn.Module]:
        """Networks that this stage uses but does not train."""
        return []

    def load(self, folder: Path) -> None:
        """Start from the weights in ``folder``."""
        for name, network in self.networks().items():
            load_network(network, folder / name)

    # ---- Lightning
    def setup(self, stage: str) -> None:
        """Read ``init_from``; Lightning restores a checkpoint, if any, after this."""
        self._put_to_sleep([])  # left over from an earlier run
        if self.init_from is not None:
            self.load(Path(self.init_from))
            rank_zero_info(f"weights from {self.init_from}")
        for network in self.frozen():
            network.requires_grad_(False).eval()

    def on_fit_start(self) -> None:
        """Refuse what manual optimisation cannot do.

        Raises:
            PortraitError: ``E_PRECISION`` for float16 with loss scaling.
        """
        if self.trainer.precision == "16-mixed":
            raise PortraitError("E_PRECISION", "trainer.precision 16-mixed is not supported here", "Use 32-true or bf16-mixed.")
        if self.effort.compile is not None:
            for network in self.networks().values():
                network.compile(backend=self.effort.compile)

    def train(self, mode: bool = True) -> "StageModule":
        """Switch mode; frozen networks stay in eval mode."""
        super().train(mode)
        for network in (*self.frozen(), *self._asleep):
            network.eval()
        return self

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """The generator's AdamW and, with an adversary, the discriminator's Adam."""
        betas, decay = self.schedule.betas, self.schedule.weight_decay
        groups = [{"params": [p for p in group.module.parameters() if p.requires_grad], "name": group.name} for group in self.groups()]
        optimizers: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, self.schedule.lr, betas=betas, weight_decay=decay)]
        if self.adversary is not None:
            optimizers.append(self.adversary.optimizer(betas))
        return optimizers

    def training_step(self, batch: Any, batch_index: int) -> None:
        """One update of the networks, then one of the discriminator; a batch that gives no finite gradients is skipped.

        With ``effort.accumulate`` both updates follow the last of so many batches; one bad batch skips them.

        Raises:
            PortraitError: ``E_DIVERGED`` after more than ``MAX_BAD_STEPS`` such batches in a row.
        """
        step = self.global_step  # before the update: both halves of the step go by the same number
        self._part = batch_index % self.effort.accumulate
        last = self._part == self.effort.accumulate - 1
        torch.manual_seed(self._stream())  # dropout and the discriminator's noise: the same after a stop
        self._put_to_sleep([group.module for group in self.groups() if not group.active(step)])
        if self._part == 0:
            self._before = RunningStatistics(self)
        optimizers = self.optimizers()
        generator, *critic = optimizers if isinstance(optimizers, list) else [optimizers]
        with nullcontext() if last else self._unsynchronised():
            outcome = self.objective(batch)
            losses = dict(outcome.losses)
            if self.adversary is not None and self.adversary.pushes(step):
                terms = [each.share * self.adversary.generator_loss(each.fake) for each in outcome.judged]
                losses["adversarial"] = torch.stack(terms).mean()
            total = torch.stack(list(losses.values())).sum()
            finite = self._update(generator, total, last)
            if self.adversary is not None and self.adversary.learns(step):
                losses["discriminator"], sound = self._update_critic(critic[0].optimizer, outcome.judged, step, last)
                finite = finite and sound
        if not finite:
            self._before.restore()
        self.log_dict({f"train/{name}": value.detach() for name, value in losses.items()})
        self.log("train/loss", total.detach(), prog_bar=True)
        if last:
            self._count(finite)

    def validation_step(self, batch: Any, batch_index: int) -> None:
        """Log the scores under ``val/``."""
        self._log_scores("val", batch)

    def test_step(self, batch: Any, batch_index: int) -> None:
        """Log the scores under ``test/``."""
        self._log_scores("test", batch)

    def predict_step(self, batch: Any, batch_index: int) -> dict[str, Tensor]:
        """The columns of the contact sheet; ``LogPortraits`` writes them."""
        return self.portraits(batch)

    # ---- helpers
    def randomness(self) -> torch.Generator:
        """A generator on this device whose numbers depend on seed, step and rank only."""
        return torch.Generator(self.device).manual_seed(self._stream())

    def _stream(self) -> int:
        part = self.global_step * self.effort.accumulate + self._part
        return self.seed * 1_000_003 + part * self.trainer.world_size + self.global_rank

    def _put_to_sleep(self, modules: list[nn.Module]) -> None:
        """Freeze what does not move now: no gradients, no drifting statistics, no say in the norm that is clipped. Wake the others."""
        if modules == self._asleep:
            return
        for module in self._asleep:
            module.requires_grad_(True).train(self.training)
        for module in modules:
            module.requires_grad_(False).eval()
        self._asleep = modules

    def _unsynchronised(self) -> AbstractContextManager[Any]:
        """Gradients stay with each rank until the last batch of an update."""
        return getattr(self.trainer.strategy, "block_backward_sync", nullcontext)()

    def _update(self, optimizer: Any, loss: Tensor, last: bool) -> bool:
        """Gradients of the networks and, with the last batch, one step; False: nothing moved because they are not finite."""
        rate = learning_rate(self.schedule, self.global_step, self._progress())
        for group, spec in zip(optimizer.param_groups, self.groups(), strict=True):
            group["lr"] = rate * spec.factor(self.global_step)
        if self.adversary is not None:
            self.adversary.requires_grad_(False)
        if self._part == 0:
            optimizer.zero_grad()
        self.manual_backward(loss / self.effort.accumulate)
        if not last:
            return True
        norm = self._clip(optimizer)
        finite = bool(torch.isfinite(norm))
        if not finite:
            optimizer.zero_grad()  # skip the harm, keep the step count
        optimizer.step()
        self.log("train/lr", rate)
        self.log("train/grad_norm", norm)
        return finite

    def _update_critic(self, optimizer: torch.optim.Optimizer, judged: tuple[Judged, ...], step: int, last: bool) -> tuple[Tensor, bool]:
        """Gradients of the discriminator and, with the last batch, one step; its loss, False if nothing moved for want of finite ones."""
        decay = decayed(self.schedule, step, self._progress()) / max(self.schedule.lr, 1e-12)
        for group in optimizer.param_groups:
            group["lr"] = self.adversary.rate(decay)
        self.adversary.requires_grad_(True)
        if self._part == 0:
            optimizer.zero_grad()
        loss = torch.stack([self.adversary.discriminator_loss(each.fake, each.real, step) for each in judged]).mean()
        self.manual_backward(loss / self.effort.accumulate)
        if not last:
            return loss, True
        finite = bool(torch.isfinite(self._clip(optimizer)))
        if finite:
            optimizer.step()
        return loss, finite

    def _clip(self, optimizer: Any) -> Tensor:
        """Clip the gradients of an optimiser's parameters together; their norm before."""
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        return nn.utils.clip_grad_norm_(parameters, self.schedule.clip)

    def _count(self, finite: bool) -> None:
        """Keep count of skipped steps."""
        self.bad_steps = 0 if finite else self.bad_steps + 1
        self.skipped += not finite
        self.log("train/skipped", float(self.skipped))
        if self.bad_steps > MAX_BAD_STEPS:
            raise PortraitError("E_DIVERGED", f"the last {self.bad_steps} gradients were not finite", "Lower model.schedule.lr.")

    def _progress(self) -> float:
        """Finished part of the run: by steps or by ``trainer.max_time``, whichever is further."""
        if self.schedule.decay != "cosine":
            return 0.0
        progress = self.global_step / self.trainer.estimated_stepping_batches
        timer = next((c for c in self.trainer.callbacks if isinstance(c, Timer) and c.time_remaining() is not None), None)
        if timer is None:
            return progress
        elapsed = timer.time_elapsed() / (timer.time_elapsed() + timer.time_remaining())
        return self.trainer.strategy.broadcast(max(progress, elapsed))  # clocks differ between ranks, rates must not

    def _log_scores(self, prefix: str, batch: Any) -> None:
        scores = self.scores(batch)
        size = len(next(iter(scores.values())))
        self.log_dict({f"{prefix}/{name}": value.mean() for name, value in scores.items()}, batch_size=size, sync_dist=True)


def load_network(network: Pretrained, folder: Path, ignore: tuple[str, ...] = ()) -> None:
    """Copy exported weights into a network of the same configuration.

    Args:
        network: receives the weights.
        folder: what ``save_pretrained`` wrote.
        ignore: fields of the configuration that may differ because no tensor's shape depends on them.

    Raises:
        PortraitError: ``E_WEIGHTS`` when the folder is missing or holds another configuration, ``E_FACE_MODEL`` for another face model.
    """
    loaded = type(network).from_pretrained(folder)
    made_with, wanted = (getattr(each.config, "face_model", "") for each in (loaded, network))
    if made_with != wanted:
        raise PortraitError("E_FACE_MODEL", f"the weights in {folder} belong to face model {made_with!r}, this run has {wanted!r}",
                            "Set model.face_model as the stage before did.")  # fmt: skip
    kept = {name: getattr(network.config, name) for name in ignore}
    if replace(loaded.config, **kept) != network.config:
        raise PortraitError("E_WEIGHTS", f"{folder} was made with another configuration: {loaded.config}", "Use the same model.scale.")
    network.load_state_dict(loaded.state_dict())
