"""What ``portrait bench`` measures: the networks of a preset with random weights and inputs, and their readable twins."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from animate import HeadAvatar, MotionAdapter, MotionAdapterConfig
from compose import HTBSR, HTBSRConfig
from compose.lookback import LookBack
from core.camera import Camera
from core.render.reference import ReferenceRenderer
from core.render.volume import Rendering
from jaxtyping import Float
from recon import I2P, HeadRenderer, HeadRendererConfig, I2PConfig
from torch import Tensor, nn

from portrait.precision import choose_precision, computing, head_precision

Run = Callable[[], Any]


@dataclass(frozen=True)
class Part:
    """Something to measure.

    Attributes:
        name: of its row.
        run: does it.
        networks: whose weights it reads.
        tensors: what goes in.
        dtype: of its products.
        twin: does the same in the readable formulation and float32.
    """

    name: str
    run: Run
    networks: tuple[nn.Module, ...] = ()
    tensors: tuple[Any, ...] = ()
    dtype: torch.dtype = torch.float32
    twin: Run | None = None


def random_networks(preset: str, seed: int = 0) -> tuple[HeadAvatar, HTBSR]:
    """Networks of a preset's sizes with random weights; they cost what trained ones do."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts = (I2P(I2PConfig.preset(preset)), MotionAdapter(MotionAdapterConfig.preset(preset)))
        avatar = HeadAvatar(*parts, HeadRenderer(HeadRendererConfig.preset(preset)))
        return avatar.eval().requires_grad_(False), HTBSR(HTBSRConfig.preset(preset)).eval().requires_grad_(False)


class Noise:
    """Pictures and points of noise, the same ones every time."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.maker = device, torch.Generator().manual_seed(0)

    def picture(self, channels: int, size: int) -> Float[Tensor, "1 c s s"]:
        """In [-1, 1]."""
        return (torch.rand(1, channels, size, size, generator=self.maker) * 2 - 1).to(self.device)

    def points(self) -> Float[Tensor, "1 68 3"]:
        """Within half of [-1, 1]."""
        return torch.rand(1, 68, 3, generator=self.maker).to(self.device) - 0.5


def parts(preset: str, device: torch.device, precision: str) -> Iterator[Part]:
    """The networks of a preset and what they are given; the head fills the picture, which is the dearest case."""
    avatar, compositor = (network.to(device) for network in random_networks(preset))
    avatar.renderer.volume.quicken()
    dtype, noise = choose_precision(precision, compositor.config, device), Noise(device)
    camera = Camera.from_pose(torch.zeros(1, 3), torch.zeros(1, 3), avatar.renderer.config.focal).to(device)
    photo = noise.picture(3, compositor.config.image_size)
    pncc = [noise.picture(3, avatar.adapter.config.image_size) for _ in range(3)]
    yield from _networks_of_the_head(avatar, photo, camera, pncc, head_precision(dtype, compositor.config))
    with torch.inference_mode():
        planes = avatar.canonical(photo, camera)
        head = avatar.renderer.render_raw(planes, camera)
    readable = ReferenceRenderer(avatar.renderer.volume.config).to(device)
    readable.load_state_dict(avatar.renderer.volume.state_dict())
    yield Part(
        "volume rendering", lambda: avatar.renderer.render_raw(planes, camera), (readable,), (planes,),
        twin=lambda: readable(planes, camera, compositor.config.raw_size),
    )  # fmt: skip
    yield from _networks_of_the_picture(compositor, photo, head, noise, dtype)


def _networks_of_the_head(avatar: HeadAvatar, photo: Tensor, camera: Camera, pncc: list[Tensor], dtype: torch.dtype) -> Iterator[Part]:
    """Stages 1 and 2."""

    def lowered(run: Run) -> Run:
        def inner() -> Any:
            with computing(dtype, photo.device):
                return run()

        return inner

    def canonical() -> Any:
        return avatar.canonical(photo, camera)

    kind = _in_brackets(dtype)
    yield Part(f"image to planes, once per photograph {kind}", lowered(canonical), (avatar.i2p,), (photo,), dtype, _written_out(canonical))
    with torch.inference_mode():
        rest = avatar.adapter.at_rest(pncc[0], pncc[2])
    yield Part(f"motion adapter {kind}", lowered(lambda: avatar.adapter(*pncc, rest)), (avatar.adapter,), (pncc, rest), dtype,
               _written_out(lambda: avatar.adapter(*pncc)))  # fmt: skip


def _networks_of_the_picture(compositor: HTBSR, photo: Tensor, head: Rendering, noise: Noise, dtype: torch.dtype) -> Iterator[Part]:
    """Stage 3: once per photograph and once per frame; its twin is not folded."""
    plain, sizes, device = deepcopy(compositor), compositor.config, photo.device
    compositor.fold(dtype)
    side, fine = sizes.image_size, sizes.fusion_size
    opaque, classes = torch.ones(1, 1, side, side, device=device), torch.zeros(1, 6, side, side, device=device)
    classes[:, 4, side // 2 :] = 1
    layers = (photo, classes, photo, opaque, photo, opaque)
    with torch.inference_mode():
        features, same = compositor.prepare(*layers), plain.prepare(*layers)
    yield Part("layers, once per photograph", lambda: compositor.prepare(*layers), tensors=layers)
    points, ones = (noise.points(), noise.points()), torch.ones(1, 1, fine, fine, device=device)
    places = noise.picture(2, sizes.raw_size).permute(0, 2, 3, 1)
    view = LookBack(places, ones, ones, ones, torch.zeros_like(ones).repeat(1, 2, 1, 1)) if sizes.head_skip else None
    given = (head.feature, head.weights)
    yield Part(f"head, torso, background {_in_brackets(dtype)}", lambda: compositor(*given, features, *points, view), (compositor,),
               (given, features, points, view), dtype, lambda: plain(*given, same, *points, view))  # fmt: skip


def _written_out(run: Run) -> Run:
    """With attention as products and a softmax, every score in memory."""

    def inner() -> Any:
        from torch.nn.attention import SDPBackend, sdpa_kernel

        with sdpa_kernel(SDPBackend.MATH):
            return run()

    return inner


def _in_brackets(dtype: torch.dtype) -> str:
    return f"({str(dtype).removeprefix('torch.')})"
