"""``TalkingClips`` and its sources: far pairs, true triples, people drawn meanwhile, the order in which they are drawn."""

from dataclasses import dataclass
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from core.data.clips import ClipOrder, ClipStore, write_store
from core.data.live import KEPT, LiveClips
from core.data.plan import PlanOptions
from core.data.talking import APART, TalkingClips, collate_pairs, far_from, neighbours
from core.errors import PortraitError
from core.people.procedural import SeedSource
from core.train.bursts import BurstSampler
from pytorch_lightning import Trainer

SIZE = 64
OPTIONS = PlanOptions(frames=4, groups=2, triples=2, torso_delay=0.1)


@dataclass(frozen=True)
class Refused:
    name: str
    split: str = "train"

    def make(self, rng: np.random.Generator) -> None:
        raise PortraitError("E_BAD_PHOTO", "blurred", "Use another.")


@pytest.fixture(scope="module")
def live():
    return LiveClips([Refused("a"), SeedSource(4, SIZE), SeedSource(6, SIZE)], SIZE, OPTIONS, seed=3)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    write_store(folder, [SeedSource(4, SIZE)], OPTIONS, SIZE, seed=3, progress=False)
    return ClipStore(folder)


def test_far_pairs_of_a_recording():
    order = ClipOrder(np.arange(121), np.zeros(121, int), np.arange(121))
    assert np.flatnonzero(far_from(order, 0)).tolist() == list(range(APART, 121))
    assert np.flatnonzero(far_from(order, 60)).tolist() == [*range(31), *range(90, 121)]
    short = ClipOrder(np.arange(9), np.zeros(9, int), np.arange(9))
    assert np.flatnonzero(far_from(short, 4)).tolist() == [0, 1, 2, 6, 7, 8]
    stills = ClipOrder(np.zeros(3, int), np.arange(3), np.zeros(3, int))
    assert far_from(stills, 1).tolist() == [True, False, True]


def test_neighbours_are_those_of_the_same_recording():
    order = ClipOrder(np.arange(6), np.array([0, 0, 0, 1, 1, 2]), np.array([7, 8, 9, 10, 11, 0]))
    before, after = neighbours(order)
    assert before.tolist() == [-1, 0, 1, -1, 3, -1]
    assert after.tolist() == [1, 2, -1, 4, -1, -1]


@pytest.mark.parametrize("kind", ["live", "store"])
def test_triples_are_consecutive_frames(kind, request):
    data = TalkingClips(request.getfixturevalue(kind), "train", seed=1, triples=True)
    pair = collate_pairs([data[0], data[1]]).to("cpu")
    assert torch.equal(pair.target.exp_before, pair.before.coeffs.exp)
    assert torch.equal(pair.target.exp_after, pair.after.coeffs.exp)
    assert pair.before.image.shape == pair.target.image.shape
    step = (pair.after.keypoints - pair.before.keypoints).abs().max()
    assert 0 < step < 0.1
    assert not torch.equal(pair.source.coeffs.exp, pair.target.coeffs.exp)
    assert (pair.target.torso_keypoints - pair.target.keypoints).abs().max() > 1e-4


def test_clips_without_three_consecutive_frames_say_so(live):
    stills = LiveClips([SeedSource(4, SIZE)], SIZE, PlanOptions(frames=3))
    with pytest.raises(ValueError, match="no three consecutive frames"):
        TalkingClips(stills, triples=True).draw(0)


def test_drawn_meanwhile_is_what_a_store_holds(live, store):
    """The same labels to the bit, the same pictures but for JPEG; whoever cannot be made gives their place to the next."""
    assert np.array_equal(live.order(0).time, store.order(0).time)
    for index in (0, 2, 5):
        drawn, read = live.frame(1, index), store.frame(0, index)
        for name in ("keypoints", "gaze", "depth", "exp_before", "exp_after", "torso_keypoints", "segmap"):
            assert torch.equal(getattr(drawn, name), getattr(read, name)), name
        assert torch.equal(drawn.camera.label, read.camera.label)
        assert torch.equal(drawn.coeffs.exp, read.coeffs.exp)
        assert (drawn.image - read.image).abs().mean() < 0.03
        assert (drawn.head_mask - read.head_mask).abs().max() <= 0.5 / 255 + 1e-6
    assert torch.equal(live.frame(0, 1).image, live.frame(1, 1).image)
    for drawn, read in zip(live.still(1), store.still(0), strict=True):
        assert (drawn - read).abs().mean() < 0.03
    assert live.face_model == store.face_model


def test_frames_depend_on_seed_and_number_only(live):
    import pickle

    other = pickle.loads(pickle.dumps(live))  # as it travels to a worker
    assert torch.equal(other.frame(1, 5).image, live.frame(1, 5).image)
    assert len(pickle.dumps(live)) < 10_000
    elsewhere = LiveClips(live.sources, SIZE, OPTIONS, seed=4)
    assert not torch.equal(elsewhere.frame(1, 5).image, live.frame(1, 5).image)


def test_nobody_left_is_an_error_that_says_why():
    with pytest.raises(PortraitError, match=r"E_NO_PEOPLE.*blurred"):
        LiveClips([Refused("a"), Refused("b")], SIZE).order(1)


def test_bursts_share_people_between_ranks_and_few_at_a_time():
    people, draws = 41, 5
    data = torch.utils.data.TensorDataset(torch.arange(people * draws))

    def run(rank: int, step: int = 0) -> Mock:
        return Mock(spec=Trainer, global_rank=rank, global_step=step, world_size=2, limit_train_batches=1.0)

    orders = [list(BurstSampler(data, 4, 7, run(rank), people)) for rank in range(2)]
    assert len(orders[0]) == len(orders[1]) == len(BurstSampler(data, 4, 7, run(0), people)) == 20 * draws
    assert not {i % people for i in orders[0]} & {i % people for i in orders[1]}
    assert len(set(orders[0])) == 20 * draws
    first = [i % people for i in orders[0][: KEPT * draws]]
    assert len(set(first)) == KEPT
    assert len(set(first[:KEPT])) > KEPT // 2  # they take turns
    assert list(BurstSampler(data, 4, 7, run(0, step=3), people)) == orders[0][12:]
    assert list(BurstSampler(data, 4, 7, run(0, step=25), people)) != orders[0]
    with pytest.raises(ValueError, match="cannot be shared"):
        BurstSampler(data, 4, 7, run(0), 1)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_processes_draw_the_same_bytes(tmp_path):
    """The DataModule's own loader with two processes that are started anew, and without any."""
    from core.train.data import ClipDataModule

    sums = []
    for workers in (0, 2):
        data = ClipDataModule(str(tmp_path / "none"), people=3, frames=4, size=SIZE, batch_size=2, pairs_per_clip=2, num_workers=workers,
                              live=True, triples=True)  # fmt: skip
        data.trainer = None
        data.prepare_data()
        sums.append([(pair.target.image.double().sum().item(), pair.person.tolist()) for pair in data.train_dataloader()])
    assert sums[0] == sums[1]
    assert len(sums[0]) == 3
    assert not (tmp_path / "none").exists()
