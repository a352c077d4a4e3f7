"""What the shipped weights draw quickly against what they draw with many samples."""

from dataclasses import replace

import torch
from animate import HeadAvatar
from core.camera import Camera
from portrait.networks import weights_folder


def test_shared_first_passes_lose_little_on_a_real_head(source):
    avatar = HeadAvatar.from_folder(weights_folder("tiny"))
    volume = avatar.renderer.volume
    assert volume.trained.quick_shared
    head = torch.nn.functional.interpolate(source.head, 512, mode="bilinear")
    turned = source.coeffs.euler + torch.tensor([[0.0, 0.25, 0.0]])
    cameras = [Camera.from_pose(euler, source.coeffs.trans, avatar.renderer.config.focal) for euler in (source.coeffs.euler, turned)]
    with torch.inference_mode():
        planes = avatar.canonical(head, cameras[0])
        for camera in cameras:
            quick = volume.quicken()(planes, camera, 128)
            volume.train().eval()
            volume.config = replace(volume.trained, coarse=96, fine=96)
            dense = volume(planes, camera, 128)
            assert dense.weights.max() > 0.9
            assert ((quick.feature - dense.feature) / 2).square().mean() < 10**-4.5  # 45 dB
