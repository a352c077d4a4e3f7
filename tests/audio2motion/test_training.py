import dataclasses

import numpy as np
import pytest
import torch
from audio2motion.corpus import CorpusDataset, CorpusInfo, MotionClip, write_corpus
from audio2motion.data import Audio2MotionDataModule, collate_clips
from audio2motion.jitter import jitter_features
from audio2motion.logmel import LogMelEncoder
from audio2motion.losses import LossWeights, cyclic_weight, landmark_loss, landmark_metric, laplacian_loss, lip_loss, masked_mean
from audio2motion.module import Audio2MotionModule, lip_weights
from audio2motion.mouth import MouthRig
from audio2motion.prepare import blink_units, split_of
from audio2motion.synthesis import Speech
from core.face.model import FaceModel
from core.face.regions import LIPS_INNER, LIPS_OUTER
from core.train.schedule import Schedule


def clip(frames, seed=0, bands=40):
    rng = torch.Generator().manual_seed(seed)
    return MotionClip(torch.randn(2 * frames, bands, generator=rng), torch.randint(1, 256, (2 * frames,), generator=rng),
                      torch.randn(frames, 64, generator=rng), torch.zeros(frames, dtype=torch.long), 0.25)  # fmt: skip


def test_losses_against_loops():
    torch.manual_seed(0)
    made, true = torch.randn(2, 6, 64), torch.randn(2, 6, 64)
    mask = torch.tensor([[1.0] * 6, [1.0] * 4 + [0.0] * 2])
    assert float(masked_mean((made - true) ** 2, mask)) == pytest.approx(
        float(torch.cat([(made - true)[0], (made - true)[1, :4]]).square().mean()), rel=1e-5
    )
    terms = []
    for row, length in ((0, 6), (1, 4)):
        for t in range(length):
            before = made[row, t - 1] if t > 0 else torch.zeros(64)
            after = made[row, t + 1] if t + 1 < length else torch.zeros(64)
            terms.append((made[row, t] - 0.5 * (before + after)).square().mean())
    assert float(laplacian_loss(made, mask)) == pytest.approx(float(torch.stack(terms).mean()), rel=1e-5)


def test_landmark_loss_is_that_of_the_face_model():
    torch.manual_seed(0)
    face = FaceModel.embedded()
    made, true, identity = torch.randn(1, 3, 64), torch.randn(1, 3, 64), torch.randn(3, 80)
    weights = torch.rand(468)
    moved = 10 * (face.keypoints(identity, made[0]) - face.keypoints(identity, true[0]))
    expected = (moved.square() * weights[:, None]).mean()
    ours = landmark_loss(made, true, torch.ones(1, 3), landmark_metric(face.exp_basis[face.keypoints468], weights))
    assert float(ours) == pytest.approx(float(expected), rel=1e-4)


def test_cyclic_weight():
    assert [cyclic_weight(step, 0.02, 100) for step in (0, 50, 100, 199, 200)] == [0.0, 0.01, 0.02, 0.02, 0.0]


def test_made_clips_depend_on_seed_and_index_only():
    def make(seed):
        return Speech(2, LogMelEncoder(40), MouthRig(FaceModel.embedded()), seed)

    first, again, other = make(0)[1], make(0)[1], make(1)[1]
    assert torch.equal(first.audio, again.audio)
    assert torch.equal(first.exp, again.exp)
    assert first.exp.shape[0] % 4 == 0
    assert first.audio.shape == (2 * first.exp.shape[0], 40)
    assert first.audio.shape != other.audio.shape or not torch.equal(first.audio, other.audio)


def test_corpus_round_trip(tmp_path):
    info = CorpusInfo("logmel", 40, "abc", "test")
    clips = [clip(frames, frames) for frames in (8, 12, 5)]
    write_corpus(tmp_path, info, [(f"speaker/{i}", "train" if i else "val", c) for i, c in enumerate(clips)], per_shard=2)
    read = CorpusDataset(tmp_path, "train")
    assert (read.info, len(read)) == (info, 2)
    np.testing.assert_allclose(read[1].exp, clips[2].exp, atol=2e-3)
    assert torch.equal(read[0].pitch, clips[1].pitch)


def test_collate_pads_to_whole_latent_frames():
    batch = collate_clips([clip(5), clip(9)])
    assert batch.exp.shape == (2, 12, 64)
    assert batch.controls.audio.shape == (2, 24, 40)
    assert batch.controls.mask.sum(1).tolist() == [5, 9]


