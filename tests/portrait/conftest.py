"""Random weights of the debug size, saved as the training stages save them. Only tests may do this."""

import numpy as np
import pytest
import torch


@pytest.fixture(scope="session")
def debug_weights(tmp_path_factory):
    from animate import MotionAdapter, MotionAdapterConfig
    from audio2motion import Audio2Motion, Audio2MotionConfig
    from compose import HTBSR, HTBSRConfig
    from recon import I2P, HeadRenderer, HeadRendererConfig, I2PConfig

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    networks = {
        "i2p": (I2P, I2PConfig),
        "adapter": (MotionAdapter, MotionAdapterConfig),
        "renderer": (HeadRenderer, HeadRendererConfig),
        "htbsr": (HTBSR, HTBSRConfig),
        "audio2motion": (Audio2Motion, Audio2MotionConfig),
    }
    for name, (network, config) in networks.items():
        network(config.preset("debug")).save_pretrained(folder / name)
    return folder


@pytest.fixture(scope="session")
def portrait(debug_weights):
    from portrait import Portrait

    return Portrait.from_pretrained(debug_weights, device="cpu")


@pytest.fixture(scope="session")
def astronaut():
    from skimage.data import astronaut

    return astronaut()


@pytest.fixture(scope="session")
def source(portrait, astronaut):
    return portrait.prepare(astronaut)


@pytest.fixture(scope="session")
def photograph(astronaut, tmp_path_factory):
    from core.media.image import write_image

    path = tmp_path_factory.mktemp("photo") / "astronaut.png"
    write_image(path, astronaut)
    return path


@pytest.fixture(scope="session")
def speech(tmp_path_factory):
    """0.8 s of sound: 0.4 s of silence, then a buzz."""
    from core.media.audio import write_audio

    time = np.arange(12800) / 16000
    wave = np.where(time < 0.4, 0, 0.5 * np.sign(np.sin(2 * np.pi * 150 * time))).astype(np.float32)
    path = tmp_path_factory.mktemp("sound") / "buzz.wav"
    write_audio(path, wave, 16000)
    return path
