"""Ten seconds of speech to motion with the embedded network, features and pitch included."""

import numpy as np
import torch
from audio2motion import Audio2Motion, encoder_for, motion_from_audio
from audio2motion.augment import change_tract
from audio2motion.speech import say
from portrait.networks import weights_folder

from benchmarks.row import Case, Row

SECONDS = 10
TEXT = "My baby brother bought a lamp, and papa put it above the map. Who knew? We moved it five times, and everybody laughed about it."


def _motion(device: torch.device) -> Case:
    model = Audio2Motion.from_pretrained(weights_folder("tiny") / "audio2motion").to(device).eval()
    encoder = encoder_for(model.config)
    spoken = change_tract(say(TEXT), 1.0).wave
    wave = np.resize(spoken, SECONDS * 16_000)
    return Case(lambda: motion_from_audio(model, wave, encoder=encoder), items=25 * SECONDS)


ROWS = (Row("speech.motion", _motion, bar=25 * SECONDS / 0.3, cuda=True),)