def test_jitter_keeps_shape_and_follows_its_generator():
    audio = torch.randn(3, 20, 40)
    one, same, other = (jitter_features(audio, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.shape == audio.shape


def test_jitter_moves_formants_and_keeps_time_and_silence():
    """One loud band in one burst: it lands on other bands near by, in the same rows give or take one; what is silent stays the quietest."""
    audio = torch.full((64, 30, 40), -3.0)
    audio[:, 12:18, 20] = 2.0
    moved = jitter_features(audio, torch.Generator().manual_seed(0))
    bands = moved[:, 12:18].mean(1).argmax(1)
    assert len(set(bands.tolist())) >= 6
    assert float((bands - 20).abs().float().quantile(0.9)) <= 7
    rows = moved.amax(2)
    assert float(rows[:, 13:17].median()) > float(rows[:, 20:].median()) + 1
    assert float(rows[:, :10].max()) < float(rows[:, 13:17].max())


def test_blink_units_are_run_centres():
    face = FaceModel.embedded()
    wanted = torch.zeros(60, dtype=torch.long)
    wanted[[15, 40]] = 1
    exp = MouthRig(face).codes(torch.zeros(60, 5), blink=wanted)
    found = blink_units(face, torch.zeros(60, 80), exp).nonzero()[:, 0].tolist()
    assert len(found) == 2
    assert all(abs(a - b) <= 1 for a, b in zip(found, [15, 40], strict=True))
    assert 0.01 < np.mean([split_of(f"id{i}/{i}", 0.05) == "val" for i in range(2000)]) < 0.1


def test_two_steps_of_training(tmp_path):
    import pytorch_lightning as pl

    data = Audio2MotionDataModule(str(tmp_path), "debug", made_clips=4, made_val_clips=1, crop=16, batch_size=2)
    schedule = Schedule(lr=1e-3, betas=(0.9, 0.99), warmup=1)
    module = Audio2MotionModule("debug", weights=LossWeights(prior=1.0), schedule=schedule, jitter=True)
    before = [parameter.clone() for parameter in module.net.parameters()]
    trainer = pl.Trainer(accelerator="cpu", max_steps=2, limit_val_batches=1, num_sanity_val_steps=0, logger=False,
                         enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)  # fmt: skip
    trainer.fit(module, data)
    assert any(not torch.equal(a, b) for a, b in zip(before, module.net.parameters(), strict=True))
    assert {"val/exp", "val/gap_r", "val/closure"} <= set(trainer.callback_metrics)
    assert module.networks()["audio2motion"].config.face_model == FaceModel.embedded().fingerprint
    saved = trainer._checkpoint_connector.dump_checkpoint()["state_dict"]
    assert {name: value for name, value in saved.items() if name.startswith("face.")} == {"face._extra_state": module.face.fingerprint}
    written = (tmp_path / "corpus.json").stat().st_mtime_ns
    data.prepare_data()
    assert (tmp_path / "corpus.json").stat().st_mtime_ns == written
    other = Audio2MotionModule("debug", schedule=dataclasses.replace(module.schedule))
    assert other.net.config == module.net.config


def test_lip_loss_is_the_distance_of_the_lips():
    torch.manual_seed(0)
    face = FaceModel.embedded()
    made, true, identity = torch.randn(1, 3, 64), torch.randn(1, 3, 64), torch.randn(3, 80)
    lips = [*LIPS_OUTER, *LIPS_INNER]
    moved = 10 * (face.keypoints(identity, made[0]) - face.keypoints(identity, true[0]))[:, lips]
    expected = moved.square().mean((1, 2)).sqrt().mean()
    metric = landmark_metric(face.exp_basis[face.keypoints468], lip_weights())
    assert float(lip_loss(made, true, torch.ones(1, 3), metric)) == pytest.approx(float(expected), rel=1e-3)


def test_in_doubt_the_likelier_mouth_is_made():
    """Seven mouths of ten are shut: the mean is 0.3 open, the best answer by distance is shut."""
    metric = torch.eye(64)
    true = torch.zeros(1, 10, 64)
    true[0, 7:, 0] = 1.0
    best = {}
    for name, loss in (("squared", landmark_loss), ("distance", lip_loss)):
        answers = torch.linspace(0, 1, 101)
        costs = [float(loss((answer * torch.eye(64)[0]).expand(1, 10, 64), true, torch.ones(1, 10), metric)) for answer in answers]
        best[name] = float(answers[int(np.argmin(costs))])
    assert best["squared"] == pytest.approx(0.3, abs=0.011)
    assert best["distance"] < 0.02
