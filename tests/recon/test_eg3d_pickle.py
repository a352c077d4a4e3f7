"""EG3D pickles of the published structure at a small width, the teacher made of them, and the student that begins like it.

The figures in ``test_like_the_original`` and ``test_critic_like_the_original`` were recorded with NVIDIA's own layers, renderer, ray
sampler and discriminator (commit 7cf1fd1 of NVlabs/eg3d, mid-stratum samples in place of random ones), filled by the same formula of
every tensor's name as the fixture.
"""

import pickle
import sys
import types
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from core.camera import Camera
from core.errors import PortraitError
from recon.config import HeadRendererConfig
from recon.eg3d_critic import read_critic
from recon.eg3d_pickle import read_eg3d
from recon.inheritance import inherit
from recon.renderer import HeadRenderer
from recon.teacher import CameraRange, EG3DTeacher, TeacherOptions
from torch import nn

Z, W, MAX, RAW = 8, 16, 8, 16
OPTIONS = {
    "superresolution_module": "training.superresolution.SuperresolutionHybrid8XDC",
    "c_gen_conditioning_zero": False,
    "c_scale": 1,
    "superresolution_noise_mode": "none",
    "decoder_lr_mul": 1,
    "depth_resolution": 8,
    "depth_resolution_importance": 8,
    "ray_start": 2.25,
    "ray_end": 3.3,
    "box_warp": 1,
    "clamp_mode": "softplus",
    "disparity_space_sampling": False,
}


def _reconstruct_persistent_obj(meta):
    raise AssertionError("executed")


class Persistent(nn.Module):
    def __reduce__(self):
        state = {**self.__dict__}
        meta = {"type": "class", "version": 6, "module_src": "1 / 0", "class_name": type(self).__name__, "state": state}
        return _reconstruct_persistent_obj, (meta,)


class Part(Persistent):
    """A module with tensors by name: a shape, a submodule, or True for a scalar buffer."""

    def __init__(self, buffers=(), **members):
        super().__init__()
        for name, value in members.items():
            if isinstance(value, nn.Module):
                setattr(self, name, value)
            elif name in buffers:
                self.register_buffer(name, torch.zeros(value))
            else:
                self.register_parameter(name, nn.Parameter(torch.zeros(value)))


class TriPlaneGenerator(Part):
    pass


def dense(inputs, outputs):
    return Part(weight=(outputs, inputs), bias=(outputs,))


def convolution(inputs, outputs, side, kernel=3):
    shapes = {"affine": dense(W, inputs), "weight": (outputs, inputs, kernel, kernel), "bias": (outputs,)}
    if kernel == 3:
        shapes |= {"noise_const": (side, side), "noise_strength": (), "resample_filter": (4, 4)}
    return Part(("noise_const", "resample_filter"), **shapes)


def block(inputs, outputs, side, maps):
    parts = {"conv0": convolution(inputs, outputs, side)} if inputs else {"const": (outputs, 4, 4)}
    parts |= {"conv1": convolution(outputs, outputs, side), "torgb": convolution(outputs, maps, side, 1)}
    return Part(("resample_filter",), resample_filter=(4, 4), **parts)


def network(side=16, channels=4, **changes):
    """The module tree of the published generator; every tensor is filled by a formula of its name."""
    sides = [2**k for k in range(2, side.bit_length())]
    synthesis = Part(**{f"b{s}": block(0 if s == 4 else MAX, MAX, s, 3 * channels) for s in sides})
    mapping = Part(("w_avg",), embed=dense(25, W), fc0=dense(Z + W, W), fc1=dense(W, W), w_avg=(W,))
    decoder = Part(net=nn.Sequential(dense(channels, 8), nn.Softplus(), dense(8, 1 + channels)))
    made = TriPlaneGenerator(
        backbone=Part(synthesis=synthesis, mapping=mapping),
        superresolution=Part(block0=block(channels, 6, 32, 3), block1=block(6, 4, 64, 3)),
        decoder=decoder,
    )
    arguments = {"channel_base": 4096, "channel_max": MAX, "conv_clamp": None, "mapping_kwargs": {"num_layers": 2}}
    made._init_kwargs = {**arguments, **changes.pop("arguments", {}), "rendering_kwargs": {**OPTIONS, **changes}}
    fill(made)
    return made


def fill(module):
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    with torch.no_grad():
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            rng = np.random.default_rng(zlib.crc32(name.encode()))
            values = torch.from_numpy(rng.normal(size=tuple(tensor.shape))).float()
            if name.endswith("resample_filter"):
                values = torch.outer(taps, taps)
            elif name.endswith("affine.bias"):
                values = 1 + 0.3 * values
            elif "mapping.fc" in name:
                values = values * 100
            elif name == "decoder.net.2.bias":
                values[0] += 3
            tensor.copy_(values)


