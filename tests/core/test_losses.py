"""Losses against closed forms."""

import math

import pytest
import torch
from core.losses.adversarial import discriminator_loss, generator_loss, r1_penalty
from core.losses.auto_weight import AutoWeight
from core.losses.laplacian import laplacian, perturb
from core.losses.reconstruction import gradient_l1, lip_crops, masked_l1
from core.losses.regularizers import density_total_variation, mask_error, resize_planes, weights_entropy


def test_adversarial_losses_at_zero_and_far_away():
    zero, far = torch.zeros(4, 1), torch.full((4, 1), 30.0)
    assert generator_loss(zero).item() == pytest.approx(math.log(2))
    assert discriminator_loss(zero, zero).item() == pytest.approx(2 * math.log(2))
    assert discriminator_loss(far, -far).item() < 1e-6
    assert generator_loss(-far).item() == pytest.approx(30.0)


def test_r1_of_a_linear_judge_is_half_its_squared_slope():
    image, raw = torch.randn(3, 3, 4, 4, requires_grad=True), torch.randn(3, 3, 2, 2, requires_grad=True)
    slope = torch.tensor(2.0, requires_grad=True)
    logits = (slope * image.flatten(1).sum(1) + raw.flatten(1).sum(1))[:, None]
    penalty = r1_penalty(logits, [image, raw])
    assert penalty.item() == pytest.approx(0.5 * (4 * 48 + 12))
    assert torch.autograd.grad(penalty, slope)[0].item() == pytest.approx(2 * 48)  # it trains the judge


def test_masked_l1_weighs_and_clamps():
    target, mask = torch.zeros(1, 3, 100, 100), torch.zeros(1, 1, 100, 100)
    mask[..., 50, 50] = 1
    image = torch.full_like(target, 0.1)
    side = 9  # 41/512 of 100 pixels, made odd
    share = side**2 / 100**2
    assert masked_l1(image, target, mask).item() == pytest.approx(0.3 * (share + 0.2 * (1 - share)), rel=1e-4)
    image[..., 0, 0] = 5.0  # one outlier counts as 0.5 at most
    more = masked_l1(image, target, mask, outside=1.0).item() - 0.3
    assert more == pytest.approx((0.5 - 0.3) / 100**2, rel=1e-2)


def test_gradient_l1_sees_edges_only():
    image = torch.randn(2, 3, 8, 8)
    assert gradient_l1(image + 0.7, image).item() == pytest.approx(0, abs=1e-6)
    step = torch.zeros(1, 1, 4, 4)
    step[..., 2:] = 1
    assert gradient_l1(step, torch.zeros_like(step)).item() == pytest.approx(1 / 3)


def test_lip_crops_follow_the_lips():
    ramp = (torch.arange(64) + 0.5) / 32 - 1
    image = torch.stack([ramp[None].expand(64, 64), ramp[:, None].expand(64, 64)])[None]  # colours are coordinates
    keypoints = torch.zeros(1, 68, 3)
    keypoints[0, 48:60, 0] = torch.linspace(0.1, 0.5, 12)
    keypoints[0, 48:60, 1] = torch.linspace(-0.2, 0.0, 12)
    crop = lip_crops(image, keypoints)
    assert crop.shape == (1, 2, 16, 16)
    torch.testing.assert_close(crop.mean((2, 3))[0], torch.tensor([0.3, -0.1]), atol=1e-4, rtol=0)
    side = (crop[0, 0].max() - crop[0, 0].min()).item() * 16 / 15
    assert side == pytest.approx(1.2 * 0.4, rel=0.01)


def test_lip_crops_of_half_precision_pictures_are_cut_exactly():
    """Noise would show places that are rounded."""
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 256, 256, generator=generator).bfloat16()
    keypoints = torch.zeros(1, 68, 3)
    keypoints[0, 48:60, :2] = 0.6 + 0.3 * torch.rand(12, 2, generator=generator)
    torch.testing.assert_close(lip_crops(image, keypoints), lip_crops(image.float(), keypoints))


class LinearField:
    """Density that grows along x: its variation is the mean of |N(0, distance)|."""

    def density(self, planes, points):
        self.points = points
        return 7.0 * points[..., 0] + planes.mean()


def test_density_variation_of_a_linear_field():
    planes = torch.zeros(2, 3, 1, 2, 2)
    field = LinearField()
    found = density_total_variation(field, planes, 0.76, torch.Generator().manual_seed(0), count=20000, distance=0.01).item()
    assert found == pytest.approx(7 * 0.01 * math.sqrt(2 / math.pi), rel=0.03)
    points = field.points[:, :20000]
    assert points.abs().max().item() == pytest.approx(0.38, rel=1e-3)
    assert points.std().item() == pytest.approx(0.76 / math.sqrt(12), rel=0.01)


def test_mask_error_weighs_head_and_rest_alike():
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., 0, 0] = 1
    weights = torch.full_like(mask, 0.25)
    assert mask_error(weights, mask).item() == pytest.approx(0.75**2 + 0.25**2)
    assert mask_error(mask, mask).item() == 0
    assert mask_error(weights, torch.zeros_like(mask)).item() == pytest.approx(0.25**2)


def test_entropy_in_bits():
    assert weights_entropy(torch.full((1, 1, 2, 2), 0.5)).item() == pytest.approx(1.0)
    assert weights_entropy(torch.tensor([[[[0.0, 1.0]]]])).item() < 1e-3


def test_resized_planes_keep_their_content():
    ramp = torch.linspace(0, 1, 32)[None].expand(1, 3, 2, 32, 32)
    sizes = {resize_planes(ramp, torch.Generator().manual_seed(s)).shape[-1] for s in range(40)}
    assert min(sizes) >= 16
    assert max(sizes) <= 32
    assert len(sizes) > 8
    small = resize_planes(ramp, torch.Generator().manual_seed(0))
    torch.testing.assert_close(small.mean((3, 4)), ramp.mean((3, 4)), atol=1e-3, rtol=0)


def test_laplacian_vanishes_on_straight_motion():
    a, b = torch.randn(2, 3, 4, 5, 5), torch.randn(2, 3, 4, 5, 5)
    assert laplacian(a, (a + b) / 2, b).item() == pytest.approx(0, abs=1e-12)
    one = torch.ones(1, 3, 1, 2, 2)
    assert laplacian(one, 3 * one, one).item() == 4
    assert laplacian(one, 3 * one, one, power=1).item() == 2


def test_perturbation_is_small_and_seeded():
    codes = torch.zeros(100, 64)
    first, second = (perturb(codes, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)
    assert first.std().item() == pytest.approx(0.01, rel=0.05)


def test_auto_weight_follows_its_formula_between_its_limits():
    weight, expected = AutoWeight(target=0.15, limit=0.05), 0.001
    for loss in (1.5, 0.7, 20.0, 1e3, 1e3, 1e-4, 0.15, 1e-9):
        weight.update(torch.tensor(loss))
        expected = min(max(expected + 0.01 * (math.log10(loss) - math.log10(0.15)), 0.0), 0.05)
        assert weight.value.item() == pytest.approx(expected, abs=1e-7)


def test_auto_weight_survives_a_checkpoint_and_bad_losses():
    weight = AutoWeight(target=0.15, limit=2.0)
    weight.update(torch.tensor(1.5))
    kept = weight.value.item()
    for bad in (float("nan"), float("inf")):
        weight.update(torch.tensor(bad))
    assert weight.value.item() == kept == pytest.approx(0.011)
    again = AutoWeight(target=0.15, limit=2.0)
    again.load_state_dict(weight.state_dict())
    assert again.value.item() == kept
    assert not list(weight.parameters())
