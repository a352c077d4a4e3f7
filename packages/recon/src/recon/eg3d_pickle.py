"""NVIDIA's EG3D pickles as an ``EG3DGenerator``: names, sizes and options; nothing of the file is executed.

Both networks keep equalised weights (unit variance, scaled when used), so tensors are copied as they are. Only the decoder's learning
rate multiplier, which ours does not have, goes into its weights. Noise inputs are left out, as Real3D-Portrait does (spec 3.4).
"""

import re
from pathlib import Path
from typing import Any, Literal

import torch
from core.errors import PortraitError
from core.nn.stylegan import FIR
from core.render.triplane import PlaneAxes
from core.render.volume import VolumeConfig
from core.restricted_pickle import ForeignObject, read_checkpoint
from torch import Tensor

from recon.config import HeadRendererConfig
from recon.eg3d import EG3DConfig, EG3DGenerator

SOURCE = (
    "EG3D's FFHQ weights (ffhqrebalanced512-128.pkl) are on NVIDIA NGC, catalog.ngc.nvidia.com, as nvidia/research/eg3d; they are for"
    " non-commercial use."
)
NAMES = (
    (r"backbone\.mapping\.(embed\..+)", r"mapping.\1"),
    (r"backbone\.mapping\.fc(\d+)\.(.+)", r"mapping.layers.\1.\2"),
    (r"backbone\.mapping\.w_avg", "mapping.w_mean"),
    (r"superresolution\.(block[01])\.(.+)", r"renderer.superres.\1.\2"),
    (r"decoder\.net\.0\.(.+)", r"renderer.volume.decoder.hidden.\1"),
    (r"decoder\.net\.2\.(.+)", r"renderer.volume.decoder.out.\1"),
)
UNUSED = re.compile(r"(.*\.)?(noise_const|noise_strength|resample_filter)")
SUPPORTED = {"SuperresolutionHybrid8X", "SuperresolutionHybrid8XDC"}
FIXED = {"disparity_space_sampling": False, "clamp_mode": "softplus", "white_back": False, "density_noise": 0}
"""Options of its renderer that ours has no choice in."""


