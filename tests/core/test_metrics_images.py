"""L1, PSNR, SSIM, LPIPS, FID, flicker, mouth sharpness, neck seam, against closed forms, scikit-image and scipy."""

import numpy as np
import pytest
import torch
from core.errors import PortraitError
from core.face.model import FaceModel
from core.face.regions import LM68
from core.metrics.edges import MouthSharpness, NeckSeamEnergy, gradient_energy, mouth_sharpness, neck_seam_energy, seam_mask
from core.metrics.fid import FID, fid
from core.metrics.flicker import Flicker, flicker
from core.metrics.lpips import LPIPS, lpips, lpips_network
from core.metrics.pixels import CAP, L1, PSNR, SSIM, l1, psnr, ssim
from core.metrics.running_mean import RunningMean
from core.metrics.steady import MARGIN, steady_mask
from scipy.ndimage import binary_dilation


@pytest.fixture(scope="module")
def pair():
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(4, 3, 40, 48, generator=generator)
    return image, (image + 0.1 * torch.randn(image.shape, generator=generator)).clamp(0, 1)


@pytest.fixture(scope="module")
def face_points():
    """The mean face of the embedded model, in the middle of a square picture, twice."""
    face = FaceModel.embedded()
    points = face.mean[face.keypoints468].numpy()[:, :2] * np.array([1, -1])
    points = points / np.ptp(points[:, 1]) * 0.5
    return np.stack([points - points.mean(0) + 0.5] * 2)


def test_l1_and_psnr_of_a_constant_error():
    black, grey = torch.zeros(2, 3, 8, 8), torch.full((2, 3, 8, 8), 0.1)
    torch.testing.assert_close(l1(black, grey), torch.full((2,), 0.1))
    torch.testing.assert_close(psnr(black, grey), torch.full((2,), 20.0))
    assert psnr(black, black).tolist() == [CAP, CAP]


