"""Which clips are trained on when: every rank its own, none twice, and the same after a stop."""

from unittest.mock import Mock

import numpy as np
import pytest
import torch
from audio2motion.batches import Bucket, SpeechBatches, by_length
from audio2motion.corpus import CorpusDataset, CorpusInfo, MotionClip, read_info, write_corpus
from audio2motion.data import Audio2MotionDataModule, Draws
from audio2motion.losses import LossWeights
from audio2motion.module import Audio2MotionModule
from audio2motion.prepare import part_of, split_of
from core.errors import PortraitError
from core.face.model import FaceModel
from core.train.schedule import Schedule
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint


def run_at(step, rank=0, ranks=1, limit=1.0, together=1):
    return Mock(
        spec=Trainer, global_step=step, global_rank=rank, world_size=ranks, limit_train_batches=limit, accumulate_grad_batches=together
    )


def clip(frames, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return MotionClip(torch.randn(2 * frames, 40, generator=rng), torch.randint(1, 256, (2 * frames,), generator=rng),
                      torch.randn(frames, 64, generator=rng), torch.zeros(frames, dtype=torch.long), 0.25)  # fmt: skip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    clips = [(f"c{index}", "train" if index else "val", clip(16 + 3 * (index % 7), index)) for index in range(13)]
    write_corpus(folder, CorpusInfo("logmel", 40, FaceModel.embedded().fingerprint, "test"), clips)
    return folder


def test_buckets_keep_the_budget_and_little_padding():
    lengths = np.random.default_rng(0).integers(10, 400, 500).tolist()
    buckets = by_length([*lengths, 9000], frames=2000, clips=8)
    assert sorted(index for bucket in buckets for index in bucket.clips) == list(range(501))
    for bucket in buckets:
        for batch in bucket.batches(np.random.default_rng(0)):
            own = [[*lengths, 9000][index] for index in batch]
            padded = -(-max(own) // 4) * 4
            assert len(batch) == 1 or (2 * padded * len(batch) <= 2000 and len(batch) <= 8)
            assert min(own) >= max(own) / 1.1 - 1


def test_ranks_share_an_epoch_and_epochs_differ():
    lengths = np.random.default_rng(0).integers(10, 200, 101).tolist()
    buckets = by_length(lengths, frames=1000, clips=8)
    parts = [list(SpeechBatches(buckets, 3, run_at(0, rank, 2))) for rank in range(2)]
    assert len(parts[0]) == len(parts[1]) == len(SpeechBatches(buckets, 3, run_at(0, 0, 2)))
    seen = [drawn for part in parts for batch in part for drawn, _ in batch]
    assert len(seen) == len(set(seen)) >= 90
    later = list(SpeechBatches(buckets, 3, run_at(len(parts[0]), 0, 2)))
    assert {epoch for batch in later for _, epoch in batch} == {1}
    assert [[c for c, _ in b] for b in later] != [[c for c, _ in b] for b in parts[0]]


def test_sampler_goes_on_behind_the_batches_that_are_done():
    buckets = [Bucket(np.arange(23), 4, whole=True)]
    epochs = [list(SpeechBatches(buckets, 7, run_at(step))) for step in (0, 5, 10)]
    assert [len(epoch) for epoch in epochs] == [5, 5, 5]
    for step in (2, 7, 14):
        epoch, done = divmod(step, 5)
        assert list(SpeechBatches(buckets, 7, run_at(step))) == epochs[epoch][done:]
    assert list(SpeechBatches(buckets, 7, run_at(4, limit=3))) == epochs[1][1:]
    assert list(SpeechBatches(buckets, 7, run_at(4, limit=0.6))) == epochs[1][1:]
    # Two batches a step: five batches are three steps, the last with one batch.
    assert list(SpeechBatches(buckets, 7, run_at(4, together=2))) == epochs[1][2:]


def test_too_few_clips_are_an_error():
    with pytest.raises(PortraitError, match="E_DATA: 3 training clips are not one batch for each of 2 ranks"):
        SpeechBatches([Bucket(np.arange(3), 2, whole=True)], trainer=run_at(0, 0, 2))


def test_crops_follow_from_seed_epoch_and_clip(corpus):
    clips = CorpusDataset(corpus, "train")
    draws = Draws(clips, 8, seed=1)
    assert draws[3, 0].exp.shape == (8, 64)
    assert torch.equal(draws[3, 0].exp, Draws(clips, 8, seed=1)[3, 0].exp)
    places = {float(draws[3, epoch].exp[0, 0]) for epoch in range(30)}
    assert 5 < len(places) <= clips[3].exp.shape[0] - 7
    assert torch.equal(Draws(clips, 999, seed=1)[3, 0].exp, clips[3].exp)


class Stop(Callback):
    def __init__(self, step):
        self.step = step

    def on_train_batch_end(self, trainer, *_):
        trainer.should_stop = trainer.global_step >= self.step


class Remember(Callback):
    def __init__(self):
        self.seen = []

    def on_train_batch_start(self, trainer, module, batch, index):
        self.seen.append(float(batch.exp.sum()))


@pytest.mark.parametrize("crop", [8, None])
def test_stopped_run_goes_on_exactly(corpus, tmp_path, crop):
    """Same batches in the same order, and the same weights, as without a stop in the middle of the second epoch."""

    def fit(steps, callbacks, path=None):
        data = Audio2MotionDataModule(str(corpus), "debug", crop=crop, batch_size=3, frame_budget=150)
        torch.manual_seed(0)
        schedule = Schedule(lr=1e-3, betas=(0.9, 0.99), warmup=1)
        module = Audio2MotionModule("debug", weights=LossWeights(prior=1.0), schedule=schedule, jitter=True)
        trainer = Trainer(accelerator="cpu", max_steps=steps, limit_val_batches=0, logger=False, enable_progress_bar=False,
                          enable_model_summary=False, callbacks=callbacks, use_distributed_sampler=False,
                          enable_checkpointing=any(isinstance(c, ModelCheckpoint) for c in callbacks))  # fmt: skip
        trainer.fit(module, data, ckpt_path=path)
        return module.net.state_dict()

    whole, first, second = Remember(), Remember(), Remember()
    expected = fit(8, [whole])
    keep = ModelCheckpoint(tmp_path, every_n_train_steps=6, save_last=True)
    fit(8, [first, keep, Stop(6)])
    made = fit(8, [second], str(tmp_path / "last.ckpt"))
    assert first.seen + second.seen == whole.seen
    assert len(second.seen) == 2
    for name, value in expected.items():
        torch.testing.assert_close(made[name], value, msg=name)


def test_parts_are_read_as_one_corpus(tmp_path):
    info = CorpusInfo("logmel", 40, "abc", "part 0")
    write_corpus(tmp_path / "0", info, [("a/1", "train", clip(8)), ("b/1", "val", clip(9))])
    write_corpus(tmp_path / "1", CorpusInfo("logmel", 40, "abc", "part 1"), [("c/1", "train", clip(12, 1))])
    read = CorpusDataset(tmp_path, "train")
    assert [entry.name for entry in read.entries] == ["a/1", "c/1"]
    assert read.info == info
    np.testing.assert_allclose(read[1].exp, clip(12, 1).exp, atol=2e-3)
    write_corpus(tmp_path / "2", CorpusInfo("logmel", 80, "abc", "part 2"), [])
    with pytest.raises(PortraitError, match=r"E_DATA: .*2 and .*0 differ"):
        read_info(tmp_path)
    (tmp_path / "2" / "corpus.json").write_text('{"audio": ')
    with pytest.raises(PortraitError, match=r"E_DATA: .*corpus\.json is damaged"):
        read_info(tmp_path)


def test_parts_and_speakers():
    assert part_of("3/8") == (3, 8)
    for wrong in ("8/8", "1", "a/b", "-1/2"):
        with pytest.raises(Exception, match="I/N"):
            part_of(wrong)
    assert 0.01 < np.mean([split_of(f"id{index}", 0.05) == "val" for index in range(2000)]) < 0.1
