"""Metrics under two real processes (gloo): both ranks end with the figure of all frames together, however unevenly they were dealt out."""

import json
import os
import subprocess
import sys

import pytest
import torch
from core.metrics.fid import fid
from core.metrics.pixels import psnr

RANK = """
import json, sys
import torch
from torch import distributed
from core.metrics.fid import FID
from core.metrics.pixels import PSNR

folder, rank = sys.argv[1], int(sys.argv[2])
distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
data = torch.load(f"{folder}/data.pt", weights_only=True)
mine = slice(0, 1) if rank == 0 else slice(1, None)
near, far = PSNR(), FID(width=4)
near.update(data["image"][mine], data["target"][mine])
far.update(data["fake"][mine], real=False)
far.update(data["real"][mine], real=True)
with open(f"{folder}/{rank}.json", "w") as file:
    json.dump({"psnr": float(near.compute()), "fid": float(far.compute())}, file)
distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_find_the_figure_of_all_frames(tmp_path):
    draw = torch.Generator().manual_seed(0)
    image = torch.rand(5, 3, 16, 16, generator=draw)
    target = (image + torch.linspace(0.01, 0.3, 5).view(5, 1, 1, 1)).clamp(0, 1)  # every frame has another error
    fake, real = torch.randn(5, 4, generator=draw), torch.randn(5, 4, generator=draw) + 1
    torch.save({"image": image, "target": target, "fake": fake, "real": real}, tmp_path / "data.pt")
    (tmp_path / "rank.py").write_text(RANK)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    ranks = [subprocess.Popen([sys.executable, tmp_path / "rank.py", tmp_path, str(rank)], env=environment) for rank in range(2)]
    assert [process.wait(timeout=250) for process in ranks] == [0, 0]
    for rank in range(2):
        found = json.loads((tmp_path / f"{rank}.json").read_text())
        assert found["psnr"] == pytest.approx(float(psnr(image, target).mean()), rel=1e-6)
        assert found["fid"] == pytest.approx(float(fid(fake, real)), rel=1e-3)
    assert float(psnr(image[:1], target[:1]).mean()) != pytest.approx(found["psnr"], rel=0.01)