@pytest.fixture
def save(tmp_path, monkeypatch):
    """Pickles a generator as NVIDIA's training does."""
    for name in ("torch_utils", "torch_utils.persistence"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj = _reconstruct_persistent_obj
    monkeypatch.setattr(_reconstruct_persistent_obj, "__module__", "torch_utils.persistence")

    def run(made, **others):
        file = tmp_path / "eg3d.pkl"
        file.write_bytes(pickle.dumps({"G": None, "D": None, "training_set_kwargs": {}, "augment_pipe": None, "G_ema": made, **others}))
        return file

    return run


def test_names_sizes_and_options(save):
    made = network(c_scale=0.5, decoder_lr_mul=2, arguments={"conv_clamp": 256, "sr_num_fp16_res": 4})
    net = read_eg3d(save(made), raw_size=RAW)
    config = net.config
    assert (config.z_dim, config.w_dim, config.mapping_layers, config.plane_size) == (Z, W, 2, 16)
    assert (config.clamp, config.condition_scale, config.sr_w) == (256, 0.5, "latent")
    assert (config.renderer.channels, config.renderer.clamp) == ((6, 4), 256)
    volume = config.renderer.volume
    assert (volume.plane_axes, volume.ray_range, volume.coarse, volume.scheme) == ("eg3d", (2.25, 3.3), 8, "eg3d")
    assert torch.equal(net.mapping.w_mean, made.backbone.mapping.w_avg)
    assert torch.equal(net.backbone[1].conv0.affine.weight, made.backbone.synthesis.b8.conv0.affine.weight)
    assert torch.equal(net.backbone[2].to_rgb.weight, made.backbone.synthesis.b16.torgb.weight)
    assert torch.equal(net.renderer.superres.block1.conv1.bias, made.superresolution.block1.conv1.bias)
    assert torch.equal(net.renderer.volume.decoder.out.bias, 2 * made.decoder.net[2].bias)
    assert not net.training
    boxed = read_eg3d(save(made), "xyz", "ones", "box", RAW).config
    assert (boxed.renderer.volume.plane_axes, boxed.sr_w, boxed.renderer.volume.ray_range) == ("xyz", "ones", None)


RECORDED = {  # at (0, s/2, s/2), (last channel, s/4, s/3) and (0, s-2, 1); mean; standard deviation
    "planes": ([3.18154, -2.73713, 2.22596], 0.36692, 7.31301),
    "raw": ([-0.44124, 0.90145, -0.02869], 0.4322, 0.57609),
    "depth": ([2.49012, 2.5132, 2.60662], 2.51672, 0.0418),
    "image": ([-1.86051, 4.33055, -3.37427], -0.71928, 3.64218),
}


def test_like_the_original(save):
    net = read_eg3d(save(network()), raw_size=RAW)
    camera, condition = (Camera.look_at(*(torch.tensor([v]) for v in place)) for place in ((0.4, -0.2, 2.8), (-0.1, 0.1, 2.7)))
    with torch.no_grad():
        w = net.style(torch.linspace(-1.5, 1.2, Z)[None], condition, 0.7)
        planes = net.planes(w)
        out = net.render(planes, w, camera)
    for name, (pixels, mean, spread) in RECORDED.items():
        found = planes.flatten(1, 2)[0] if name == "planes" else getattr(out, name)[0]
        channels, side = found.shape[0], found.shape[-1]
        places = ((0, side // 2, side // 2), (channels - 1, side // 4, side // 3), (0, side - 2, 1))
        assert [found[place].item() for place in places] == pytest.approx(pixels, abs=1e-4), name
        assert [found.mean().item(), found.std().item()] == pytest.approx([mean, spread], abs=1e-4), name


def test_the_averaged_generator_is_preferred(save):
    other = network()
    nn.init.zeros_(other.backbone.mapping.w_avg)
    assert read_eg3d(save(network(), G=other), raw_size=RAW).mapping.w_mean.abs().sum() > 0
    assert read_eg3d(save(None, G=other), raw_size=RAW).mapping.w_mean.abs().sum() == 0


def test_a_real_style_reaches_the_super_resolution(save):
    file = save(network())
    latent, ones = (read_eg3d(file, sr_w=kind, raw_size=RAW) for kind in ("latent", "ones"))
    z, camera = torch.randn(2, Z, generator=torch.Generator().manual_seed(0)), front(2)
    with torch.no_grad():
        a, b = (net(z, camera, camera) for net in (latent, ones))
        w = latent.style(z, camera)
        slow = torch.cat([latent.renderer.superres(a.raw[i : i + 1], a.feature[i : i + 1], w[i : i + 1]) for i in range(2)])
    assert torch.equal(a.raw, b.raw)
    torch.testing.assert_close(a.image, slow, atol=1e-5, rtol=1e-5)  # one style per image, or one for the batch: two code paths
    assert (a.image - b.image).abs().max() > 0.1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"superresolution_module": "training.superresolution.SuperresolutionHybrid2X"}, "SuperresolutionHybrid2X"),
        ({"clamp_mode": "relu"}, "clamp_mode relu"),
        ({"arguments": {"architecture": "resnet"}}, "another architecture"),
        ({"arguments": {"channel_max": 16}}, "size mismatch"),
    ],
)
def test_what_this_code_does_not_know_is_refused(save, changes, message):
    with pytest.raises(PortraitError, match=message) as caught:
        read_eg3d(save(network(**changes)), raw_size=RAW)
    assert caught.value.code == "E_WEIGHTS"


