"""What validation says of stage 1: pictures, and the shape behind them."""

import torch
from core.camera import WORLD_SCALE, Camera
from core.metrics.lpips import lpips
from core.metrics.pixels import ssim
from core.train.scores import psnr
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from recon.objective import HeadTarget
from recon.renderer import HeadRendering
from recon.views import HeadView


def view_scores(
    rendering: HeadRendering, source: HeadView, target: HeadView, lpips_network: nn.Module | None
) -> dict[str, Float[Tensor, " b"]]:
    """Figures per head.

    Args:
        rendering: of the target's view.
        source: what the planes were made of.
        target: what the view looks like.
        lpips_network: of ``core.metrics.backbones``; None leaves LPIPS out.

    Returns:
        ``psnr``, ``psnr_raw`` and ``psnr_raw_half`` (raw pictures averaged over 2 x 2) in dB and ``ssim`` of whole pictures, each also for
        the source view in place of the result (``_copied``); ``lpips`` where there is its network; ``depth_error`` in 3DMM units where the
        target has a depth.
    """
    raw_size = rendering.raw.shape[-1]
    wanted, copied = (HeadTarget.of(view, raw_size) for view in (target, source))
    scores = {}
    for suffix, raw in (("", rendering.raw), ("_copied", copied.raw)):
        scores[f"psnr_raw{suffix}"] = psnr(raw, wanted.raw)
        scores[f"psnr_raw_half{suffix}"] = psnr(F.avg_pool2d(raw, 2), F.avg_pool2d(wanted.raw, 2))
    for suffix, image in (("", rendering.image.clamp(-1, 1)), ("_copied", copied.image)):
        scores[f"psnr{suffix}"] = psnr(image, wanted.image)
        scores[f"ssim{suffix}"] = ssim((image + 1) / 2, (wanted.image + 1) / 2)
        if lpips_network is not None:
            scores[f"lpips{suffix}"] = lpips(lpips_network, (image + 1) / 2, (wanted.image + 1) / 2)
    if target.depth is not None and target.depth.shape[-1] == raw_size:
        scores["depth_error"] = depth_error(rendering, target.depth, target.camera)
    return scores


def depth_error(rendering: HeadRendering, depth: Float[Tensor, "b 1 s s"], camera: Camera) -> Float[Tensor, " b"]:
    """Mean absolute difference in 3DMM units (about a decimetre) along the optical axis, where both see a head.

    Args:
        rendering: its depth is measured along rays, in world units.
        depth: along the optical axis in 3DMM units, 0 where no head is.
        camera: of both.
    """
    forward = camera.cam2world[:, None, :3, 2]
    along = (camera.rays(depth.shape[-1]).directions * forward).sum(-1)
    found = rendering.depth * rearrange(along, "b (h w) -> b 1 h w", h=depth.shape[-1]) / WORLD_SCALE
    both = (depth > 0) & (rendering.weights > 0.5)
    difference = torch.where(both, (found - depth).abs(), torch.zeros_like(depth))
    return difference.flatten(1).sum(1) / both.flatten(1).sum(1).clamp_min(1)
