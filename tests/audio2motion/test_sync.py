"""The sync expert: what it is shown, that it learns, and that stage 4 hears it."""

from dataclasses import replace

import pytest
import torch
from audio2motion.config import Audio2MotionConfig
from audio2motion.corpus import CorpusInfo, MotionClip, write_corpus
from audio2motion.data import Audio2MotionDataModule
from audio2motion.losses import LossWeights, sync_loss
from audio2motion.module import Audio2MotionModule, load_expert
from audio2motion.sync_expert import SyncExpert, SyncExpertConfig, motion_of_points
from audio2motion.sync_module import SyncModule
from audio2motion.sync_pairs import mixed_pairs, pairs_together
from core.errors import PortraitError
from core.face.model import FaceModel
from core.train.schedule import Schedule
from pytorch_lightning import Trainer

FACE = FaceModel.embedded()
QUIET = dict(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
             num_sanity_val_steps=0, use_distributed_sampler=False)  # fmt: skip


def test_points_are_those_of_the_face_model():
    exp, identity = torch.randn(3, 64), torch.randn(3, 80)
    expected = 10 * (FACE.keypoints(identity, exp) - FACE.keypoints(identity, torch.zeros(3, 64)))
    torch.testing.assert_close(motion_of_points(exp, FACE.exp_basis[FACE.keypoints468]), expected, atol=1e-4, rtol=1e-4)


def test_agreement_is_a_cosine_of_what_is_above_zero():
    torch.manual_seed(0)
    net = SyncExpert(SyncExpertConfig.preset("debug")).eval()
    points, audio = torch.randn(4, 5, 468, 3), torch.randn(4, 10, 40)
    with torch.no_grad():
        agreement = net(points, audio)
        seen = net.face(points.reshape(4, 5, -1).transpose(1, 2)).mean(2).clamp(min=0)
        heard = net.sound(audio.transpose(1, 2)).mean(2).clamp(min=0)
    torch.testing.assert_close(agreement, (seen * heard).sum(1) / (seen.norm(dim=1) * heard.norm(dim=1)).clamp(min=1e-8))
    assert float(agreement.min()) >= 0
    assert float(agreement.max()) <= 1
    assert float(sync_loss(torch.tensor([0.8, 0.3]), torch.tensor([1.0, 0.0]))) == pytest.approx(-(torch.tensor([0.8, 0.7]).log().mean()))
    assert float(sync_loss(torch.zeros(0), torch.zeros(0))) == 0.0


def test_pairs_are_of_all_kinds_and_lie_inside():
    mask = torch.ones(4, 60)
    mask[1, 40:], mask[2, 3:] = 0, 0
    pairs = mixed_pairs(mask, 2000, torch.Generator().manual_seed(0))
    assert len(pairs.seen) == 6000  # the third clip is too short
    assert not (pairs.seen == 2).any()
    assert not (pairs.heard == 2).any()
    length = mask.sum(1)
    assert bool((pairs.start >= 0).all() and (pairs.start + 5 <= length[pairs.seen]).all())
    assert bool((pairs.sound >= 0).all() and (pairs.sound + 5 <= length[pairs.heard]).all())
    same = pairs.seen == pairs.heard
    apart = (pairs.start - pairs.sound).abs()
    right = pairs.together.bool()
    assert bool((same & (apart == 0))[right].all())
    assert bool((~same | (apart >= 2))[~right].all())
    assert bool((apart[same] <= 10).all())
    assert float(right.float().mean()) == pytest.approx(0.4, abs=0.03)
    assert float((~same).float().mean()) == pytest.approx(0.1, abs=0.03)
    assert float((same & (apart >= 2) & (apart <= 4)).float().mean()) == pytest.approx(0.3 * 3 / 4, abs=0.03)
    alone = mixed_pairs(mask[:1], 500, torch.Generator().manual_seed(0))
    assert bool((alone.heard == 0).all())
    assert len(alone.seen) < 500
    assert len(pairs_together(mask[2:3], 3, torch.Generator()).seen) == 0


