"""The motion adapter: inputs, orientation, start, weights on disk."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from animate import MotionAdapter, MotionAdapterConfig
from torch import nn
from torch.nn import functional as F

DEBUG = MotionAdapterConfig.preset("debug")


def network(**changes) -> MotionAdapter:
    torch.manual_seed(0)
    return MotionAdapter(replace(DEBUG, **changes)).eval()


def pnccs(count: int, batch: int = 2, size: int = 64) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(batch, 3, size, size, generator=generator) * 2 - 1 for _ in range(count)]


@pytest.mark.parametrize(("inputs", "count"), [("cano+src+drv", 3), ("src+drv", 2)])
def test_every_input_matters(inputs: str, count: int):
    images = [image.requires_grad_() for image in pnccs(count)]
    planes = network(pncc_inputs=inputs, start_still=False)(*images)
    assert planes.shape == (2, 3, 8, 16, 16)
    planes.square().sum().backward()
    assert all(image.grad.abs().sum() > 0 for image in images)


def test_all_parameters_learn():
    model = network().train()
    model(*pnccs(3)).sum().backward()
    assert not [name for name, parameter in model.named_parameters() if parameter.grad is None]


def test_canonical_pncc_is_required_with_nine_channels_and_ignored_with_six():
    with pytest.raises(ValueError, match="pncc_cano"):
        network()(*pnccs(2))
    model, images = network(pncc_inputs="src+drv"), pnccs(3)
    assert torch.equal(model(*images), model(*images[:2]))


def test_planes_are_stacked_in_the_order_cano_src_drv():
    model, (src, drv, cano) = network(start_still=False), pnccs(3)
    seen = []
    model.stack.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(src, drv, cano)
    assert torch.equal(seen[0], torch.cat([cano, src, drv], 1))


def test_other_sizes_are_resized():
    model, images = network(start_still=False), pnccs(3, size=128)
    small = [F.interpolate(image, size=(64, 64), mode="bilinear", antialias=True) for image in images]
    torch.testing.assert_close(model(*images), model(*small))


def test_planes_are_flipped_for_the_renderer():
    model, images = network(start_still=False), pnccs(3)
    drawn = []
    model.to_planes.register_forward_hook(lambda _m, _i, output: drawn.append(output))
    planes = model(*images)
    raw = drawn[0].unflatten(1, (3, 8))
    assert torch.equal(planes[:, 0], raw[:, 0].flip(2))
    assert torch.equal(planes[:, 1], raw[:, 1].flip(2))
    assert torch.equal(planes[:, 2], raw[:, 2].flip((2, 3)))


def test_still_start_hardly_moves_the_planes():
    still, free = network()(*pnccs(3)).abs().mean(), network(start_still=False)(*pnccs(3)).abs().mean()
    assert 0 < still < 0.05 * free


def test_relative_adapter_leaves_the_source_expression_alone():
    model, (src, drv, cano) = network(start_still=False, relative=True), pnccs(3)
    assert model(src, src, cano).abs().max() == 0
    plain = network(start_still=False)
    torch.testing.assert_close(model(src, drv, cano), plain(src, drv, cano) - plain(src, src, cano))
    torch.testing.assert_close(model(src, drv, cano, model.at_rest(src, cano)), model(src, drv, cano))
    assert plain.at_rest(src, cano) is None


def test_inference_is_deterministic_and_training_is_not():
    model, images = network(start_still=False, dropout=0.5), pnccs(3)
    assert torch.equal(model(*images), model(*images))
    model.train()
    assert not torch.equal(model(*images), model(*images))


def test_weights_on_disk(tmp_path: Path):
    model = network(face_model="0123456789ab")
    nn.init.normal_(model.to_planes.weight)
    model.save_pretrained(tmp_path)
    again = MotionAdapter.from_pretrained(tmp_path)
    assert again.config == model.config
    assert not again.training
    torch.testing.assert_close(again(*pnccs(3)), model(*pnccs(3)))