def read_eg3d(
    path: str | Path,
    plane_axes: PlaneAxes = "eg3d",
    sr_w: Literal["ones", "latent"] = "latent",
    rays: Literal["file", "box"] = "file",
    raw_size: int = 128,
) -> EG3DGenerator:
    """The averaged generator (``G_ema``) of a pickle, in eval mode on the CPU.

    Args:
        path: ``.pkl`` of an EG3D training.
        plane_axes: ``eg3d`` as all published weights; ``xyz`` for weights trained with the corrected third plane.
        sr_w: ``latent`` for weights trained by the published code, ``ones`` for those trained with a constant style.
        rays: ``file`` samples between the distances that the file names (2.25 to 3.3); ``box``, for other camera distances, where
            rays meet the box, and nothing where they miss it.
        raw_size: side of the raw rendering, a quarter of the image's.

    Raises:
        PortraitError: ``E_WEIGHTS`` when the file is absent, is not EG3D's, or names an option that this code lacks.
    """
    if not Path(path).is_file():
        raise PortraitError("E_WEIGHTS", f"there is no EG3D pickle {path}", SOURCE)
    network = _generator_of(read_checkpoint(path), path)
    tensors = network.tensors()
    try:
        config = _config(network, tensors, plane_axes, sr_w, rays, raw_size)
        generator = EG3DGenerator(config)
        generator.load_state_dict(_renamed(tensors, float(_options(network).get("decoder_lr_mul", 1))))
    except (KeyError, ValueError, RuntimeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise PortraitError("E_WEIGHTS", f"{path} is not an EG3D generator that this code knows: {reason}", SOURCE) from error
    return generator.eval().requires_grad_(False)


def _generator_of(content: Any, path: str | Path) -> ForeignObject:
    found = content.get("G_ema") or content.get("G") if isinstance(content, dict) else content
    if not isinstance(found, ForeignObject) or found.kind != "TriPlaneGenerator":
        kind = found.kind if isinstance(found, ForeignObject) else type(found).__name__
        raise PortraitError("E_WEIGHTS", f"{path} holds {kind}, no TriPlaneGenerator", SOURCE)
    return found


def _options(network: ForeignObject) -> dict[str, Any]:
    return network.state.get("rendering_kwargs") or network.arguments["rendering_kwargs"]


def _config(network: ForeignObject, tensors: dict[str, Tensor], plane_axes: PlaneAxes, sr_w: str, rays: str, raw_size: int) -> EG3DConfig:
    """Sizes from the tensors, options from the constructor's arguments."""
    options, arguments = _options(network), network.arguments
    for name, value in FIXED.items():
        if options.get(name, value) != value:
            raise ValueError(f"its renderer has {name} {options[name]}")
    module = str(options["superresolution_module"]).rpartition(".")[2]
    if module not in SUPPORTED:
        raise ValueError(f"its super-resolution is {module}, not one of {', '.join(sorted(SUPPORTED))}")
    if arguments.get("architecture", "skip") != "skip" or set(arguments.get("mapping_kwargs", {})) - {"num_layers", "w_avg_beta"}:
        raise ValueError("its backbone has another architecture")
    start, end = options["ray_start"], options["ray_end"]
    hidden, channels = tensors["decoder.net.0.weight"].shape
    w_dim, widths = len(tensors["backbone.mapping.w_avg"]), [tensors[f"superresolution.block{k}.conv1.bias"].shape[0] for k in (0, 1)]
    sides = [int(match[1]) for name in tensors if (match := re.fullmatch(r"backbone\.synthesis\.b(\d+)\.torgb\.bias", name))]
    volume = VolumeConfig(
        channels,
        hidden,
        tensors["decoder.net.2.bias"].shape[0] - 1,
        coarse=options["depth_resolution"],
        fine=options["depth_resolution_importance"],
        plane_axes=plane_axes,
        box=float(options["box_warp"]),
        ray_range=None if rays == "box" or start == "auto" else (float(start), float(end)),
        misses="empty" if rays == "box" else "eg3d",
    )
    return EG3DConfig(
        tensors["backbone.mapping.fc0.weight"].shape[1] - len(tensors["backbone.mapping.embed.bias"]),
        w_dim,
        sum(bool(re.fullmatch(r"backbone\.mapping\.fc\d+\.bias", name)) for name in tensors),
        max(sides),
        arguments.get("channel_base", 32768),
        arguments.get("channel_max", 512),
        None if (clamp := arguments.get("conv_clamp", 256)) is None else float(clamp),
        0.0 if options["c_gen_conditioning_zero"] else float(options.get("c_scale", 0)),
        sr_w,
        HeadRendererConfig(
            volume,
            raw_size,
            tuple(widths),
            tensors["superresolution.block0.conv0.affine.weight"].shape[1],
            clamp=256.0 if arguments.get("sr_num_fp16_res", 0) else None,
        ),
    )


def _renamed(tensors: dict[str, Tensor], decoder_multiplier: float) -> dict[str, Tensor]:
    """Tensors under our names; the FIR filters, which are buffers there, are compared with ours."""
    renamed = {}
    for name, tensor in tensors.items():
        if UNUSED.fullmatch(name):
            check_filter(name, tensor)
            continue
        if name.startswith("decoder."):
            tensor = tensor * decoder_multiplier
        renamed[_our_name(name)] = tensor.float()
    return renamed


def check_filter(name: str, tensor: Tensor) -> None:
    """Compare a stored FIR filter with ours.

    Raises:
        ValueError: it is another one.
    """
    taps = torch.tensor(FIR) / sum(FIR)
    if name.endswith("resample_filter") and not torch.allclose(tensor, torch.outer(taps, taps)):
        raise ValueError(f"{name} is not {FIR}")


def _our_name(name: str) -> str:
    if match := re.fullmatch(r"backbone\.synthesis\.b(\d+)\.(.+)", name):
        name = f"backbone.{int(match[1]).bit_length() - 3}.{match[2]}"
    for pattern, ours in NAMES:
        if match := re.fullmatch(pattern, name):
            name = match.expand(ours)
            break
    return name.replace(".torgb.", ".to_rgb.")