def test_unknown_filters_tensors_and_objects_are_refused(save):
    made = network()
    with torch.no_grad():
        made.superresolution.block0.resample_filter.fill_(1 / 16)
    with pytest.raises(PortraitError, match=r"superresolution\.block0\.resample_filter is not"):
        read_eg3d(save(made), raw_size=RAW)
    made = network()
    made.decoder.net.append(dense(2, 2))
    with pytest.raises(PortraitError, match=r"decoder\.net\.3\.weight"):
        read_eg3d(save(made), raw_size=RAW)
    with pytest.raises(PortraitError, match="holds Part, no TriPlaneGenerator"):
        read_eg3d(save(network().backbone))
    with pytest.raises(PortraitError, match=r"there is no EG3D pickle absent\.pkl.*catalog\.ngc\.nvidia\.com"):
        EG3DTeacher.from_pickle("absent.pkl")


def front(count):
    return Camera.look_at(torch.zeros(count), torch.zeros(count), torch.full((count,), 2.7))


@pytest.fixture
def teacher(save):
    options = TeacherOptions(rays="box", real_share=0.0)
    return EG3DTeacher(read_eg3d(save(network()), rays="box", raw_size=RAW), options, seed=3)


def test_a_number_is_a_head(teacher):
    batch = teacher.views(torch.tensor([5, 9]), 2)
    assert batch.source.head.shape == (2, 3, 4 * RAW, 4 * RAW)
    assert batch.source.head.abs().max() <= 1
    assert len(batch.targets) == 2
    again = teacher.views(torch.tensor([9]), 2)
    torch.testing.assert_close(again.targets[1].head, batch.targets[1].head[1:], atol=2e-4, rtol=0)
    assert torch.equal(again.source.camera.label, batch.source.camera.label[1:])
    others = {tuple(view.camera.label[0].tolist()) for view in (batch.source, *batch.targets)}
    assert len(others) == 3
    assert not torch.allclose(batch.source.head[:1], batch.source.head[1:], atol=0.05)


def test_cameras_fill_their_range():
    kind, generator = CameraRange(26.0, 38.0, 2.7, 4.0), torch.Generator().manual_seed(0)
    centres = torch.cat([kind.draw(4.2647, generator).cam2world[:, :3, 3] for _ in range(500)])
    radius = centres.norm(dim=1)
    yaw = torch.atan2(centres[:, 0], centres[:, 2]).rad2deg()
    pitch = (-centres[:, 1] / radius * torch.pi / 2).rad2deg()  # cos(phi) = -2 pitch / pi
    for values, low, high in ((radius, 2.7, 4.0), (yaw, -38, 38), (pitch, -26, 26)):
        assert low <= values.min() + 1e-4
        assert values.max() <= high + 1e-4
        assert values.max() - values.min() > 0.97 * (high - low)
        assert values.mean().item() == pytest.approx((low + high) / 2, abs=0.1 * (high - low))


def test_real_cameras_are_mixed_in(save):
    poses = front(3).label
    poses[:, 3] = torch.tensor([10.0, 20.0, 30.0])  # recognisable centres
    poses[:, 16] = 9.0
    teacher = EG3DTeacher(read_eg3d(save(network()), raw_size=RAW), TeacherOptions(real_share=0.5), poses=poses)
    drawn = torch.cat([label for number in range(100) for label in teacher._draw(number, 2)[1][1:]])
    real = drawn[:, 3] >= 10
    assert 0.35 < real.float().mean() < 0.65
    assert set(drawn[real, 3].tolist()) == {10.0, 20.0, 30.0}
    assert torch.unique(drawn[:, 16]).tolist() == [pytest.approx(4.2647, abs=1e-4)]


