"""The four stages in order, two steps each, every one starting from what the one before wrote; then a video from the result."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from experiments.launch import main

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
WRITTEN = {
    "recon": ("i2p", "renderer"),
    "animate": ("i2p", "adapter", "renderer"),
    "compose": ("htbsr",),
    "audio2motion": ("audio2motion",),
}


def exported(root, stage):
    """Where a stage's debug run leaves its weights."""
    return root / "runs" / f"{stage}-debug" / "weights"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """One folder with the five networks, straight from the commands."""
    root = tmp_path_factory.mktemp("chain")
    together = root / "portrait"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REAL3D_RUNS", str(root / "runs"))
        patch.setenv("REAL3D_DATA", str(root / "data"))
        patch.chdir(root)
        for stage, networks in WRITTEN.items():
            main(["run", stage, "fit", "-c", str(EXPERIMENTS / stage / "debug.yaml")])
            weights = exported(root, stage)
            assert sorted(path.name for path in weights.iterdir()) == sorted(networks)
            shutil.copytree(weights, together, dirs_exist_ok=True)
    return root


def test_every_stage_leaves_logs_pictures_and_a_checkpoint(trained):
    for stage in ("recon", "animate", "compose"):
        run = trained / "runs" / f"{stage}-debug"
        assert (run / "checkpoints" / "last.ckpt").is_file()
        assert "val/psnr" in next(run.rglob("metrics.csv")).read_text()
        assert next(run.rglob("portraits/*.png")).stat().st_size > 0


def test_stage_starts_from_the_one_before(trained):
    """Two steps at a warming-up learning rate: stage 2's renderer is stage 1's but for a little."""
    from recon import HeadRenderer

    before, after = (HeadRenderer.from_pretrained(exported(trained, stage) / "renderer").state_dict() for stage in ("recon", "animate"))
    changes = [float((before[name].float() - after[name].float()).abs().max()) for name in before]
    assert 0 < max(changes) < 0.01


def test_trained_networks_render_a_video(trained, tmp_path):
    from core.media.audio import write_audio
    from core.media.video import read_video
    from core.media.video_writer import VideoWriter
    from portrait.pipeline import Portrait
    from skimage.data import astronaut

    time = np.arange(16000) / 16000
    wave = (0.3 * np.sin(2 * np.pi * 140 * time) * np.sin(2 * np.pi * 3 * time) ** 2).astype(np.float32)
    write_audio(tmp_path / "hum.wav", wave, 16000)
    portrait = Portrait.from_pretrained(trained / "portrait", device="cpu")
    frames = [frame.image for frame in portrait.animate(astronaut()[:320, 80:400], audio=tmp_path / "hum.wav")]
    assert len(frames) == 25
    with VideoWriter(tmp_path / "hum.mp4", portrait.size, audio=(wave, 16000)) as video:
        for frame in frames:
            video.write(frame)
    back = list(read_video(tmp_path / "hum.mp4"))
    assert len(back) == 25
    assert back[0].shape == (portrait.size, portrait.size, 3)
    assert back[0].std() > 1
