"""The photograph laid over the drawn head: limits, cropping, gradients."""

from dataclasses import replace

import pytest
import torch
from compose import HTBSR, HTBSRConfig
from compose.box import Box
from compose.fusion import over
from compose.head_skip import DOUBT, LASHES, HeadSkip, head_layer, trusted_torch
from compose.lookback import LookBack
from compose.trust_numba import trusted
from core.face.lids import EDGES
from core.face.model import FaceModel
from torch import nn

CONFIG = HTBSRConfig.preset("debug")


def network(trust: float, config: HTBSRConfig = CONFIG) -> HTBSR:
    torch.manual_seed(0)
    model = HTBSR(config).eval()
    nn.init.constant_(model.head_skip.judge[-1].bias, trust)
    return model


def inputs(config: HTBSRConfig = CONFIG, seen: float = 1.0) -> tuple[dict, dict]:
    """Arguments of ``prepare`` and ``forward``; the frame shows just what the photograph shows."""
    generator = torch.Generator().manual_seed(1)
    size, raw = config.image_size, config.raw_size
    segmap = torch.zeros(1, 6, size, size)
    segmap[:, 0] = 1
    mask = torch.zeros(1, 1, size, size)
    mask[..., size // 8 : size // 2, size // 4 : size // 2] = 1.0
    torso, background, head = torch.rand(3, 1, 3, size, size, generator=generator) * 2 - 1
    given = {"torso_image": torso, "segmap": segmap, "background": background, "torso_mask": mask.flip(2),
             "head_image": (head + 1) * mask - 1, "head_mask": mask}  # fmt: skip
    ticks = (torch.arange(raw) * 2 + 1) / raw - 1
    place = torch.stack(torch.meshgrid(ticks, ticks, indexing="xy"), -1)[None]
    weights = nn.functional.adaptive_avg_pool2d(mask, raw)
    feature = torch.rand(1, config.feature_channels, raw, raw, generator=generator) * 2 - 1
    keypoints = torch.zeros(1, 68, 3)
    whole = torch.ones(1, 1, 2 * raw, 2 * raw)
    view = LookBack(place, seen * whole, whole, whole, torch.zeros(1, 2, 2 * raw, 2 * raw))
    return given, {"feature": feature, "weights": weights, "kp_src": keypoints, "kp_drv": keypoints, "view": view}


def test_full_trust_shows_the_photograph():
    model, (given, drive) = network(50.0), inputs()
    with torch.no_grad():
        image = model(**drive, source=model.prepare(**given)).image
    inside = given["head_mask"].bool().expand_as(image).clone()
    inside[..., [CONFIG.image_size // 8, CONFIG.image_size // 2 - 1], :] = False  # its edge is interpolated
    inside[..., [CONFIG.image_size // 4, CONFIG.image_size // 2 - 1]] = False
    torch.testing.assert_close(image[inside], given["head_image"][inside], atol=2e-3, rtol=0)


def test_without_trust_nothing_of_it_is_shown():
    """Equal to the same network without the skip (whose features start at almost nothing)."""
    model, (given, drive) = network(-50.0), inputs()
    plain = HTBSR(replace(CONFIG, head_skip=False)).eval()
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("head_skip")})
    with torch.no_grad():
        mine = model(**drive, source=model.prepare(**given)).image
        drive.pop("view")
        twin = plain(**drive, source=plain.prepare(**given)).image
    torch.testing.assert_close(mine, twin, atol=2e-2, rtol=0)


def test_where_the_planes_do_not_reach_the_network_has_no_say():
    model, (given, drive) = network(-50.0), inputs()
    view = replace(drive["view"], known=torch.zeros_like(drive["view"].known))
    with torch.no_grad():
        image = model(**drive | {"view": view}, source=model.prepare(**given)).image
    inside = given["head_mask"].bool().expand_as(image)
    assert (image - given["head_image"])[inside].abs().mean() < 0.05


def test_before_training_it_is_shown_where_it_was_seen():
    model, (given, drive) = network(0.0), inputs()
    with torch.no_grad():
        prepared = model.prepare(**given)
        seen, hidden = (model(**drive | {"view": replace(drive["view"], seen=share)}, source=prepared).image
                        for share in (drive["view"].seen, torch.zeros_like(drive["view"].seen)))  # fmt: skip
    inside = given["head_mask"].bool().expand_as(seen)
    error, far = ((image - given["head_image"])[inside].abs().mean() for image in (seen, hidden))
    assert error < 0.1 * far


def test_drawing_only_the_head_box_changes_nothing(monkeypatch):
    config = replace(CONFIG, image_size=256, raw_size=64, torso_size=64)
    model, (given, drive) = network(0.0, config), inputs(config)
    for name, parameter in model.named_parameters():
        if name.startswith(("mix", "head_skip")):
            nn.init.normal_(parameter, std=0.2)
    with torch.no_grad():
        prepared = model.prepare(**given)
        boxed = model(**drive, source=prepared).image
        monkeypatch.setattr(Box, "around", lambda mask, margin: Box.whole(mask))
        whole = model(**drive, source=prepared).image
    torch.testing.assert_close(boxed, whole, atol=1e-5, rtol=0)


def test_gradients_reach_both_parts():
    model, (given, drive) = network(0.0).train(), inputs()
    nn.init.normal_(model.head_skip.read[-1].weight)
    model(**drive, source=model.prepare(**given)).image.square().mean().backward()
    assert model.head_skip.read[0].weight.grad.abs().max() > 0
    assert model.head_skip.judge[-1].bias.grad.abs().max() > 0


def test_colours_go_on_beyond_the_edge_and_soft_pixels_keep_theirs():
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 4:12, 4:12] = 1
    mask[..., 4, 4:12] = 0.6
    layer = head_layer((torch.full((1, 3, 16, 16), 0.4) + 1) * mask - 1, mask)
    torch.testing.assert_close(layer[:, :3], torch.full((1, 3, 16, 16), 0.4), atol=1e-5, rtol=0)
    below = torch.zeros(1, 3, 16, 16)
    again = over((layer[:, :3] + 1) * layer[:, 3:] - 1, below, torch.where(mask == 1, mask, 0))
    torch.testing.assert_close(again[mask.expand(-1, 3, -1, -1) == 1], torch.full((7 * 8 * 3,), 0.4))


@pytest.mark.parametrize("missing", ["head", "view", "composite"])
def test_what_is_missing_is_said(missing):
    model, (given, drive) = network(0.0), inputs()
    if missing == "composite":
        with pytest.raises(ValueError, match="final_composite"):
            replace(CONFIG, final_composite=False)
    elif missing == "head":
        given.pop("head_mask")
        with pytest.raises(ValueError, match="head_mask"):
            model.prepare(**given)
    else:
        drive.pop("view")
        with pytest.raises(ValueError, match="look_back"):
            model(**drive, source=model.prepare(**given))


def test_shutting_lids_show_the_photograph_with_shut_eyes_and_lashes():
    generator = torch.Generator().manual_seed(0)
    size, raw = 64, 16
    ticks = (torch.arange(raw) * 2 + 1) / raw - 1
    place = torch.stack(torch.meshgrid(ticks, ticks, indexing="xy"), -1)[None]
    whole, lids = torch.ones(1, 1, 2 * raw, 2 * raw), torch.zeros(1, 2, 2 * raw, 2 * raw)
    lids[:, 0, 10:20] = 1
    lids[:, 1, 16:20] = 1
    layer = torch.cat(
        [torch.rand(1, 3, size, size, generator=generator), torch.ones(1, 1, size, size), torch.full((1, 3, size, size), -0.4)], 1
    )
    moved = HeadSkip.move(layer, LookBack(place, whole, whole, whole, lids))
    as_it_was = HeadSkip.move(layer[:, :4], LookBack(place, whole, whole, whole, lids))
    torch.testing.assert_close(moved[:, :3, 23:30], torch.full((1, 3, 7, size), -0.4), atol=1e-5, rtol=0)
    torch.testing.assert_close(moved[:, :3, 34:38], torch.full((1, 3, 4, size), 0.6 * (1 - LASHES) - 1), atol=1e-5, rtol=0)
    for rows in (slice(0, 18), slice(42, size)):
        torch.testing.assert_close(moved[:, :, rows], as_it_was[:, :, rows], atol=0, rtol=0)


def test_eyes_are_painted_shut_where_the_landmarks_are():
    face = FaceModel.embedded()
    points = face.mean[face.keypoints468][None, :, :2] * torch.tensor([0.45, -0.45]) + 0.5
    head = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0)) - 0.5
    layer = head_layer(head, torch.ones(1, 1, 128, 128), points.float())
    changed = (layer[:, 4:] - layer[:, :3]).abs().amax((0, 1)) > 0.02  # beyond rounding
    low, high = (points[0, list(EDGES[0] + EDGES[1])].amin(0) * 128).long(), (points[0, list(EDGES[0] + EDGES[1])].amax(0) * 128).long()
    rows, columns = torch.nonzero(changed).unbind(1)
    assert changed.sum() > 100
    assert rows.min() > low[1] - 15
    assert rows.max() < high[1] + 15
    assert columns.min() > low[0] - 10
    assert columns.max() < high[0] + 10


def test_compiled_trust_equals_tensors():
    torch.manual_seed(0)
    features = torch.randn(2, 5, 12, 70).contiguous(memory_format=torch.channels_last)
    last, seen, known = nn.Conv2d(5, 1, 3, padding=1).requires_grad_(False), torch.rand(2, 1, 12, 70), torch.rand(2, 1, 12, 70)
    seen[0, 0, 0, :3], seen[0, 0, 1, :3] = 0, 1
    found = trusted(features, last, seen, known, DOUBT)
    torch.testing.assert_close(found, trusted_torch(features, last, seen, known, DOUBT), atol=2e-6, rtol=0)
    assert found.std() > 0.1
