"""Perceptual loss: same features as torchvision's networks, absent weights are said and never invented."""

import pytest
import torch
import torchvision
from core.errors import PortraitError
from core.losses.perceptual import VGG19_FILE, VGGFACE_FILE, WEIGHTS, PerceptualLoss, VGGFeatures, build_perceptual
from torch import nn
from torchvision.models.feature_extraction import create_feature_extractor

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture(scope="module")
def vgg19():
    torch.manual_seed(0)
    network = torchvision.models.vgg19(weights=None).features
    return nn.Sequential(*list(network.children())).eval()


@pytest.fixture(scope="module")
def features(vgg19):
    own = VGGFeatures("vgg19", MEAN, STD, 1.0)
    own.load_arrays({f"features.{name}": value for name, value in vgg19.state_dict().items()})
    return own


def test_features_are_torchvisions(vgg19, features):
    image = torch.rand(1, 3, 48, 48)
    names = {"1": "a", "6": "b", "11": "c", "20": "d", "29": "e"}  # relu1_1 ... relu5_1 of VGG19
    normal = (image - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
    expected = create_feature_extractor(vgg19, names)(normal)
    for mine, theirs in zip(features(image), expected.values(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-4)


def test_distance_is_the_weighted_sum_with_three_coarser_scales(features):
    a, b = torch.rand(1, 3, 128, 128) * 2 - 1, torch.rand(1, 3, 128, 128) * 2 - 1
    loss = PerceptualLoss(features, size=None)
    x, y = (a + 1) / 2, (b + 1) / 2
    expected = sum(w * (p - q).abs().mean() for w, p, q in zip(WEIGHTS, features(x), features(y), strict=True))
    for _ in range(3):
        x, y = (nn.functional.avg_pool2d(v, 2) for v in (x, y))  # bilinear halving of an even image
        expected = expected + (features(x)[-1] - features(y)[-1]).abs().mean()
    torch.testing.assert_close(loss(a, b), expected, atol=1e-5, rtol=1e-4)
    assert loss(a, a).item() == 0
    leaf = a.clone().requires_grad_()
    loss(leaf, b).backward()
    assert leaf.grad.abs().sum() > 0
    assert not any(p.requires_grad for p in loss.parameters())


def test_files_are_read_and_missing_ones_said(tmp_path, vgg19, monkeypatch):
    torch.save({f"features.{k}": v for k, v in vgg19.state_dict().items()}, tmp_path / VGG19_FILE)
    with pytest.warns(UserWarning, match="without VGGFace"):
        loss = build_perceptual(tmp_path)
    assert loss is not None
    assert loss.vggface is None
    with pytest.raises(PortraitError, match="E_WEIGHTS"):
        build_perceptual(tmp_path / "nowhere")
    (tmp_path / VGGFACE_FILE).write_bytes(b"damaged")
    with pytest.raises(PortraitError, match="cannot be read"):
        build_perceptual(tmp_path)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "empty"))
    with pytest.warns(UserWarning, match="without the perceptual term"):
        assert build_perceptual() is None


def test_other_networks_are_refused(features):
    with pytest.raises(PortraitError, match="another network"):
        VGGFeatures("vgg16", MEAN, STD, 1.0).load_arrays(
            {f"{i}.weight": conv.weight for i, conv in enumerate(c for stage in features.stages for c in stage)}
        )
