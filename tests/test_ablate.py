"""The runner of ablations: what rows share, commands, taking up again, tables, sweeps; and two rows at debug scale, for real."""

import contextlib
import csv
import importlib
import json
from pathlib import Path
from typing import ClassVar

import pytest
import yaml
from core.errors import PortraitError
from core.train.cli import StageCLI
from portrait.evaluate.results import Cell

from experiments import ablate, launch
from experiments.ablation.plan import read_plan
from experiments.ablation.scoring import RowResult, last_scores
from experiments.ablation.sweep import log_row
from experiments.ablation.table import write_tables
from experiments.ablation.training import TRAINED, Workplace, command, row_weights, train

PLANS = Path(ablate.__file__).parent / "ablation"
TABLE_4 = {  # the paper's, typed in again: CSIM, FID, AED, APD
    "w/o pre-train": (0.487, 65.32, 0.181, 0.031), "w/o finetune": (0.683, 49.21, 0.233, 0.027),
    "w/ 40M params": (0.725, 45.48, 0.140, 0.026), "w/ 200M params": (0.754, 43.15, 0.143, 0.023),
    "w/o Lap loss": (0.748, 42.66, 0.158, 0.024), "w/ unsup. KP.": (0.746, 44.86, 0.138, 0.023),
    "w/ concat": (0.737, 46.38, 0.144, 0.025), "w/o inpaint": (0.744, 43.95, 0.140, 0.022), "Full (VD)": (0.758, 42.37, 0.138, 0.022),
}  # fmt: skip


def names(chain):
    return [training.name for training in chain]


def test_paper_has_all_rows_and_trains_what_they_share_once():
    plan = read_plan(PLANS / "paper.yaml")
    assert {row.title: tuple(row.paper[key] for key in ("csim", "fid", "aed", "apd")) for row in plan.rows.values()} == TABLE_4
    chains = plan.trainings()
    assert names(chains["full"]) == ["recon-full", "animate-full", "compose-full"]
    assert names(chains["concat"]) == ["recon-full", "animate-full", "compose-concat"]
    assert names(chains["no_finetune"]) == ["recon-full", "animate-no_finetune", "compose-no_finetune"]
    assert names(chains["no_pretrain"]) == ["animate-no_pretrain", "compose-no_pretrain"]
    assert names(chains["i2p_40M"]) == ["recon-i2p_40M", "animate-i2p_40M", "compose-i2p_40M"]
    assert chains["unsup_kp"][1] is chains["full"][1]
    assert len({training.name for chain in chains.values() for training in chain}) == 18
    assert not plan.rows["no_inpaint"].inpaint


def test_networks_come_from_the_training_before_or_from_the_start(tmp_path):
    from portrait.networks import weights_folder

    shipped = weights_folder("tiny")
    chains = read_plan(PLANS / "tiny.yaml").trainings()
    place = Workplace(tmp_path, "tiny")
    assert names(chains["full"]) == ["animate-full", "compose-full"]
    assert place.sources(chains["full"][0]) == {name: shipped / name for name in ("i2p", "renderer")}
    trained = tmp_path / "runs" / "animate-full" / "weights"
    assert place.sources(chains["concat"][1]) == {name: trained / name for name in ("i2p", "adapter", "renderer")}
    assert place.init_of(chains["no_pretrain"][0]) is None
    assert place.init_of(chains["no_pretrain"][1]) is not None
    weights = row_weights("full", chains["full"], place)
    found = {link.name: link.resolve() for link in weights.iterdir()}
    assert found["audio2motion"] == (shipped / "audio2motion").resolve()
    assert found["htbsr"] == tmp_path / "runs" / "compose-full" / "weights" / "htbsr"


@pytest.fixture
def parse(monkeypatch):
    """The stage's real command, stopped once its arguments are parsed."""
    seen = []
    monkeypatch.setattr(StageCLI, "instantiate_classes", lambda self: seen.append(self.config))
    monkeypatch.setattr(StageCLI, "_run_subcommand", lambda self, subcommand: None)

    def run(words):
        assert (words[0], words[2]) == ("run", "fit")
        importlib.import_module(f"{words[1]}.cli").main(words[2:])
        return seen.pop().fit

    return run


QUICK = ("no_finetune", "tiny: no_lap")
ROWS = [*read_plan(PLANS / "paper.yaml").rows, "tiny: no_lap", "tiny_scale: half", "tiny_scale: double"]


