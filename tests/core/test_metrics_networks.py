"""Networks of CSIM, FID and Sync against what the published implementations computed with the same made-up weights, and their loading."""

import math

import numpy as np
import pytest
import torch
from core.errors import PortraitError
from core.face.regions import LEFT_EYE, RIGHT_EYE
from core.metrics.backbones import FILES, load_backbones
from core.metrics.csim import CSIM, aligned_faces, csim, face_embeddings, similarity_to_template
from core.metrics.deep3d import SIDE, STANDARD, UNIT, Deep3D, regress, regressor_faces, split_coefficients, weak_perspective
from core.metrics.inception import FIDInception
from core.metrics.iresnet import DEPTHS, IResNet
from core.metrics.mfcc import mel_filters, mfcc
from core.metrics.sync import SyncC, SyncD, face_boxes, speaking_faces, sync, sync_embeddings
from core.metrics.syncnet import SyncNet
from scipy.spatial.transform import Rotation
from torch import nn


@torch.no_grad()
def fill(network):
    """Weights from a formula, in the order of the sorted names."""
    for i, (name, tensor) in enumerate(sorted(network.state_dict().items())):
        if tensor.is_floating_point():
            n = tensor.numel()
            wave = torch.cos(torch.arange(n, dtype=torch.float64) * (0.7 + 0.01 * (i % 7)) + i)
            if name.endswith("running_var"):
                values = 1 + 0.3 * wave
            elif tensor.ndim > 1:
                values = wave * math.sqrt(3.0 / (n / tensor.shape[0]))
            else:
                values = 1 + 0.2 * wave if name.endswith("weight") else 0.1 * wave
            tensor.copy_(values.reshape(tensor.shape).to(tensor))
    return network


def picture(*shape):
    n = math.prod(shape)
    return (0.5 + 0.5 * torch.sin(torch.arange(n, dtype=torch.float64) ** 1.3 * 0.01)).reshape(shape).float()


def test_inception_computes_what_pytorch_fid_does():
    network = FIDInception()
    fill(network.net)
    features = network(picture(1, 3, 96, 96))
    assert features.shape == (1, 2048)
    torch.testing.assert_close(features[0, :4], torch.tensor([0.4922974, 0.6215873, 0, 0]), rtol=1e-3, atol=1e-4)
    assert float(features.std()) == pytest.approx(0.1195, abs=2e-4)


