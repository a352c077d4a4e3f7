"""Every YAML under experiments/ is understood by the command it belongs to, without running anything."""

import importlib
from pathlib import Path

import pytest
import yaml
from core.train.cli import StageCLI

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
FILES = sorted(EXPERIMENTS.glob("*/*.yaml"))
WHOLE = ("base", "debug", "tiny")


@pytest.fixture
def parse(monkeypatch):
    """The stage's real command, stopped once its arguments are parsed."""
    seen = []
    monkeypatch.setattr(StageCLI, "instantiate_classes", lambda self: seen.append(self.config))
    monkeypatch.setattr(StageCLI, "_run_subcommand", lambda self, subcommand: None)

    def run(stage, *args):
        importlib.import_module(f"{stage}.cli").main(["fit", *map(str, args)])
        return seen.pop().fit

    return run


def name(path):
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", [p for p in FILES if not p.stem.startswith("sweep")], ids=name)
def test_experiment_parses(path, parse):
    stage = "recon" if path.parent.name == "common" else path.parent.name
    ground = "tiny" if path.stem.startswith("tiny_") else "base"
    files = [path] if path.stem in WHOLE else [path.with_name(f"{ground}.yaml"), path]
    if path.parent.name == "common":
        files[0] = EXPERIMENTS / "recon" / "base.yaml"
    config = parse(stage, *(word for file in files for word in ("-c", file)))
    assert config.trainer.max_steps > 0 or config.trainer.max_epochs
    assert "${" not in str(config.trainer.default_root_dir)


@pytest.mark.parametrize("path", [p for p in FILES if p.stem.startswith("sweep")], ids=name)
def test_sweep_commands_parse(path, parse):
    sweep = yaml.safe_load(path.read_text())
    lightning, run, stage, fit, *words = sweep["command"]
    assert (lightning, run, fit) == ("lightning", "run", "fit")
    files = [EXPERIMENTS.parent / word if word.startswith("experiments/") else word for word in words if word != "${args}"]
    for key, values in sweep["parameters"].items():
        for value in values["values"]:
            assert parse(stage, *files, f"--{key}={value}").model.scale == value


def test_interpolation_follows_the_last_word(parse, monkeypatch):
    monkeypatch.setenv("REAL3D_RUNS", "elsewhere")
    config = parse("recon", "-c", EXPERIMENTS / "recon" / "base.yaml", "--model.scale", "40M")
    assert config.trainer.default_root_dir == "elsewhere/recon-40M"
    assert config.trainer.callbacks[0].init_args.folder == "elsewhere/recon-40M/weights"


def test_stages_find_each_others_weights(parse):
    for scale in WHOLE:
        written = {s: parse(s, "-c", EXPERIMENTS / s / f"{scale}.yaml") for s in ("recon", "animate", "compose")}
        folders = {stage: config.trainer.callbacks[0].init_args.folder for stage, config in written.items()}
        assert written["animate"].model.init_from == folders["recon"]
        assert written["compose"].model.init_from == folders["animate"]