@pytest.mark.parametrize("row", [row if row in QUICK else pytest.param(row, marks=pytest.mark.slow) for row in ROWS])
def test_every_combination_of_the_sweep_parses(row, parse, capsys, tmp_path):
    """What an agent is told becomes commands that the stages understand, with the row's own settings and each other's folders."""
    file, _, row = row.rpartition(": ")
    path = PLANS / f"{file or 'paper'}.yaml"
    assert ablate.main([str(path), "--sweep", "--out", str(tmp_path), "--set", "data.root=clips", "--steps", "recon=7"]) == 0
    described = yaml.safe_load(capsys.readouterr().out)
    assert row in described["parameters"]["row"]["values"]
    words = described["command"]
    assert words[:5] == ["${env}", "${interpreter}", "-m", "experiments.ablate", f"experiments/ablation/{path.name}"]
    assert words[-1] == "${args}"
    options = ablate.parser().parse_args([*words[4:-1], f"--row={row}"])
    assert (options.row, options.wandb, options.steps, options.set) == ([row], True, [("recon", 7)], [("data.root", "clips")])
    plan = read_plan(path)
    place = Workplace(tmp_path, plan.start, options=tuple(options.set))
    for training in plan.trainings()[row]:
        config = parse(command(training, place))
        assert config.data.root == "clips"
        assert config.trainer.default_root_dir == str(place.run_of(training))
        assert config.trainer.callbacks[0].init_args.folder == str(place.run_of(training) / "weights")
        init = place.init_of(training)
        assert config.model.init_from == (None if init is None else str(init))
        if training.how.steps:
            assert config.trainer.max_steps == config.trainer.val_check_interval == training.how.steps
        changed = {("animate", "no_lap"): lambda m: m.steadiness.temporal == "off", ("animate", "no_finetune"): lambda m: m.finetune == 0,
                   ("compose", "concat"): lambda m: m.fuse == "concat", ("compose", "no_inpaint"): lambda m: m.inpaint is False,
                   ("compose", "unsup_kp"): lambda m: m.keypoint_source == "learned"}  # fmt: skip
        assert changed.get((training.stage, row), lambda m: True)(config.model)
        assert config.model.scale == {"i2p_40M": "40M", "i2p_200M": "200M", "half": "tiny_half", "double": "tiny_double"}.get(
            row, "tiny" if file else "paper"
        )


def test_dry_run_says_each_command_once(capsys, tmp_path):
    words = [str(PLANS / "tiny.yaml"), "--dry-run", "--out", str(tmp_path), "--row", "full", "--row", "concat", "--minutes", "compose=90"]
    assert ablate.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in lines if line.startswith("lightning")] == ["animate", "compose", "compose"]
    assert sum("--trainer.max_time 00:01:30:00" in line for line in lines) == 2
    assert lines[-1] == "# concat: animate-full, compose-concat"
    assert not list(tmp_path.iterdir())


def test_done_is_done_and_interrupted_goes_on(tmp_path):
    (training, *_) = read_plan(PLANS / "debug.yaml").trainings()["full"]
    place, seen = Workplace(tmp_path), []

    def stops(words):
        seen.append(words)
        (place.run_of(training) / "checkpoints").mkdir()
        (place.run_of(training) / "checkpoints" / "last.ckpt").touch()
        raise PortraitError("E_TEST", "no more", "Go on.")

    with pytest.raises(PortraitError, match="E_TEST"):
        train(training, place, stops)
    train(training, place, seen.append)
    train(training, place, seen.append)
    assert len(seen) == 2
    assert "--ckpt_path" not in seen[0]
    assert seen[1] == [*seen[0], "--ckpt_path", "last"]
    with pytest.raises(PortraitError, match="other options"):
        train(training, Workplace(tmp_path, options=(("model.seed", "1"),)), seen.append)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stages": {"recon": {"files": ["recon/none.yaml"]}}}, "file recon/none.yaml"),
        ({"stages": {"hear": {"files": []}}}, "stage 'hear'"),
        ({"protocols": ["alone"]}, "protocol 'alone'"),
        ({"rows": {"full": {"title": "Full", "animate": ["animate/no_lap.yaml"]}}}, "stage 'animate'"),
        ({"rows": {"full": {"name": "Full"}}}, "does not describe a table"),
    ],
)
def test_plans_that_mean_nothing_are_refused(change, message, tmp_path, capsys):
    plan = {"title": "x", "stages": {"recon": {"files": ["recon/debug.yaml"]}}, "rows": {"full": {"title": "Full"}}} | change
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    assert ablate.main([str(tmp_path / "plan.yaml"), "--dry-run"]) == 2
    assert message in capsys.readouterr().err


def test_other_mistakes_are_one_line(tmp_path, capsys):
    debug = str(PLANS / "debug.yaml")
    for words, message in (
        ([str(tmp_path / "none.yaml")], "cannot read"),
        ([debug, "--row", "none"], "no row 'none'"),
        ([debug, "--out", str(tmp_path)], "no clips"),
    ):
        assert ablate.main(words) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
    for words in (["--steps", "recon=0"], ["--steps", "hear=3"], ["--set", "data.root"]):
        with pytest.raises(SystemExit):
            ablate.main([debug, *words])


