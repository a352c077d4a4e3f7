# ruff: noqa: RUF001 - IPA symbols look like Latin letters
"""Phoneme targets: which kind of sound is said, from the synthesiser's times to the training loss."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from audio2motion.corpus import CorpusDataset, CorpusInfo, MotionClip, write_corpus
from audio2motion.data import Audio2MotionDataModule, collate_clips
from audio2motion.logmel import LogMelEncoder
from audio2motion.losses import LossWeights, viseme_loss
from audio2motion.module import Audio2MotionModule
from audio2motion.mouth import MouthRig
from audio2motion.speech import Phoneme
from audio2motion.synthesis import Speech
from audio2motion.viseme_classes import COUNT, SILENCE, UNKNOWN, class_of, viseme_track
from audio2motion.visemes import CONSONANTS, VOWELS
from core.errors import PortraitError
from core.face.model import FaceModel
from core.train.schedule import Schedule


def clip(frames, viseme=None, mouth_amplitude=0.3):
    rng = torch.Generator().manual_seed(frames)
    return MotionClip(torch.randn(2 * frames, 40, generator=rng), torch.ones(2 * frames, dtype=torch.long),
                      torch.randn(frames, 64, generator=rng), torch.zeros(frames, dtype=torch.long), mouth_amplitude, viseme)  # fmt: skip


def test_every_sound_has_one_class_and_look_alikes_share_it():
    classes = {symbol: class_of(symbol) for symbol in (*VOWELS, *CONSONANTS)}
    assert set(classes.values()) == set(range(1, COUNT))
    shut = {symbol for symbol, target in CONSONANTS.items() if target.shut}
    assert {classes[symbol] for symbol in shut} == {classes["m"]}
    assert {symbol for symbol in classes if classes[symbol] == classes["m"]} == shut
    tucked = {classes[symbol] for symbol, target in CONSONANTS.items() if target.tuck}
    assert tucked == {classes["f"]}
    assert len({classes[symbol] for symbol in "iuaəmfs"}) == 7


def test_a_frame_has_the_sound_of_its_middle():
    said = [Phoneme("", 0.0, 0.1), Phoneme("m", 0.1, 0.2), Phoneme("ˈaɪ", 0.2, 0.41), Phoneme("ʲ", 0.41, 0.44)]
    track = viseme_track(said, 12).tolist()
    expected = [SILENCE] * 12
    for frame in range(12):
        middle = (frame + 0.5) / 25
        for symbol, start, end in (("m", 0.1, 0.2), ("a", 0.2, 0.305), ("ɪ", 0.305, 0.41)):
            if start <= middle < end:
                expected[frame] = class_of(symbol)
    assert track == expected
    assert viseme_track([], 3).tolist() == [SILENCE] * 3


def test_made_clips_tell_what_is_said():
    """Where the classes say silence the recording is quiet, where they say a vowel it is loud."""
    speech = Speech(3, LogMelEncoder(40), MouthRig(FaceModel.embedded()), 5)
    quiet, loud = [], []
    for index in range(3):
        made = speech[index]
        assert made.viseme.shape == made.blink.shape
        level = made.audio.mean(1).reshape(-1, 2).mean(1)
        quiet.append(level[made.viseme == SILENCE])
        loud.append(level[made.viseme == class_of("a")])
    assert float(torch.cat(loud).median()) > float(torch.cat(quiet).median()) + 0.5


def test_loss_against_a_loop():
    torch.manual_seed(0)
    scores = torch.randn(2, 5, COUNT)
    viseme = torch.tensor([[0, 3, UNKNOWN, 7, 7], [UNKNOWN, UNKNOWN, 1, UNKNOWN, UNKNOWN]])
    terms = [
        -torch.log(scores[b, t].exp() / scores[b, t].exp().sum())[viseme[b, t]] for b in range(2) for t in range(5) if viseme[b, t] >= 0
    ]
    assert float(viseme_loss(scores, viseme)) == pytest.approx(float(torch.stack(terms).mean()), rel=1e-5)
    assert float(viseme_loss(scores, torch.full_like(viseme, UNKNOWN))) == 0.0


def test_they_are_kept_cropped_and_padded(tmp_path):
    said = clip(8, torch.arange(8) % COUNT)
    write_corpus(tmp_path / "told", CorpusInfo("logmel", 40, "abc", "test", visemes=True), [("a", "train", said)])
    read = CorpusDataset(tmp_path / "told", "train")
    assert read.info.visemes
    assert torch.equal(read[0].viseme, said.viseme)
    assert read[0].crop(2, 4).viseme.tolist() == [2, 3, 4, 5]
    write_corpus(tmp_path / "untold", CorpusInfo("logmel", 40, "abc", "test"), [("a", "train", clip(8))])
    assert CorpusDataset(tmp_path / "untold", "train")[0].viseme is None
    both = collate_clips([said.crop(0, 3), clip(5)]).viseme
    assert both.tolist() == [[0, 1, 2] + [UNKNOWN] * 5, [UNKNOWN] * 8]


def trained(root, weight, steps=40):
    """The module after some steps, and the first and last losses of each term."""
    data = Audio2MotionDataModule(str(root), "debug", made_clips=4, made_val_clips=1, crop=16, batch_size=4)
    module = Audio2MotionModule("debug", weights=LossWeights(viseme=weight), schedule=Schedule(lr=1e-2, betas=(0.9, 0.99), warmup=1))
    before = {name: value.clone() for name, value in module.net.condition.audio.state_dict().items()}
    trainer = pl.Trainer(accelerator="cpu", max_steps=steps, limit_val_batches=0, logger=False, enable_checkpointing=False,
                         enable_progress_bar=False, enable_model_summary=False)  # fmt: skip
    trainer.fit(module, data)
    return module, before, trainer


def test_the_sorter_learns_and_stays_out_of_the_weights(tmp_path):
    module, before, trainer = trained(tmp_path, 1.0)
    assert float(trainer.callback_metrics["train/viseme"]) < 0.9 * np.log(COUNT)
    assert any(not torch.equal(before[name], value) for name, value in module.net.condition.audio.state_dict().items())
    assert not any("sorter" in name for name in module.networks()["audio2motion"].state_dict())
    plain = Audio2MotionModule("debug")
    assert plain.sorter is None
    assert {name for name, _ in plain.net.named_parameters()} == {name for name, _ in module.net.named_parameters()}


def test_a_corpus_that_does_not_tell_is_refused(tmp_path):
    clips = [(f"s{number}/1", "train" if number else "val", clip(16)) for number in range(4)]
    write_corpus(tmp_path, CorpusInfo("logmel", 40, FaceModel.embedded().fingerprint, "test"), clips)
    module = Audio2MotionModule("debug", weights=LossWeights(viseme=0.1))
    trainer = pl.Trainer(accelerator="cpu", max_steps=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
                         enable_model_summary=False)  # fmt: skip
    with pytest.raises(PortraitError, match=r"E_DATA.*does not tell what is said"):
        trainer.fit(module, Audio2MotionDataModule(str(tmp_path), "debug", crop=8, batch_size=2))