def test_syncnet_computes_what_the_published_network_does():
    network = fill(SyncNet())
    seen, heard = network.see(picture(1, 3, 5, 224, 224) * 255), network.hear(picture(2, 1, 13, 20) * 4)
    torch.testing.assert_close(seen[-1, :4], torch.tensor([-0.1287661, 0.3397026, -0.2045852, 0.2826364]), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(heard[-1, :4], torch.tensor([-0.2659623, -0.4751983, -0.3456326, 0.0400393]), rtol=1e-3, atol=1e-4)


def test_iresnet_computes_what_insightface_does():
    network = fill(IResNet(DEPTHS[50]))
    embedding = network(picture(2, 3, 112, 112) * 2 - 1)
    torch.testing.assert_close(embedding[1, :4], torch.tensor([12.7785, -5.2821, -7.0592, 12.2006]), rtol=1e-3, atol=1e-2)
    assert IResNet.depths_of(network.state_dict()) == DEPTHS[50]


@pytest.mark.parametrize(("layers", "millions"), [(18, 24.03), (34, 34.14), (50, 43.59), (100, 65.15)])
def test_iresnets_have_the_published_sizes(layers, millions):
    with torch.device("meta"):
        count = sum(p.numel() for p in IResNet(DEPTHS[layers]).parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.02)


def test_similarity_to_the_template_agrees_with_scikit_image():
    from core.metrics.csim import TEMPLATE
    from skimage.transform import SimilarityTransform

    rng = np.random.default_rng(0)
    points = np.array(TEMPLATE) @ np.array([[0.9, 0.4], [-0.4, 0.9]]) * 2.5 + 40 + rng.normal(size=(5, 2))
    wanted = SimilarityTransform.from_estimate(points, np.array(TEMPLATE)).params[:2]
    np.testing.assert_allclose(similarity_to_template(points), wanted, atol=1e-9)


def template_points(side):
    """MediaPipe points whose five are ArcFace's template in the middle of a picture of ``side`` pixels."""
    from core.face.regions import LEFT_EYE, RIGHT_EYE
    from core.metrics.csim import MOUTH_CORNERS, NOSE_TIP, TEMPLATE

    points = np.full((1, 478, 3), 0.5)
    places = (np.array(TEMPLATE) + 0.5 + (side - 112) / 2) / side
    for index, place in zip((list(RIGHT_EYE), list(LEFT_EYE), NOSE_TIP, *MOUTH_CORNERS), places, strict=True):
        points[0, index, :2] = place
    return points


def test_aligned_faces_are_cut_out_pixel_by_pixel():
    image = torch.rand(1, 3, 160, 160, generator=torch.Generator().manual_seed(0))
    face = aligned_faces(image, template_points(160))
    torch.testing.assert_close(face, image[..., 24:136, 24:136] * 2 - 1, rtol=0, atol=1e-4)


def test_csim_is_the_cosine_and_leaves_out_lost_faces():
    a, b = torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.tensor([[2.0, 0.0]])
    torch.testing.assert_close(csim(a, b), torch.tensor([1.0, 0.5**0.5]))
    points = np.concatenate([template_points(112), np.full((1, 478, 3), np.nan)])
    image = torch.rand(2, 3, 112, 112)
    network = nn.Sequential(nn.AdaptiveAvgPool2d((32, 16)), nn.Flatten(), nn.Linear(1536, 512))
    found = face_embeddings(network, image, points)
    assert found[0].isfinite().all()
    assert found[1].isnan().all()
    metric = CSIM()
    metric.update(found, found[:1])
    assert float(metric.compute()) == pytest.approx(1, abs=1e-5)


def test_mfcc_agrees_with_python_speech_features():
    """Recorded from python_speech_features 0.6 for the same chirp followed by silence."""
    time = np.arange(7000) / 16000
    chirp = (0.4 * np.sin(2 * np.pi * (200 * time + 900 * time * time)) * (time < 0.3)).astype(np.float32)
    found = mfcc(chirp)
    assert found.shape == (43, 13)
    wanted = [19.1826, 31.2284, 20.9191, 10.8049, 0.141, -10.4697, -17.9325, -23.0008, -23.6804, -21.0496, -14.6932, -7.8911, -1.3963]
    np.testing.assert_allclose(found[3], wanted, atol=2e-3)
    np.testing.assert_allclose(found[40], [-36.0437] + [0] * 12, atol=1e-4)
    assert mel_filters().shape == (26, 257)
    assert mfcc(chirp[:100]).shape == (1, 13)


def test_sync_finds_the_shift():
    generator = torch.Generator().manual_seed(0)
    sound = torch.randn(60, 16, generator=generator)
    for late in (-4, 0, 3):
        picture_features = sound[20 - late : 50 - late] if late else sound[20:50]
        found = sync(picture_features, sound[20:50])
        assert found.milliseconds == 40 * late
    equal = sync(sound, sound)
    assert equal.distance == pytest.approx(16**0.5 * 1e-6, abs=1e-5)
    assert equal.confidence > 4
    confidence, distance = SyncC(), SyncD()
    confidence.update(sound, sound)
    distance.update(sound, sound)
    assert float(confidence.compute()) == pytest.approx(equal.confidence)
    assert float(distance.compute()) == pytest.approx(equal.distance)
    with pytest.raises(ValueError, match="five frames"):
        sync(sound[:0], sound[:0])


def test_sync_distances_are_those_of_a_loop():
    generator = torch.Generator().manual_seed(1)
    seen, heard = torch.randn(2, 20, 8, generator=generator)
    means = []
    for shift in range(-15, 16):
        pairs = [(seen[i], heard[i + shift] if 0 <= i + shift < 20 else torch.zeros(8)) for i in range(20)]
        means.append(np.mean([float((a - b + 1e-6).norm()) for a, b in pairs]))
    found = sync(seen, heard)
    assert found.distance == pytest.approx(min(means), rel=1e-5)
    assert found.confidence == pytest.approx(np.median(means) - min(means), rel=1e-4)
    assert found.milliseconds == -40 * (int(np.argmin(means)) - 15)


def test_speaking_faces_are_the_published_crop():
    image = torch.rand(1, 3, 400, 400, generator=torch.Generator().manual_seed(0))
    faces = speaking_faces(image, np.array([[200.5 / 400, 180 / 400, 80 / 400]]))  # 224 pixels wide: from x 88.5, y 100
    assert faces.shape == (1, 3, 224, 224)
    wanted = (image[..., 100:324, 88:312] + image[..., 100:324, 89:313]) / 2
    torch.testing.assert_close(faces, wanted.flip(1) * 255, rtol=0, atol=0.05)
    outside = speaking_faces(image, np.array([[0.0, 0.5, 0.2]]))
    torch.testing.assert_close(outside[..., :100], torch.full((1, 3, 224, 100), 110.0), rtol=0, atol=1e-3)


def test_face_boxes_are_smooth_and_filled_in():
    points = np.zeros((20, 478, 3))
    points[:, 1, :2] = (0.4, 0.2)
    points[7], points[12, :, :2] = np.nan, points[12, :, :2] + 0.3
    np.testing.assert_allclose(face_boxes(points), np.tile([0.2, 0.1, 0.2], (20, 1)))
    with pytest.raises(ValueError, match="no frame"):
        face_boxes(points * np.nan)


def test_embeddings_need_five_frames_and_their_sound():
    network = fill(SyncNet())
    faces = torch.rand(8, 3, 224, 224) * 255
    seen, heard = sync_embeddings(network, faces, np.zeros(16000, np.float32))
    assert seen.shape == heard.shape == (3, 1024)
    torch.testing.assert_close(seen[2:], network.see(faces[2:7].transpose(0, 1)[None]), rtol=1e-4, atol=1e-4)
    assert len(sync_embeddings(network, faces[:4], np.zeros(16000, np.float32))[0]) == 0


def project(angles, shift):
    """The regressor's five points in its 224 x 224 picture: turned about x and y a little, its camera far away."""
    around = Rotation.from_euler("xyz", angles).as_matrix()
    points = (np.array(STANDARD) @ around.T)[:, :2] * (1, -1)
    return points * UNIT + SIDE / 2 + shift


def test_regressor_faces_undo_shift_and_scale():
    """A picture whose colours are its coordinates, seen through the points of a face in it."""
    side = 400
    ramp = (torch.arange(side) + 0.5) / side
    picture = torch.stack(torch.broadcast_tensors(ramp[None, :], ramp[:, None], torch.tensor(0.5)))[None]
    for scale, shift in ((0.8, (60.0, 90.0)), (1.3, (40.0, 70.0))):
        corners = project((0, 0, 0), 0) * scale + shift
        points = np.full((1, 478, 3), 0.5)
        points[0, [*RIGHT_EYE], :2], points[0, [*LEFT_EYE], :2] = corners[0] / side, corners[1] / side
        points[0, [4, 61, 291], :2] = corners[2:] / side
        face = regressor_faces(picture, points)[0]
        expected = ((np.arange(SIDE) + 0.5) * scale + np.array(shift)[:, None]) / side
        inside = slice(2, 150)
        np.testing.assert_allclose(face[0, 100, inside], expected[0][inside], atol=2e-3)
        np.testing.assert_allclose(face[1, inside, 100], expected[1][inside], atol=2e-3)


def test_weak_perspective_agrees_with_the_published_equations():
    """Written out with ten equations for eight numbers, y up, as in POS of Deep3DFaceRecon_pytorch."""
    points = project((0.1, -0.3, 0.15), (7.0, -4.0))
    a, b = np.zeros((10, 8)), np.zeros(10)
    for k, (x, y, z) in enumerate(STANDARD):
        a[2 * k, :4], a[2 * k + 1, 4:] = (x, y, z, 1), (x, y, z, 1)
        b[2 * k : 2 * k + 2] = points[k, 0], SIDE - points[k, 1]
    found = np.linalg.pinv(a) @ b
    unit = (np.linalg.norm(found[:3]) + np.linalg.norm(found[4:7])) / 2
    centre, ours = weak_perspective(points)
    assert ours == pytest.approx(unit)
    np.testing.assert_allclose(centre, (found[3], SIDE - found[7]), atol=1e-9)


def test_regressor_reads_the_published_layout_and_leaves_out_lost_faces(tmp_path):
    network = fill(Deep3D())
    assert sum(p.numel() for p in network.parameters()) == 23_508_032 + 2049 * 257  # ResNet-50 without its classifier
    torch.save({"net_recon": network.state_dict(), "opt_00": {"state": {}, "param_groups": [{"lr": 1e-4}]}}, tmp_path / "deep3d.pth")
    loaded = load_backbones(tmp_path).deep3d
    image = torch.rand(2, 3, 300, 300, generator=torch.Generator().manual_seed(0))
    points = np.random.default_rng(0).uniform(0.3, 0.7, (2, 478, 3))
    points[1] = np.nan
    rows = regress(loaded, image, points)
    assert rows[1].isnan().all()
    coeffs = split_coefficients(rows[:1])
    features = network.backbone(regressor_faces(image[:1], points[:1]))
    for value, layer in ((coeffs.exp, 1), (coeffs.euler, 3), (coeffs.trans[:, :2], 5), (coeffs.trans[:, 2:], 6)):
        head = network.final_layers[layer]
        torch.testing.assert_close(value, features @ head.weight[:, :, 0, 0].T + head.bias, rtol=1e-4, atol=1e-5)
    for contents in ({"net_recon": network.final_layers.state_dict()}, {"net_recon": {"lr": 0.1}}, [1]):
        torch.save(contents, tmp_path / "deep3d.pth")
        with pytest.raises(PortraitError, match=r"E_WEIGHTS.*another network"):
            load_backbones(tmp_path)
    torch.save({"net_recon": _Evil()}, tmp_path / "deep3d.pth")
    with pytest.raises(PortraitError, match=r"E_WEIGHTS.*refused"):
        load_backbones(tmp_path)


def test_absent_weights_are_said_and_never_made_up(tmp_path):
    backbones = load_backbones(tmp_path)
    assert (backbones.lpips, backbones.inception, backbones.arcface, backbones.syncnet, backbones.deep3d) == (None,) * 5
    assert [line.split(" left out")[0] for line in backbones.absent] == [metrics for _, metrics in FILES.values()]
    with pytest.raises(PortraitError, match="E_NO_FOLDER"):
        load_backbones(tmp_path / "nowhere")


def test_weights_load_strictly_and_safely(tmp_path):
    network = fill(SyncNet())
    arrays = {name: value for name, value in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    torch.save(arrays, tmp_path / "syncnet_v2.model")
    backbones = load_backbones(tmp_path)
    torch.testing.assert_close(backbones.syncnet.netfclip[0].weight, network.netfclip[0].weight)
    assert not any(line.startswith("Sync") for line in backbones.absent)
    torch.save(arrays, tmp_path / "arcface.pth")
    with pytest.raises(PortraitError, match=r"E_WEIGHTS.*another network"):
        load_backbones(tmp_path)
    torch.save({"run": _Evil()}, tmp_path / "arcface.pth")
    with pytest.raises(PortraitError, match=r"E_WEIGHTS.*cannot be read"):
        load_backbones(tmp_path)
    arrays.pop("netfcaud.0.weight")
    (tmp_path / "arcface.pth").unlink()
    torch.save(arrays, tmp_path / "syncnet_v2.model")
    with pytest.raises(PortraitError, match="E_WEIGHTS"):
        load_backbones(tmp_path)


class _Evil:
    def __reduce__(self):
        return (print, ("executed",))
