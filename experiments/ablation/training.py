"""The trainings of an ablation: their commands, each run once, taken up where they stopped, and the weights that rows get from them."""

import fcntl
import hashlib
import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from core.errors import PortraitError
from core.media.files import atomic_path
from portrait.networks import NETWORKS, weights_folder

from experiments.ablation.plan import ROOT, Stage, Training

Run = Callable[[list[str]], None]
"""Carries out the words of a ``lightning`` command."""
TRAINED = {"recon": ("i2p", "renderer"), "animate": ("i2p", "adapter", "renderer"), "compose": ("htbsr",)}
"""What every stage hands over."""


@dataclass(frozen=True)
class Workplace:
    """Where trainings leave their results, and what is the same for all.

    Attributes:
        out: folder of the whole table.
        start: see ``Plan``.
        files: further YAML files for every stage, above all others.
        options: further options for every stage, ``name`` to value.
    """

    out: Path
    start: str | None = None
    files: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()

    def run_of(self, training: Training) -> Path:
        """Folder of a training: logs, checkpoints, ``weights``, ``done.json``."""
        return self.out / "runs" / training.name

    def init_of(self, training: Training) -> Path | None:
        """Folder that a training starts from; None when it starts from nothing."""
        return None if training.fresh or not self.sources(training) else self.out / "init" / training.name

    def sources(self, training: Training) -> dict[str, Path]:
        """Where the networks that a training starts from lie, by name."""
        found = {} if training.fresh else self._given(training.stage)
        earlier = training.before
        chain: list[Training] = []
        while earlier is not None:
            chain, earlier = [earlier, *chain], earlier.before
        for each in chain:
            found |= {name: self.run_of(each) / "weights" / name for name in TRAINED[each.stage]}
        return found | self._started(training.how.begin)

    def _given(self, stage: str) -> dict[str, Path]:
        """Networks of the stages before, as the start weights have them."""
        names = {"recon": (), "animate": TRAINED["recon"], "compose": TRAINED["animate"]}[stage]
        return self._started(names) if self.start else {}

    def _started(self, names: Sequence[str]) -> dict[str, Path]:
        return {name: weights_folder(self.start) / name for name in names} if names else {}


def command(training: Training, place: Workplace) -> list[str]:
    """The words after ``lightning`` that carry out a training, without what takes up an interrupted one."""
    how = training.how
    init = place.init_of(training)
    options = {"trainer.default_root_dir": str(place.run_of(training)), "model.init_from": "null" if init is None else str(init)}
    if how.steps is not None:
        options |= {"trainer.max_steps": str(how.steps), "trainer.val_check_interval": str(how.steps)}
    if how.minutes is not None:
        options["trainer.max_time"] = f"{how.minutes // 1440:02}:{how.minutes // 60 % 24:02}:{how.minutes % 60:02}:00"
    options |= dict(how.options) | dict(place.options)
    files = [word for file in how.files for word in ("-c", str(ROOT / file))] + [word for file in place.files for word in ("-c", file)]
    return ["run", training.stage, "fit", *files, *(word for name, value in options.items() for word in (f"--{name}", value))]


def limited(stage: Stage, steps: int | None, minutes: int | None) -> Stage:
    """A stage with another length."""
    return replace(stage, steps=stage.steps if steps is None else steps, minutes=stage.minutes if minutes is None else minutes)


def train(training: Training, place: Workplace, run: Run) -> None:
    """Carry out a training unless it is done; one that was interrupted goes on. Other processes that need the same one wait for it.

    Raises:
        PortraitError: ``E_ABLATION`` when the folder holds a training with other options; whatever ``run`` raises.
    """
    folder, words = place.run_of(training), command(training, place)
    digest = hashlib.sha256(json.dumps(words).encode()).hexdigest()[:16]
    with _alone(folder):
        begun = folder / "begun.json"
        if begun.is_file() and json.loads(begun.read_text())["digest"] != digest:
            raise PortraitError("E_ABLATION", f"{folder} was trained with other options", "Delete it, or choose another --out.")
        if (folder / "done.json").is_file():
            return
        _write(begun, {"digest": digest, "command": ["lightning", *words]})
        init = place.init_of(training)
        if init is not None:
            link_networks(init, place.sources(training))
        again = ["--ckpt_path", "last"] if (folder / "checkpoints" / "last.ckpt").is_file() else []
        run([*words, *again])
        _write(folder / "done.json", {"digest": digest})


def link_networks(folder: Path, sources: dict[str, Path]) -> Path:
    """A weights folder whose networks are links to where they lie."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, source in sources.items():
        (folder / name).symlink_to(source.resolve(), target_is_directory=True)
    return folder


def row_weights(name: str, chain: list[Training], place: Workplace) -> Path:
    """The five networks of a row in one folder: trained ones, and those of the start weights for the rest.

    Raises:
        PortraitError: ``E_WEIGHTS`` when the start weights lack one.
    """
    trained = {network: place.run_of(each) / "weights" / network for each in chain for network in TRAINED[each.stage]}
    rest = [network for network in NETWORKS if network not in trained]
    given = {network: weights_folder(place.start or "tiny") / network for network in rest}
    return link_networks(place.out / "weights" / name, given | trained)


def run_lightning(words: list[str]) -> None:
    """Run ``lightning`` in a process of its own, from the top of the checkout.

    Raises:
        PortraitError: ``E_ABLATION`` when it fails.
    """
    import subprocess

    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_RUN", "WANDB_SWEEP"))}
    done = subprocess.run([sys.executable, "-m", "experiments.launch", *words], cwd=ROOT.parent, env=kept)
    if done.returncode:
        raise PortraitError(
            "E_ABLATION", f"`lightning {shlex.join(words)}` failed", "Mend what it says above, then start again: it goes on."
        )


def _write(path: Path, data: object) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(data, indent=1) + "\n")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process of this machine trains in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def describe(chains: dict[str, list[Training]], place: Workplace) -> Iterator[str]:
    """One line per training, and what every row is made of."""
    shown = set()
    for row, chain in chains.items():
        for training in chain:
            if training.name not in shown:
                shown.add(training.name)
                yield shlex.join(["lightning", *command(training, place)])
        yield f"# {row}: {', '.join(training.name for training in chain) or 'the start weights'}"