def test_psnr_and_ssim_agree_with_scikit_image(pair):
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    image, target = pair
    for a, b, ours_p, ours_s in zip(image, target, psnr(*pair), ssim(*pair), strict=True):
        a, b = (x.permute(1, 2, 0).double().numpy() for x in (a, b))
        assert float(ours_p) == pytest.approx(peak_signal_noise_ratio(b, a, data_range=1.0), abs=1e-4)
        wanted = structural_similarity(b, a, data_range=1.0, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
        assert float(ours_s) == pytest.approx(wanted, abs=1e-4)


def test_ssim_is_the_same_in_mixed_precision(pair):
    """Smooth pictures: their variances are lost where means and squares are rounded to half precision."""
    smooth = torch.linspace(0.4, 0.6, 48).expand(2, 3, 40, 48)
    with torch.autocast("cpu", torch.bfloat16):
        found = ssim(smooth, smooth + 0.01), ssim(*pair)
    for value, expected in zip(found, (ssim(smooth, smooth + 0.01), ssim(*pair)), strict=True):
        torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("function", [l1, psnr, ssim])
def test_pixels_outside_the_mask_do_not_count(function, pair):
    image, target = pair
    mask = torch.zeros(1, 1, 40, 48)
    mask[..., 5:30, 10:44] = 1
    spoilt = torch.where(mask > 0, image, 1 - target)
    wanted = function(image[..., 5:30, 10:44], target[..., 5:30, 10:44])  # as if the rest had been cut off
    torch.testing.assert_close(function(spoilt, target, mask), wanted)
    assert not torch.allclose(function(spoilt, target), wanted, rtol=1e-2)


@pytest.mark.parametrize(("kind", "function"), [(L1, l1), (PSNR, psnr), (SSIM, ssim)])
def test_classes_are_means_over_frames_however_they_come(kind, function, pair):
    image, target = pair
    parts = [kind(), kind()]
    parts[0].update(image[:1], target[:1])
    parts[1].update(image[1:], target[1:])
    assert float(joined(parts).compute()) == pytest.approx(float(function(image, target).mean()), rel=1e-6)


def joined(parts):
    """What DDP makes of the states of several ranks: every state through its own reduction."""
    whole = parts[0]
    for name, reduce in whole._reductions.items():
        setattr(whole, name, reduce(torch.stack([getattr(part, name) for part in parts])))
    return whole


def test_lost_frames_are_left_out():
    class Plain(RunningMean):
        def update(self, values):
            self.add(values)

    mean = Plain()
    mean.update(torch.tensor([1.0, torch.nan, 3.0]))
    assert float(mean.compute()) == 2.0
    mean.reset()
    mean.update(torch.tensor([torch.nan]))
    assert mean.compute().isnan()


def test_lpips_looks_through_the_given_weights():
    from torchvision.models import alexnet

    torch.manual_seed(0)
    arrays = alexnet(weights=None).state_dict()
    network = lpips_network(arrays)
    torch.testing.assert_close(network.net.slice3.state_dict()["6.weight"], arrays["features.6.weight"])
    generator = torch.Generator().manual_seed(0)
    image, target = torch.rand(2, 2, 3, 64, 64, generator=generator)
    distance = lpips(network, image, target)
    torch.testing.assert_close(distance, written_out_lpips(arrays, network, image, target), rtol=1e-4, atol=1e-6)
    assert lpips(network, image, image).abs().max() < 1e-6
    metric = LPIPS(network)
    metric.update(image, target)
    assert float(metric.compute()) == pytest.approx(float(distance.mean()), rel=1e-5)
    with pytest.raises(PortraitError, match="E_WEIGHTS"):
        lpips_network({"features.0.weight": torch.zeros(3, 3)})


def written_out_lpips(arrays, network, image, target):
    """The formula of Zhang et al. 2018, Eq. 1, with AlexNet from its description; only the calibrated weights are torchmetrics'."""
    from torch.nn import functional as F

    total = 0
    a, b = (((x * 2 - 1) - torch.tensor([-0.030, -0.088, -0.188]).view(3, 1, 1)) for x in (image, target))
    a, b = (x / torch.tensor([0.458, 0.448, 0.450]).view(3, 1, 1) for x in (a, b))
    for k, (index, stride, pad, pool) in enumerate(
        [(0, 4, 2, False), (3, 1, 2, True), (6, 1, 1, True), (8, 1, 1, False), (10, 1, 1, False)]
    ):
        weight, bias = arrays[f"features.{index}.weight"], arrays[f"features.{index}.bias"]
        a, b = (F.relu(F.conv2d(F.max_pool2d(x, 3, 2) if pool else x, weight, bias, stride, pad)) for x in (a, b))
        difference = (F.normalize(a) - F.normalize(b)).square()
        total = total + (difference * network.lins[k].model[-1].weight[0]).sum(1).mean((1, 2))
    return total


@pytest.mark.parametrize("numbers", [(5, 9), (40, 30)])  # fewer and more pictures than features
def test_fid_agrees_with_the_matrix_square_root(numbers):
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(0)
    fake, real = (rng.normal(size=(n, 12)) @ rng.normal(size=(12, 12)) + shift for n, shift in zip(numbers, (0, 0.5), strict=True))
    root = sqrtm(np.cov(fake.T) @ np.cov(real.T) + 0j)
    wanted = np.sum((fake.mean(0) - real.mean(0)) ** 2) + np.trace(np.cov(fake.T) + np.cov(real.T) - 2 * root.real)
    fake, real = torch.from_numpy(fake), torch.from_numpy(real)
    assert float(fid(fake, real)) == pytest.approx(wanted, rel=1e-4)
    ranks = [FID(12), FID(12)]
    for rank, metric in enumerate(ranks):
        metric.update(fake[rank::2], real=False)
        metric.update(real[rank::2], real=True)
    assert float(joined(ranks).compute()) == pytest.approx(wanted, rel=1e-4)


def test_fid_of_shifted_copies_is_the_squared_shift():
    features = torch.randn(20, 8, generator=torch.Generator().manual_seed(0))
    assert float(fid(features, features)) == pytest.approx(0, abs=1e-9)
    assert float(fid(features + 2, features)) == pytest.approx(4 * 8, rel=1e-6)
    with pytest.raises(PortraitError, match="E_FID"):
        fid(features[:1], features)


def test_flicker_of_fades_and_flashes():
    fade = torch.linspace(0, 1, 11).view(-1, 1, 1, 1).expand(-1, 3, 4, 4)
    assert float(flicker(fade).abs().max()) < 1e-4
    flash = torch.zeros(5, 3, 4, 4)
    flash[2] = 10 / 255
    torch.testing.assert_close(flicker(flash), torch.tensor([10.0, 20.0, 10.0]), rtol=1e-5, atol=1e-4)
    assert len(flicker(flash[:2])) == 0
    metric = Flicker()
    metric.update(flash[:4])
    metric.update(flash[2:])
    assert float(metric.compute()) == pytest.approx(40 / 3, rel=1e-4)


def test_gradient_energy_of_ramps():
    ramp = torch.arange(16.0).view(1, 1, 1, 16).expand(1, 3, 16, 16) * 3 / 255
    assert float(gradient_energy(ramp)) == pytest.approx(3, rel=1e-4)
    both = ramp + 4 / 3 * ramp.transpose(2, 3)
    assert float(gradient_energy(both)) == pytest.approx(5, rel=1e-4)
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., :8] = 1
    half = torch.where(torch.arange(16) < 9, ramp, 0.0)
    assert float(gradient_energy(half, mask)) == pytest.approx(3, rel=1e-4)


