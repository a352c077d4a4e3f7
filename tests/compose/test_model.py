"""HTB-SR: what it does before training, what depends on what, weights on disk."""

from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from compose import HTBSR, HTBSRConfig
from compose.box import Box
from compose.lookback import LookBack
from compose.model import SourceFeatures
from core.nn.superres import SuperResolution
from recon import HeadRendererConfig
from torch import nn
from torch.nn import functional as F

DEBUG = replace(HTBSRConfig.preset("debug"), head_skip=False)
PUBLISHED = replace(DEBUG, warp_skip=False, final_composite=False)
VARIANTS = {
    "debug": DEBUG,
    "published": PUBLISHED,
    "concat": replace(PUBLISHED, fuse="concat"),
    "release": replace(PUBLISHED, torso="v2", fuse="v2"),
    "warp only": replace(DEBUG, final_composite=False),
    "composite only": replace(DEBUG, warp_skip=False),
    "layered v2": replace(DEBUG, torso="v2", fuse="v2"),
}


def network(config: HTBSRConfig = DEBUG) -> HTBSR:
    torch.manual_seed(0)
    return HTBSR(config).eval()


def source(size: int = 64) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    torso = torch.full((1, 3, size, size), -1.0)
    segmap = torch.zeros(1, 6, size, size)
    segmap[:, 0] = 1
    rows, columns = slice(size * 5 // 8, None), slice(size // 4, size * 3 // 4)
    torso[..., rows, columns] = torch.rand(1, 3, size * 3 // 8, size // 2, generator=generator) * 1.8 - 0.9
    segmap[:, 0, rows, columns], segmap[:, 4, rows, columns] = 0, 1
    background = torch.rand(1, 3, size, size, generator=generator) * 2 - 1
    return {"torso_image": torso, "segmap": segmap, "background": background}


def frame(config: HTBSRConfig = DEBUG, head: bool = True) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    size = config.raw_size
    weights = torch.zeros(1, 1, size, size)
    if head:
        weights[..., size // 8 : size // 2, size * 3 // 8 : size * 5 // 8] = 0.97
    feature = torch.randn(1, config.feature_channels, size, size, generator=generator) * weights - (1 - weights)
    keypoints = torch.rand(1, 68, 3, generator=generator) - 0.5
    keypoints[..., 2] = 0
    return {"feature": feature, "weights": weights, "kp_src": keypoints, "kp_drv": keypoints}


@pytest.mark.parametrize("name", VARIANTS)
def test_shapes_and_gradients(name: str):
    config = VARIANTS[name]
    model = network(config).train()
    given = frame(config)
    given["feature"] = given["feature"].repeat(2, 1, 1, 1).requires_grad_()
    given["weights"] = given["weights"].repeat(2, 1, 1, 1).requires_grad_()
    given["kp_src"], given["kp_drv"] = given["kp_src"].repeat(2, 1, 1), given["kp_drv"].repeat(2, 1, 1) + 0.1
    prepared = model.prepare(**{key: value.repeat(2, 1, 1, 1) for key, value in source().items()})
    result = model(given["feature"], given["weights"], prepared, given["kp_src"], given["kp_drv"])
    side = config.image_size if config.warp_skip else config.torso_size
    assert result.image.shape == (2, 3, 64, 64)
    assert result.torso_rgb.shape == (2, 3, side, side)
    assert result.torso_mask.shape == (2, 1, side, side)
    assert result.deformation.shape == (2, 3, 8, 8, 3)
    target = torch.rand(2, 3, 64, 64)
    loss = (result.image - target).square().mean() + result.occlusion.mean() + result.torso_mask.mean() + result.torso_rgb.mean()
    loss.backward()
    assert given["weights"].grad is None  # M_head is detached
    assert given["feature"].grad.abs().sum() > 0
    silent = {key.rsplit(".", 1)[0] for key, value in model.named_parameters() if value.grad is None}
    rgb = "superres.block0.to_rgb"
    assert silent == ({rgb, f"{rgb}.affine"} if name == "concat" else set())  # the ablation has no image skip


def test_untrained_composite_shows_the_untouched_background():
    model, given = network(), source()
    with torch.no_grad():
        image = model(**frame(head=False), source=model.prepare(**given)).image
    outside = (given["segmap"][:, :1] == 1).expand_as(image)
    assert outside.float().mean() > 0.5
    torch.testing.assert_close(image[outside], given["background"][outside], atol=1e-3, rtol=0)


def test_untrained_torso_is_the_source_torso_moved_with_the_key_points():
    model, given, drive = network(), source(), frame(head=False)
    pixels = torch.tensor([6, -4])
    with torch.no_grad():
        prepared = model.prepare(**given)
        drive["kp_drv"] = drive["kp_src"] + F.pad(pixels * (2 / 64), (0, 1))
        result = model(**drive, source=prepared)
    moved = given["torso_image"].roll((-4, 6), (2, 3))
    inside = (slice(None), slice(None), slice(40, 58), slice(26, 50))  # well within the moved torso
    assert (result.image[inside] - moved[inside]).abs().mean() < 0.03
    assert (result.image[inside] - given["torso_image"][inside]).abs().mean() > 0.3
    assert result.torso_mask[inside].min() > 0.98


def test_untrained_head_is_the_stage_2_head():
    model, drive = network(), frame()
    with torch.no_grad():
        image = model(**drive, source=model.prepare(**source())).image
        head = model.superres(drive["feature"][:, :3], drive["feature"])
    inside = (slice(None), slice(None), slice(12, 28), slice(28, 36))
    torch.testing.assert_close(image[inside], head[inside], atol=0.02, rtol=0)


def test_published_path_is_equation_5_by_hand():
    model, drive = network(PUBLISHED), frame()
    with torch.no_grad():
        prepared = model.prepare(**source())
        result = model(**drive, source=prepared)
        head, head_rgb = model.superres.block0(drive["feature"], drive["feature"][:, :3])
        chosen = list(PUBLISHED.keypoints)
        torso = model.torso(prepared.torso, drive["kp_src"][:, chosen], drive["kp_drv"][:, chosen])
        w = F.interpolate(drive["weights"], size=(32, 32), mode="bilinear", align_corners=False)
        h = w.clone()
        h[w > 0.9] = 1
        p = (h + torso.mask).clamp(0, 1)
        x_torso = model.torso_features(torso.hidden)
        small = F.interpolate(source()["background"], size=(32, 32), mode="bilinear", antialias=True)
        rgb = (head_rgb * w + torso.image * (1 - w)) * p + small * (1 - p)
        x = torch.cat([(head * w + x_torso * (1 - w)) * p, model.background(small) * (1 - p)], 1)
        expected = model.superres.block1(model.mix(x), rgb)[1]
    torch.testing.assert_close(result.image, expected)


def test_drawing_only_the_head_box_changes_nothing(monkeypatch):
    config = replace(DEBUG, image_size=256, raw_size=64, torso_size=64)
    model, given = network(config), source(256)
    for parameter in model.mix.parameters():
        nn.init.normal_(parameter, std=0.3)
    drive = frame(config)
    with torch.no_grad():
        prepared = model.prepare(**given)
        boxed = model(**drive, source=prepared).image
        monkeypatch.setattr(Box, "around", lambda mask, margin: Box.whole(mask))
        whole = model(**drive, source=prepared).image
    torch.testing.assert_close(boxed, whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["debug", "release"])
def test_one_preparation_serves_a_batch_of_sources(name: str):
    config = VARIANTS[name]
    model, given, drive = network(config), source(), frame(config)
    two = {key: torch.cat([value, value.flip(3)]) for key, value in given.items()}
    pair = {key: value.repeat(2, *[1] * (value.ndim - 1)) for key, value in drive.items()}
    with torch.no_grad():
        both = model(**pair, source=model.prepare(**two)).image
        second = model(**drive, source=model.prepare(**{key: value[1:] for key, value in two.items()})).image
    torch.testing.assert_close(both[1:], second, atol=1e-5, rtol=1e-4)


def test_one_source_serves_many_frames():
    model, drive = network(), frame()
    pair = {key: torch.cat([value, value * 0.9]) for key, value in drive.items() if key != "kp_src"}
    with torch.no_grad():
        prepared = model.prepare(**source())
        both = model(**pair, kp_src=drive["kp_src"], source=prepared).image
        second = model(**{key: value[1:] for key, value in pair.items()}, kp_src=drive["kp_src"], source=prepared).image
    torch.testing.assert_close(both[1:], second, atol=1e-5, rtol=1e-4)


def test_source_features_do_not_depend_on_the_frame():
    model = network()
    prepared = model.prepare(**source())
    assert isinstance(prepared, SourceFeatures)
    with torch.no_grad():
        first = model(**frame(), source=prepared).image
        model(**(frame() | {"kp_drv": frame()["kp_drv"] + 0.2}), source=prepared)
        again = model(**frame(), source=prepared).image
    assert torch.equal(first, again)


def test_learns_to_light_the_torso():
    model, given, drive = network().train(), source(), frame(head=False)
    lit = given["background"].lerp(given["torso_image"] + 0.3, given["segmap"][:, 4:5])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    errors = []
    for _ in range(30):
        error = (model(**drive, source=model.prepare(**given)).image - lit).abs().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < 0.5 * errors[0]


def test_given_torso_mask_is_used():
    model, given = network(), source()
    given["torso_mask"] = torch.zeros(1, 1, 64, 64)
    with torch.no_grad():
        image = model(**frame(head=False), source=model.prepare(**given)).image
    torch.testing.assert_close(image, given["background"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", [*VARIANTS, "head skip"])
def test_folding_is_exact_and_training_takes_it_back(name: str):
    config = VARIANTS.get(name, replace(DEBUG, head_skip=True))
    model, drive = network(config), frame(config)
    for parameter in model.mix.parameters():
        nn.init.normal_(parameter, std=0.3)
    layers = source()
    if config.head_skip:
        layers |= {"head_image": source()["background"].flip(3), "head_mask": torch.rand(1, 1, 64, 64).round()}
        place = torch.rand(1, 16, 16, 2) * 2 - 1
        drive["view"] = LookBack(
            place, torch.rand(1, 1, 32, 32), torch.ones(1, 1, 32, 32), torch.rand(1, 1, 32, 32).round(), torch.zeros(1, 2, 32, 32)
        )
    with torch.no_grad():
        plain = model(**drive, source=model.prepare(**layers)).image
        folded = model.fold()(**drive, source=model.prepare(**layers)).image
        torch.testing.assert_close(folded, plain, atol=1e-5, rtol=1e-4)
        prepared = model.prepare(**layers)
        again = model.train().eval()(**drive, source=prepared).image  # features of a folded network serve an unfolded one
    torch.testing.assert_close(again, plain, atol=1e-5, rtol=1e-4)
    assert model.mixer is None
    assert model.torso.plain is None


@pytest.mark.parametrize("skip", [False, True], ids=["drawn head", "head skip"])
def test_features_in_bfloat16_keep_the_picture_and_float32_layers(skip: bool):
    config = replace(DEBUG, head_skip=skip)
    model, drive, layers = network(config), frame(config), source()
    for parameter in model.mix.parameters():
        nn.init.normal_(parameter, std=0.1)
    if skip:
        layers |= {"head_image": source()["background"].flip(3), "head_mask": torch.rand(1, 1, 64, 64).round()}
        drive["view"] = LookBack(
            torch.rand(1, 16, 16, 2) * 2 - 1,
            torch.rand(1, 1, 32, 32),
            torch.ones(1, 1, 32, 32),
            torch.rand(1, 1, 32, 32).round(),
            torch.zeros(1, 2, 32, 32),
        )
    with torch.no_grad():
        expected = model.fold()(**drive, source=model.prepare(**layers))
        found = model.fold(torch.bfloat16)(**drive, source=model.prepare(**layers))
        again = model(**drive, source=model.prepare(**layers))
    assert all(getattr(found, each.name).dtype == torch.float32 for each in fields(found))
    assert torch.equal(found.deformation, expected.deformation)  # motion is not rounded
    assert torch.equal(found.image, again.image)
    error = (found.image.clamp(-1, 1) - expected.image.clamp(-1, 1)) / 2
    assert 0 < error.square().mean() < 10**-4.5  # at least 45 dB, and something was rounded


@pytest.mark.parametrize("changes", [{}, {"fuse": "v2", "torso": "v2"}, {"fuse": "concat"}], ids=["v1", "v2", "concat"])
def test_published_fusions_fold_and_may_be_bfloat16(changes: dict):
    config = replace(DEBUG, head_skip=False, final_composite=False, warp_skip=False, **changes)
    model, drive, layers = network(config), frame(config), source()
    with torch.no_grad():
        expected = model(**drive, source=model.prepare(**layers))
        plain = model.fold()(**drive, source=model.prepare(**layers))
        found = model.fold(torch.bfloat16)(**drive, source=model.prepare(**layers))
    torch.testing.assert_close(plain.image, expected.image, atol=1e-4, rtol=0)
    assert all(getattr(found, each.name).dtype == torch.float32 for each in fields(found))
    assert torch.equal(found.deformation, plain.deformation) or config.torso == "v2"  # which looks at the drawn head
    error = (found.image.clamp(-1, 1) - expected.image.clamp(-1, 1)) / 2
    assert 0 < error.square().mean() < 10**-4.5  # at least 45 dB, and something was rounded


@pytest.mark.parametrize("preset", ["debug", "tiny", "paper"])
def test_presets_fit_the_renderer_of_stage_2(preset: str):
    mine, theirs = HTBSRConfig.preset(preset), HeadRendererConfig.preset(preset)
    sizes = (theirs.volume.features, theirs.channels, theirs.w_dim, theirs.raw_size)
    assert (mine.feature_channels, mine.sr_channels, mine.style_channels, mine.raw_size) == sizes


def test_takes_over_the_super_resolution_of_stage_2():
    model, stage2 = network(), nn.Module()
    stage2.superres = SuperResolution(DEBUG.feature_channels, DEBUG.sr_channels, DEBUG.style_channels)
    assert model.init_from_renderer(stage2) == []
    assert torch.equal(model.superres.block1.conv0.weight, stage2.superres.block1.conv0.weight)
    stage2.superres = SuperResolution(DEBUG.feature_channels, (16, 4), DEBUG.style_channels)
    assert all(name.startswith("block1") for name in model.init_from_renderer(stage2))


@pytest.mark.parametrize("name", ["debug", "release"])
def test_weights_on_disk(tmp_path: Path, name: str):
    model = network(VARIANTS[name])
    drive = frame()
    model.save_pretrained(tmp_path)
    again = HTBSR.from_pretrained(tmp_path)
    assert again.config == model.config
    with torch.no_grad():
        images = [each(**drive, source=each.prepare(**source())).image for each in (model, again)]
    torch.testing.assert_close(*images)


def test_half_precision_weights_stay_close(tmp_path: Path):
    model, drive = network(), frame()
    model.save_half(tmp_path)
    again = HTBSR.from_pretrained(tmp_path)
    assert {tensor.dtype for tensor in again.parameters()} == {torch.float32}
    with torch.no_grad():
        images = [each(**drive, source=each.prepare(**source())).image for each in (model, again)]
    torch.testing.assert_close(*images, atol=0.05, rtol=0)