def test_tables_stand_beside_the_paper(tmp_path):
    plan = read_plan(PLANS / "paper.yaml")
    cells = {"aed": Cell(0.25, 0.2, 0.3, 8), "flicker": Cell(1.5, None, None, 1)}
    RowResult(
        "full", {"cross-identity": cells}, {"cross-identity": {"flicker": Cell(2.0, 1.0, 3.0, 8)}}, {"animate": {"psnr_raw": 23.456}}
    ).save(tmp_path)
    RowResult("no_lap", {"cross-identity": {"aed": Cell(0.125, 0.1, 0.2, 8)}}).save(tmp_path)
    text = write_tables(plan, tmp_path)
    assert text == (tmp_path / "table.md").read_text()
    head, _, *rows = (line.strip("| \n").split(" | ") for line in text.splitlines()[2:])
    assert head[1:5] == ["CSIM (paper) ↑", "FID (paper) ↓", "AED (paper) ↓", "APD (paper) ↓"]
    assert head[5:] == ["AED (cross) ↓", "flicker (cross)", "PSNR raw (val animate) ↑"]
    by_title = {row[0]: row[1:] for row in rows}
    assert by_title["Full (VD)"] == ["0.758", "42.37", "0.138", "0.0220", "0.250", "1.50", "23.46"]
    assert by_title["w/o Lap loss"][4] == "0.125"
    assert by_title["driving videos"][5] == "2.00"
    assert len(by_title) == 10
    with (tmp_path / "table.csv").open(newline="") as file:
        lines = {(line["row"], line["source"], line["measure"]): line for line in csv.DictReader(file)}
    assert lines["full", "cross-identity", "aed"] == {
        "row": "full", "source": "cross-identity", "measure": "aed", "value": "0.25", "low": "0.2", "high": "0.3", "clips": "8"
    }  # fmt: skip
    assert lines["no_lap", "paper", "fid"]["value"] == "42.66"
    assert json.loads((tmp_path / "table.json").read_text())["rows"]["no_lap"]["cells"]["cross-identity"]["aed"]["mean"] == 0.125
    latex = (tmp_path / "table.tex").read_text()
    assert all(line.count("&") == 7 for line in latex.splitlines() if line.endswith(r"\\"))
    assert r"Full (VD) & 0.758 & 42.37" in latex


def test_figures_of_a_row_reach_wandb(monkeypatch):
    class Run(contextlib.nullcontext):
        summary: ClassVar[dict] = {}

        def __enter__(self):
            return self

    begun = []
    monkeypatch.setattr("wandb.init", lambda **options: begun.append(options) or Run())
    log_row("Table 4", RowResult("no_lap", {"cross-identity": {"aed": Cell(0.25, 0.2, 0.3, 8)}}, {}, {"animate": {"psnr": 21.5}}))
    assert Run.summary == {"cross/aed": 0.25, "animate/psnr": 21.5}
    assert begun[0]["config"] == {"row": "no_lap"}


def test_last_scores_are_read_from_all_logs(tmp_path):
    for version, text in (("version_0", "step,train/loss,val/psnr\n9,1.0,\n19,,20.5\n"), ("version_1", "step,val/psnr\n29,21.5\n")):
        (tmp_path / "logs" / version).mkdir(parents=True)
        (tmp_path / "logs" / version / "metrics.csv").write_text(text)
    assert last_scores(tmp_path) == ({"psnr": 21.5}, 30)


@pytest.mark.slow
def test_two_rows_at_debug_scale(tmp_path, monkeypatch, capsys):
    """Six trainings would be two rows alone; four are done, for the rows differ in the last only. Once more does nothing."""
    from core.media.video import VideoWriter
    from skimage.data import astronaut

    monkeypatch.setenv("REAL3D_DATA", str(tmp_path / "made"))
    (tmp_path / "data" / "videos").mkdir(parents=True)
    with VideoWriter(tmp_path / "data" / "videos" / "amy.mp4", 440) as video:
        for k in range(3):
            video.write(astronaut()[:440, 36 - k : 476 - k].copy())
    ran = []

    def run(words):
        ran.append(words[1])
        launch.main(words)

    words = [str(PLANS / "debug.yaml"), "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--frames", "3",
             "--device", "cpu", "--row", "full", "--row", "no_inpaint"]  # fmt: skip
    assert ablate.main(words, run) == 0
    assert ran == ["recon", "animate", "compose", "compose"]
    assert "w/o inpaint" in capsys.readouterr().out
    results = {name: RowResult.load(tmp_path / "out", name) for name in ("full", "no_inpaint")}
    psnr = {name: result.cells["same-identity"]["psnr"].mean for name, result in results.items()}
    assert psnr["full"] != psnr["no_inpaint"]
    assert all(4 < value < 30 for value in psnr.values())
    assert set(results["full"].validation) == set(TRAINED)
    assert results["full"].steps == {"recon": 2, "animate": 2, "compose": 2}
    before = (tmp_path / "out" / "table.json").read_text()
    assert ablate.main(words, run) == 0
    assert len(ran) == 4
    assert (tmp_path / "out" / "table.json").read_text() == before