def test_data_module_asks_the_teacher(save, tmp_path, monkeypatch):
    from recon.data import HELD_BACK, ReconDataModule

    options = TeacherOptions(pickle=str(save(network())), heads=40)
    monkeypatch.setattr("recon.teacher.read_eg3d", lambda *arguments: read_eg3d(*arguments, raw_size=RAW))
    data = ReconDataModule(str(tmp_path / "no store"), size=2 * RAW, batch_size=2, num_workers=3, views=2, teacher=options)
    data.prepare_data()
    data.setup("fit")
    numbers = next(iter(data.val_dataloader()))
    assert numbers.tolist() == [40, 41]
    assert len(data.val_dataloader().dataset) == HELD_BACK
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert batch.person.max() < 40
    assert [view.head.shape for view in (batch.source, *batch.targets)] == [(2, 3, 2 * RAW, 2 * RAW)] * 3
    assert [view.head_mask.shape for view in batch.targets] == [(2, 1, 2 * RAW, 2 * RAW)] * 2
    absent = ReconDataModule(str(tmp_path), teacher=TeacherOptions(pickle=str(tmp_path / "absent.pkl")))
    with pytest.raises(PortraitError, match="ffhqrebalanced512-128"):
        absent.setup("fit")


class DualDiscriminator(Part):
    pass


def critic(**changes):
    """The module tree of the published discriminator, for images of 64 x 64; every tensor is filled by a formula of its name."""

    def filtered(inputs, outputs, kernel=3, bias=True):
        shapes = {"weight": (outputs, inputs, kernel, kernel), "resample_filter": (4, 4)} | ({"bias": (outputs,)} if bias else {})
        return Part(("resample_filter",), **shapes)

    blocks = {}
    for side in (64, 32, 16, 8):
        parts = {"fromrgb": filtered(6, MAX, 1)} if side == 64 else {}
        parts |= {"conv0": filtered(MAX, MAX), "conv1": filtered(MAX, MAX), "skip": filtered(MAX, MAX, 1, bias=False)}
        blocks[f"b{side}"] = Part(("resample_filter",), resample_filter=(4, 4), **parts)
    mapping = Part(embed=dense(25, MAX), **{f"fc{k}": dense(MAX, MAX) for k in range(8)})
    tail = Part(conv=filtered(MAX + 1, MAX), fc=dense(16 * MAX, MAX), out=dense(MAX, MAX))
    made = DualDiscriminator(("resample_filter",), resample_filter=(4, 4), **blocks, b4=tail, mapping=mapping)
    made._init_kwargs = {"img_resolution": 64, "channel_base": 4096, "channel_max": MAX, **changes}
    fill(made)
    return made


def test_critic_like_the_original(save):
    net = read_critic(save(network(), D=critic()), RAW).eval()
    image, raw = (torch.linspace(-1, 1, 4 * 3 * s * s).sin().reshape(4, 3, s, s) for s in (64, RAW))
    label = Camera.look_at(torch.tensor([0.4, 0.0, -0.3, 0.1]), torch.tensor([0.1, -0.2, 0.0, 0.2]), torch.full((4,), 2.8)).label
    with torch.no_grad():
        verdict = net(image, raw, label)[:, 0]
    assert verdict.tolist() == pytest.approx([2.0293, 1.98241, 2.07686, 2.11751], abs=2e-5)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (None, "holds NoneType in place of a DualDiscriminator"),
        (network(), "holds TriPlaneGenerator in place of a DualDiscriminator"),
        (critic(architecture="skip"), "its architecture is skip"),
        (critic(epilogue_kwargs={"mbstd_num_channels": 2}), "several channels"),
        (critic(channel_max=16), "size mismatch"),
    ],
)
def test_other_critics_are_refused(save, made, message):
    with pytest.raises(PortraitError, match=message) as caught:
        read_critic(save(network(), D=made), RAW)
    assert caught.value.code == "E_WEIGHTS"


def test_a_student_begins_like_its_teacher(save):
    file = save(network(decoder_lr_mul=2), D=critic())
    teacher, judge = read_eg3d(file, raw_size=RAW).renderer, read_critic(file, RAW)
    config = HeadRendererConfig(replace(teacher.config.volume, ray_range=None, misses="empty"), RAW, (6, 4), W)
    student, critics = HeadRenderer(config), type(judge)(judge.config)
    inherit(student, critics, file)
    assert student.config == config
    for ours, theirs in ((student, teacher), (critics, judge)):
        assert all(torch.equal(a, b) for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True))
    with pytest.raises(PortraitError, match="other sizes than this student"):
        inherit(HeadRenderer(replace(config, channels=(8, 4))), None, file)