def test_windows_are_cut_where_they_say():
    pairs = pairs_together(torch.ones(2, 12), 2, torch.Generator().manual_seed(1))
    exp, audio = torch.randn(2, 12, 64), torch.randn(2, 24, 3)
    for row in range(4):
        clip, start = int(pairs.seen[row]), int(pairs.start[row])
        assert torch.equal(pairs.motion(exp)[row], exp[clip, start : start + 5])
        assert torch.equal(pairs.audio(audio)[row], audio[clip, 2 * start : 2 * start + 10])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A corpus in which one band of the sound is the jaw, and an expert trained on it."""
    folder = tmp_path_factory.mktemp("sync")
    rng = torch.Generator().manual_seed(0)

    def clip():
        jaw = torch.nn.functional.avg_pool1d(torch.randn(1, 1, 68, generator=rng), 5, 1)[0, 0] * 3
        exp, audio = 0.1 * torch.randn(64, 64, generator=rng), 0.1 * torch.randn(128, 40, generator=rng)
        exp[:, 0], audio[:, 5] = jaw, jaw.repeat_interleave(2)
        return MotionClip(audio, torch.ones(128, dtype=torch.long), exp, torch.zeros(64, dtype=torch.long), 0.3)

    clips = [(f"s{index}", "train" if index < 24 else "val", clip()) for index in range(32)]
    write_corpus(folder / "corpus", CorpusInfo("logmel", 40, FACE.fingerprint, "test"), clips)
    torch.manual_seed(0)
    module = SyncModule("debug", Schedule(lr=3e-3, betas=(0.9, 0.999), warmup=0), windows=8)
    data = Audio2MotionDataModule(str(folder / "corpus"), "debug", crop=48, batch_size=12)
    trainer = Trainer(max_steps=120, check_val_every_n_epoch=60, **QUIET)
    trainer.fit(module, data)
    module.net.save_pretrained(folder / "weights")
    return folder, float(trainer.callback_metrics["val/right"])


def test_it_learns_what_belongs_together(trained):
    assert trained[1] > 0.75  # always "no" is right in 60 %


def test_stage_4_hears_the_expert(trained):
    folder, _ = trained
    data = Audio2MotionDataModule(str(folder / "corpus"), "debug", crop=48, batch_size=12)
    expert = str(folder / "weights")
    module = Audio2MotionModule("debug", weights=LossWeights(sync=1.0), sync_expert=expert)
    before = {name: value.clone() for name, value in module._expert[0].state_dict().items()}
    trainer = Trainer(max_steps=2, limit_val_batches=0, **QUIET)
    trainer.fit(module, data)
    assert float(trainer.callback_metrics["train/sync"]) > 0
    assert all(torch.equal(before[name], value) for name, value in module._expert[0].state_dict().items())
    assert not [name for name in module.state_dict() if "expert" in name]
    # Its gradient pulls made motion towards the sound: true motion is in better sync than motion of another time.
    batch = next(iter(data.val_dataloader()))
    rng = torch.Generator()
    true, late = (float(module._out_of_sync(exp, batch.controls, rng.manual_seed(0))) for exp in (batch.exp, batch.exp.roll(6, 1)))
    assert true < 0.7 * late


def test_a_random_expert_is_never_used(trained, tmp_path):
    folder, _ = trained
    with pytest.raises(PortraitError, match=r"E_WEIGHTS: weights\.sync=0\.2 needs a trained sync expert"):
        Audio2MotionModule("debug", weights=LossWeights(sync=0.2))
    with pytest.raises(PortraitError, match="E_WEIGHTS"):
        Audio2MotionModule("debug", weights=LossWeights(sync=0.2), sync_expert=str(tmp_path / "nothing"))
    config = Audio2MotionConfig.preset("debug")
    with pytest.raises(PortraitError, match="E_FACE_MODEL"):
        load_expert(str(folder / "weights"), replace(config, face_model="another"))
    with pytest.raises(PortraitError, match=r"E_WEIGHTS: the sync expert .* hears 40-wide logmel"):
        load_expert(str(folder / "weights"), replace(config, audio_width=80, face_model=FACE.fingerprint))
