"""Schedules, windows, pictures and exports of core.train."""

import dataclasses

import numpy as np
import pytest
import torch
from core.camera import Window
from core.hub import Pretrained
from core.train.callbacks import export_network
from core.train.pictures import contact_sheet, depth_picture
from core.train.schedule import Group, Schedule, learning_rate
from core.train.scores import psnr
from core.train.windows import box_interest, draw_window
from skimage.metrics import peak_signal_noise_ratio
from torch import nn


@dataclasses.dataclass(frozen=True)
class BrickConfig:
    width: int = 3


class Brick(nn.Module, Pretrained):
    def __init__(self, config: BrickConfig):
        super().__init__()
        self.config = config
        self.layer = nn.Linear(config.width, 1)


def torch_rates(make, steps):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)
    scheduler = make(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_cosine_equals_torch():
    schedule = Schedule(lr=0.1, warmup=0, decay="cosine", floor=0.01)
    theirs = torch_rates(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 50, eta_min=0.01), 50)
    assert [learning_rate(schedule, k, k / 50) for k in range(50)] == pytest.approx(theirs)


def test_step_decay_equals_torch_down_to_its_floor():
    schedule = Schedule(lr=0.1, warmup=0, decay="step", factor=0.5, every=10, floor=0.02)
    theirs = torch_rates(lambda o: torch.optim.lr_scheduler.StepLR(o, 10, 0.5), 40)
    assert [learning_rate(schedule, k, 0.0) for k in range(40)] == pytest.approx([max(x, 0.02) for x in theirs])


def test_warmup_is_linear():
    schedule = Schedule(lr=1.0, warmup=4, decay="step", floor=0.0)
    assert [learning_rate(schedule, k, 0.0) for k in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_groups_have_their_time():
    group = Group("g", nn.Identity(), start=2, stop=4)
    assert [group.active(k) for k in range(5)] == [False, False, True, True, False]


def test_group_rates_ramp_up():
    group = Group("g", nn.Identity(), scale=0.5, start=2, ramp=8)
    assert [group.factor(k) for k in (0, 1, 2, 4, 8, 9)] == [0, 0, 0.125, 0.25, 0.5, 0.5]
    assert Group("g", nn.Identity(), scale=0.5).factor(0) == 0.5


def test_windows_stay_inside_and_follow_interest():
    interest = torch.zeros(64, 1, 16, 16)
    interest[:32, :, 15, 0] = 1  # a corner
    interest[32:, :, 8, 4] = 1
    window = draw_window(interest, 6, torch.Generator().manual_seed(0))
    assert window.top[:32].unique().tolist() == [10]
    assert window.left[:32].unique().tolist() == [0]
    assert (window.top[32:].unique().tolist(), window.left[32:].unique().tolist()) == ([5], [1])


def test_windows_reach_everything_and_repeat_with_the_seed():
    interest = torch.ones(2000, 1, 8, 8)
    first, again = (draw_window(interest, 3, torch.Generator().manual_seed(1)) for _ in range(2))
    assert set(first.top.tolist()) == set(range(6)) == set(first.left.tolist())
    assert torch.equal(first.top, again.top)
    with pytest.raises(ValueError, match="window of 9"):
        draw_window(interest, 9, None)


def test_window_crop_is_slicing_at_both_resolutions():
    image = torch.rand(2, 3, 32, 32)
    window = Window(torch.tensor([1, 4]), torch.tensor([2, 0]), 3)
    crop = window.crop(image, 4)
    assert torch.equal(crop[0], image[0, :, 4:16, 8:20])
    small = nn.functional.avg_pool2d(image, 4)
    torch.testing.assert_close(window.crop(small), nn.functional.avg_pool2d(crop, 4))


def test_box_interest():
    boxes = box_interest(torch.tensor([[[0.5, 0.25]]]), 8, 0.125)
    rows, columns = boxes[0, 0].nonzero().T
    assert (sorted(set(rows.tolist())), sorted(set(columns.tolist()))) == ([1, 2], [3, 4])


def test_psnr_equals_skimage():
    a, b = torch.rand(2, 3, 9, 9) * 2 - 1, torch.rand(2, 3, 9, 9) * 2 - 1
    theirs = [peak_signal_noise_ratio(y.numpy(), x.numpy(), data_range=2) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(psnr(a, b).numpy(), theirs, rtol=1e-5)


def test_contact_sheet_places_rows_and_columns():
    red = torch.tensor([1.0, -1, -1]).view(1, 3, 1, 1).expand(3, 3, 4, 4)
    grey = torch.zeros(3, 1, 8, 8)
    sheet = contact_sheet({"a": red, "b": grey}, rows=2, size=4)
    assert sheet.shape == (8, 8, 3)
    assert sheet[5, 1].tolist() == [255, 0, 0]
    assert sheet[5, 6].tolist() == [128, 128, 128]


def test_depth_picture_is_bright_where_near():
    depth = torch.tensor([[[[2.0, 3.0], [2.5, 9.0]]]])
    grey = depth_picture(depth, torch.tensor([[[[1.0, 1.0], [1.0, 0.0]]]]))
    torch.testing.assert_close(grey, torch.tensor([[[[1.0, -1.0], [0.0, -1.0]]]]))


def test_export_replaces_a_folder_as_a_whole(tmp_path):
    folder = tmp_path / "brick"
    export_network(Brick(BrickConfig(5)), folder)
    (folder / "leftover").touch()
    brick = Brick(BrickConfig(7))
    export_network(brick, folder, half=True)
    loaded = Brick.from_pretrained(folder)
    assert loaded.config == BrickConfig(7)
    torch.testing.assert_close(loaded.layer.weight, brick.layer.weight, atol=1e-3, rtol=0)
    assert {path.name for path in tmp_path.iterdir()} == {"brick"}
    assert not (folder / "leftover").exists()
