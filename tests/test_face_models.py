"""Every stage and the application take another face model than the embedded one, remember it and refuse the wrong one."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from core.errors import PortraitError
from core.face import FaceModel


@pytest.fixture(scope="module")
def bfm(bfm_folder: Path) -> FaceModel:
    return FaceModel.from_bfm(bfm_folder)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory, bfm: FaceModel) -> Path:
    """Random networks of the debug size that say they were trained with BFM."""
    from animate import MotionAdapter, MotionAdapterConfig
    from audio2motion import Audio2Motion, Audio2MotionConfig
    from compose import HTBSR, HTBSRConfig
    from recon import I2P, HeadRenderer, HeadRendererConfig, I2PConfig

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    I2P(I2PConfig.preset("debug")).save_pretrained(folder / "i2p")
    HeadRenderer(HeadRendererConfig.preset("debug")).save_pretrained(folder / "renderer")
    HTBSR(replace(HTBSRConfig.preset("debug"), lm68_one_based=True)).save_pretrained(folder / "htbsr")
    MotionAdapter(replace(MotionAdapterConfig.preset("debug"), face_model=bfm.fingerprint)).save_pretrained(folder / "adapter")
    talker = replace(Audio2MotionConfig.preset("debug"), face_model=bfm.fingerprint)
    Audio2Motion(talker).save_pretrained(folder / "audio2motion")
    return folder


def test_modules_remember_their_face_model(bfm: FaceModel, bfm_folder: Path) -> None:
    from animate.module import AnimateModule
    from audio2motion.module import Audio2MotionModule
    from compose.module import ComposeModule

    animate, compose = AnimateModule("debug", face_model=str(bfm_folder)), ComposeModule("debug", face_model=str(bfm_folder))
    hear = Audio2MotionModule("debug", face_model=str(bfm_folder))
    for config in (animate.networks()["adapter"].config, compose.avatar.adapter.config, hear.networks()["audio2motion"].config):
        assert config.face_model == bfm.fingerprint
    numbers = [name for name in animate.state_dict() if name.startswith("face.")]
    assert numbers == ["face._extra_state"]


@pytest.mark.parametrize("stage", ["animate", "compose", "audio2motion"])
def test_a_stage_refuses_weights_of_another_face_model(weights: Path, stage: str) -> None:
    from animate.module import AnimateModule
    from audio2motion.module import Audio2MotionModule
    from compose.module import ComposeModule

    stages = {"animate": AnimateModule, "compose": ComposeModule, "audio2motion": Audio2MotionModule}
    module = stages[stage]("debug", init_from=str(weights))
    with pytest.raises(PortraitError, match="face model") as caught:
        module.setup("fit") if stage == "audio2motion" else module.load(weights)
    assert caught.value.code == "E_FACE_MODEL"


@pytest.mark.parametrize("stage", ["animate", "compose"])
def test_a_stage_refuses_clips_that_were_fitted_with_another_face_model(bfm_folder: Path, stage: str, tmp_path: Path) -> None:
    from animate.module import AnimateModule
    from compose.module import ComposeModule
    from core.train.data import ClipDataModule

    info = {"face_model": FaceModel.embedded().fingerprint, "image_size": 64, "focal": 1.0, "fps": 25, "clips": []}
    (tmp_path / "store.json").write_text(json.dumps(info))
    module = {"animate": AnimateModule, "compose": ComposeModule}[stage]("debug", face_model=str(bfm_folder))
    trainer = pl.Trainer(accelerator="cpu", max_steps=1, logger=False, enable_checkpointing=False, enable_progress_bar=False)
    with pytest.raises(PortraitError, match=r"the clips in .* belong to face model") as caught:
        trainer.fit(module, ClipDataModule(str(tmp_path)))
    assert caught.value.code == "E_FACE_MODEL"


def test_made_speech_has_the_codes_of_the_face_model(bfm: FaceModel, bfm_folder: Path, tmp_path: Path) -> None:
    from audio2motion.data import Audio2MotionDataModule

    data = Audio2MotionDataModule(str(tmp_path), "debug", made_clips=1, made_val_clips=1, face_model=str(bfm_folder))
    data.prepare_data()
    assert data.info().face_model == bfm.fingerprint


def test_the_application_renders_with_bfm_and_with_nothing_else(weights: Path, bfm: FaceModel, bfm_folder: Path) -> None:
    from portrait import Portrait
    from portrait.plan import still_plan
    from skimage.data import astronaut

    with pytest.raises(PortraitError, match="the weights of adapter belong to face model") as caught:
        Portrait.from_pretrained(weights, "cpu")
    assert caught.value.code == "E_FACE_MODEL"
    portrait = Portrait.from_pretrained(weights, "cpu", face_model=bfm_folder)
    assert torch.equal(portrait.face.keypoints68, bfm.keypoints68 + 1)  # as the config of htbsr says
    frame = next(portrait.render(still_plan(portrait.prepare(astronaut())), maps=[0]))
    assert frame.image.shape == (portrait.size, portrait.size, 3)
    assert 0.1 < (np.asarray(frame.maps["pncc"]) > 0).any(-1).mean() < 0.7


@pytest.mark.parametrize("damage", ["absent", "truncated"])
def test_the_command_line_names_a_bad_file_in_one_line(
    bfm_folder: Path, damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from core.media.audio import write_audio
    from core.media.image import write_image
    from portrait.cli import main
    from skimage.data import astronaut

    folder = tmp_path / "BFM"
    shutil.copytree(bfm_folder, folder)
    bad = folder / "BFM_model_front.mat"
    if damage == "absent":
        bad.unlink()
        bad = folder / "01_MorphableModel.mat"
        bad.unlink()
    else:
        bad.write_bytes(bad.read_bytes()[:5000])
    write_image(tmp_path / "face.png", astronaut())
    write_audio(tmp_path / "speech.wav", np.zeros(16000, np.float32), 16000)
    out = tmp_path / "out.mp4"
    files = [str(tmp_path / "face.png"), "--audio", str(tmp_path / "speech.wav"), "-o", str(out)]
    status = main(["animate", *files, "--face-model", str(folder)])
    lines = capsys.readouterr().err.strip().splitlines()
    assert status == 2
    assert len(lines) == 1
    assert lines[0].startswith("E_FACE_MODEL: ")
    assert str(bad) in lines[0]
    assert "faces.dmi.unibas.ch" in lines[0]
    assert not out.exists()