def test_mouth_sharpness_sees_blur_in_the_mouth_only(face_points):
    from torchvision.transforms.functional import gaussian_blur

    noise = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    lips = face_points[0, list(LM68[48:60])]
    low, high = (lips.min(0) * 128 - 4).astype(int), (lips.max(0) * 128 + 4).astype(int)
    elsewhere, mouth = noise.clone(), noise.clone()
    soft = gaussian_blur(noise, [9, 9], [2.0, 2.0])
    mouth[..., low[1] - 6 : high[1] + 6, low[0] - 6 : high[0] + 6] = soft[..., low[1] - 6 : high[1] + 6, low[0] - 6 : high[0] + 6]
    elsewhere[..., : low[1] - 8, :] = soft[..., : low[1] - 8, :]
    sharp = mouth_sharpness(noise, face_points)
    torch.testing.assert_close(mouth_sharpness(elsewhere, face_points), sharp, rtol=0.02, atol=0)
    assert (mouth_sharpness(mouth, face_points) < 0.6 * sharp).all()
    lost = face_points.copy()
    lost[1] = np.nan
    metric = MouthSharpness()
    metric.update(noise, lost)
    assert float(metric.compute()) == pytest.approx(float(sharp[0]))


def test_neck_seam_energy_counts_edges_below_the_jaw_only(face_points):
    mask = seam_mask(face_points[0], 128)
    rows = np.flatnonzero(mask.any(1))
    chin = face_points[0, 152, 1] * 128
    assert chin - 25 < rows.min() < chin < rows.max() < chin + 0.4 * 64
    plain = torch.full((2, 3, 128, 128), 0.5)
    assert neck_seam_energy(plain, face_points).abs().max() < 1e-4
    forehead, neck = plain.clone(), plain.clone()
    forehead[:, :, : int(face_points[0, 10, 1] * 128) + 2] = 1
    neck[:, :, int(chin) + 5 :] = 1
    assert neck_seam_energy(forehead, face_points).abs().max() < 1e-4
    row = mask[int(chin) + 4, :-1].sum()
    wanted = 127.5 * np.sqrt(row / mask[:-1, :-1].sum())
    torch.testing.assert_close(neck_seam_energy(neck, face_points), torch.full((2,), float(wanted)), rtol=1e-4, atol=0)
    metric = NeckSeamEnergy()
    metric.update(neck, face_points)
    assert float(metric.compute()) == pytest.approx(wanted, rel=1e-4)


def test_steady_places_are_those_that_never_move():
    rng = np.random.default_rng(0)
    frames = np.full((6, 64, 64, 3), 100, np.uint8) + rng.integers(0, 8, (6, 64, 64, 3), dtype=np.uint8)  # noise alone is steady
    for number in range(6):
        frames[number, 20:30, 10 + number : 20 + number, 1] = 250
    mask = steady_mask(iter(frames))
    moving = np.zeros((64, 64), bool)
    moving[19:31, 9:26] = True  # 3 x 3 means reach a pixel further
    expected = 1 - binary_dilation(moving, np.ones((2 * MARGIN + 1, 2 * MARGIN + 1)))
    np.testing.assert_array_equal(mask, expected)
    assert steady_mask(iter([])) is None
