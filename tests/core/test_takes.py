"""How made people move: the statistics against closed forms, takes against what they promise."""

import numpy as np
import pytest
import torch
from core.data.plan import FAR, PlanOptions, plan_clip
from core.face.expression import eye_opening, mouth_opening
from core.face.model import FaceModel
from core.people.geometry import Pose
from core.people.motion import FARTHEST, MAX_YAW, NEAREST, sample_pose
from core.people.procedural import make_person
from core.people.statistics import expression_motion, expression_statistics, smooth_motion
from core.people.takes import TORSO_DELAY, blinks, sample_take, torso_lag


@pytest.fixture(scope="module")
def person():
    return make_person(2, 64)


@pytest.mark.parametrize("time", [0.1, 0.5])
def test_smooth_motion_has_the_autocorrelation_that_it_claims(time):
    motion = smooth_motion(60, time, 4000, np.random.default_rng(0))
    assert abs(motion.mean()) < 0.03
    for lag in (0, 1, 3, 8):
        found = (motion[: 60 - lag] * motion[lag:]).mean()
        seconds = lag / 25
        assert found == pytest.approx((1 + seconds / time) * np.exp(-seconds / time), abs=0.03)


def test_expressions_move_as_measured():
    """Variance, and that of the speed, of both parts together; the published axes have unit variance within clips, noise included."""
    measured = expression_statistics()
    total = measured.quick**2 + measured.slow**2
    assert 0.5 < total.mean() < 1.2
    rng = np.random.default_rng(1)
    short = np.stack([expression_motion(3, rng) for _ in range(3000)])
    assert (short[:, 1] ** 2).mean(0) == pytest.approx(total, abs=0.3)
    speed = (short[:, 2] - short[:, 0]).var(0)
    alike = [(1 + 0.08 / time) * np.exp(-0.08 / time) for time in measured.times]  # over two frames
    expected = 2 * (measured.quick**2 * (1 - alike[0]) + measured.slow**2 * (1 - alike[1]))
    assert np.median(speed / expected) == pytest.approx(1, abs=0.05)


def test_take_is_continuous_and_stays_in_range(person):
    face, rng = FaceModel.embedded(), np.random.default_rng(3)
    take = sample_take(person, 60, rng)
    assert len(take) == 60
    assert np.abs(np.diff(take.euler, axis=0)).max() < np.radians(4)
    assert np.abs(take.euler[:, 1] - person.coeffs.euler[0, 1].item()).max() <= person.reach

    id, exp = person.coeffs.id.expand(60, -1), torch.from_numpy(take.exp)
    assert mouth_opening(face, id, exp).min() > -0.02
    assert mouth_opening(face, id, exp).std() > 0.005
    assert eye_opening(face, id, exp).min() > -0.02
    again = sample_take(person, 60, np.random.default_rng(3))
    assert all(np.array_equal(getattr(take, name), getattr(again, name)) for name in ("exp", "euler", "trans", "gaze", "torso_lag"))


def test_torso_follows_a_jump_exponentially(person):
    """A head that jumps sideways: the torso is behind by ``jump exp(-t / delay)``; a head at rest has it in place."""
    euler, trans = np.zeros((20, 3)), np.tile([0.0, 0.0, -3.0], (20, 1))
    trans[5:, 0] += 0.2
    lag = torso_lag(person, euler, trans, 0.2)
    assert not lag[:5].any()
    behind = -0.2 * np.exp(-(np.arange(15) + 1) / 25 / 0.2)
    assert np.abs(lag[5:, 0] - behind).max() < 1e-12
    assert not lag[:, 1:].any()
    assert not torso_lag(person, euler, trans, 0.0).any()


def test_torso_of_a_take_is_smoother_than_its_head(person):
    take = sample_take(person, 120, np.random.default_rng(0), TORSO_DELAY)
    path = np.stack([Pose.from_euler(*pose).apply(person.torso.pivot[None])[0] for pose in zip(take.euler, take.trans, strict=True)])
    torso = path + take.torso_lag
    speed = np.abs(np.diff(path, axis=0)).max(), np.abs(np.diff(torso, axis=0)).max()
    assert 0.1 * speed[0] < speed[1] < speed[0]
    assert 0.002 < np.abs(take.torso_lag).max() < 0.2


def test_blinks_close_the_eyes_now_and_then():
    amount = blinks(2500, np.random.default_rng(0))
    starts = (np.diff((amount > 0.5).astype(int)) == 1).sum()
    assert 18 < starts < 50  # in 100 seconds
    assert amount.max() <= 1
    assert (amount == 0).mean() > 0.7


def test_cameras_cover_the_sphere_as_far_as_the_person_bears_it(person):
    rng = np.random.default_rng(0)
    poses = [sample_pose(person, rng) for _ in range(400)]
    euler, trans = (np.stack(part) for part in zip(*poses, strict=True))
    own = person.coeffs.euler[0, 1].item()
    assert np.abs(euler[:, 1] - own).max() <= person.reach + 1e-6
    assert np.abs(euler[:, 1]).max() <= MAX_YAW + 1e-6
    reached = max(own - person.reach, -MAX_YAW), min(own + person.reach, MAX_YAW)
    histogram, _ = np.histogram(euler[:, 1], 7, reached)
    assert histogram.min() > 15  # the sides are not rare
    assert ((10 - trans[:, 2]) >= NEAREST - 1e-6).all()
    assert ((10 - trans[:, 2]) <= FARTHEST + 1e-6).all()
    assert np.ptp(trans[:, 2]) > 1.5


def test_plan_has_stills_and_true_triples(person):
    options = PlanOptions(frames=4, groups=2, triples=3, torso_delay=0.1)
    plan = plan_clip(person, options, np.random.default_rng(0))
    assert len(plan) == len(options) == 13
    assert np.array_equal(plan.exp[0], person.coeffs.exp[0].numpy())
    assert np.array_equal(plan.trans[0], person.coeffs.trans[0].numpy())
    middles = np.arange(5, 13, 3)
    for middle in middles:
        assert np.array_equal(plan.exp[middle - 1], plan.exp_before[middle])
        assert np.array_equal(plan.exp[middle + 1], plan.exp_after[middle])
        assert plan.time[middle - 1 : middle + 2].tolist() == [plan.time[middle] - 1, plan.time[middle], plan.time[middle] + 1]
        bend = plan.exp[middle - 1] + plan.exp[middle + 1] - 2 * plan.exp[middle]
        assert np.abs(bend).mean() < np.abs(plan.exp[middle + 1] - plan.exp[middle - 1]).mean()
    assert (np.diff(plan.time[middles]) >= FAR).all()
    assert len(set(plan.take[:4])) == 4
    assert len(set(plan.take[4:])) == 1
    assert plan.torso_lag[4:].any()
    assert not plan.torso_lag[:4].any()
