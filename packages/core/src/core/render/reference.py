"""The readable twin of ``core.render.volume``: the same image by the book, ray by ray alike, several times slower.

Nothing is shared with the fast renderer but the decoder's weights, the rays and the random draws: planes are read with
``grid_sample``, all rays are marched, all colours are sorted, transmittance is a product. Tests compare values and gradients.
"""

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from core.camera import Camera, Rays, Window
from core.render.decoder import colour_of
from core.render.triplane import sample_planes_torch
from core.render.volume import Rendering, VolumeRenderer


class ReferenceRenderer(VolumeRenderer):
    """``VolumeRenderer`` with the same weights and the same signature, written for reading."""

    def forward(
        self, planes: Tensor, camera: Camera, size: int, window: Window | None = None, generator: torch.Generator | None = None
    ) -> Rendering:
        """Render; see ``VolumeRenderer.forward``."""
        config = self.config
        rays = camera.rays(size, window)
        near, far, _ = self.bounds(rays)
        draws = [torch.full((*near.shape, n), 0.5).to(near) for n in (config.coarse, config.fine)]
        if generator is not None:
            draws = [torch.rand(x.shape, generator=generator, device=generator.device, dtype=x.dtype).to(x) for x in draws]

        steps = config.coarse - 1 if config.scheme == "eg3d" else config.coarse
        depths = torch.stack([near + (far - near) / steps * (i + draws[0][..., i]) for i in range(config.coarse)], -1)
        sigma, colour = self.query(planes, rays, depths)
        if config.fine:
            with torch.no_grad():
                fine = self.importance(depths, self.composite(depths, sigma, colour)[0], draws[1])
            fine_sigma, fine_colour = self.query(planes, rays, fine)
            depths, order = torch.cat([depths, fine], -1).sort(-1)
            sigma = torch.cat([sigma, fine_sigma], -1).gather(-1, order)
            colour = torch.cat([colour, fine_colour], -2).gather(-2, order[..., None].expand(*order.shape, colour.shape[-1]))
        weights, feature = self.composite(depths, sigma, colour)
        total = weights.sum(-1)
        depth = (weights * (depths[..., 1:] + depths[..., :-1]) / 2).sum(-1) / total.clamp_min(1e-10)
        depth = torch.where(total > 0, depth, far.max())
        side = size if window is None else window.size
        maps = (feature * 2 - 1, depth[..., None], total[..., None])
        feature, depth, total = (rearrange(x, "b (h w) c -> b c h w", h=side) for x in maps)
        return Rendering(feature, depth, total)

    def query(self, planes: Tensor, rays: Rays, depths: Tensor) -> tuple[Tensor, Tensor]:
        """Density and colours at depths along rays."""
        points = rays.origins[:, :, None] + depths[..., None] * rays.directions[:, :, None]
        features = sample_planes_torch(planes, points.flatten(1, 2), self.config.plane_axes, self.config.box)
        first, second = self.decoder.hidden, self.decoder.out
        hidden = features @ (first.weight * first.gain).T + first.bias
        hidden = F.softplus(hidden) if self.config.activation == "softplus" else F.silu(hidden)
        out = (hidden @ (second.weight * second.gain).T + second.bias).unflatten(1, depths.shape[1:])
        return out[..., 0], colour_of(out[..., 1:])

    def composite(self, depths: Tensor, sigma: Tensor, colour: Tensor) -> tuple[Tensor, Tensor]:
        """Weights of the intervals and the sum of their mid-point colours."""
        delta = depths[..., 1:] - depths[..., :-1]
        density = F.softplus((sigma[..., 1:] + sigma[..., :-1]) / 2 - 1) * self.config.density_scale
        alpha = 1 - torch.exp(-density * delta)
        light = torch.cumprod(torch.cat([torch.ones_like(alpha[..., :1]), 1 - alpha + 1e-10], -1), -1)[..., :-1]
        weights = alpha * light
        middle = (colour[..., 1:, :] + colour[..., :-1, :]) / 2
        return weights, (weights[..., None] * middle).sum(-2)

    def importance(self, depths: Tensor, weights: Tensor, draws: Tensor) -> Tensor:
        """Depths distributed like the weights: EG3D's pooling, then the inverse of the cumulative sum, bin by bin."""
        flat = weights.flatten(0, 1)[:, None]
        pooled = F.avg_pool1d(F.max_pool1d(flat, 2, 1, padding=1), 2, 1).view_as(weights) + self.config.floor
        bins = depths
        if self.config.scheme == "eg3d":
            bins, pooled = (depths[..., 1:] + depths[..., :-1]) / 2, pooled[..., 1:-1]
        share = (pooled + 1e-5) / (pooled + 1e-5).sum(-1, keepdim=True)
        end = share.cumsum(-1)
        start = F.pad(end, (1, -1))
        u = (torch.arange(draws.shape[-1], device=draws.device) + draws) / draws.shape[-1]
        fine = torch.zeros_like(u)
        for i in range(share.shape[-1]):
            width = bins[..., i + 1] - bins[..., i]
            inside = (u >= start[..., i : i + 1]) & ((u < end[..., i : i + 1]) | (i == share.shape[-1] - 1))
            position = (u - start[..., i : i + 1]) / share[..., i : i + 1]
            fine = torch.where(inside, bins[..., i : i + 1] + position * width[..., None], fine)
        return fine
