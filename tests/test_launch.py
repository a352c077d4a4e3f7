"""`lightning run STAGE ...` finds the stage and passes the rest on."""

import subprocess
import sys

import pytest

from experiments import launch


@pytest.mark.parametrize("args", [[], ["--help"], ["run"], ["run", "--help"]])
def test_help_lists_the_stages(args, capsys):
    launch.main(args)
    text = capsys.readouterr().out
    assert all(stage in text for stage in ("recon", "animate", "compose", "audio2motion"))


@pytest.mark.parametrize("stage", launch.STAGES)
def test_stage_gets_the_remaining_words(stage, monkeypatch):
    module = __import__(f"{stage}.cli", fromlist=["main"])
    heard = []
    monkeypatch.setattr(module, "main", heard.append)
    launch.main(["run", stage, "fit", "-c", "x.yaml"])
    assert heard == [["fit", "-c", "x.yaml"]]


@pytest.mark.parametrize("args", [["walk"], ["run", "paint", "fit"]])
def test_wrong_words_are_named_without_a_traceback(args):
    done = subprocess.run([sys.executable, "-m", "experiments.launch", *args], capture_output=True, text=True)
    assert done.returncode == 1
    assert repr(args[min(len(args) - 1, 1)]) in done.stderr
    assert "Traceback" not in done.stderr


def test_help_does_not_import_torch():
    code = "import sys; from experiments.launch import main; main(['--help']); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
