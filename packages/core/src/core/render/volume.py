"""Volume rendering of tri-planes: two-pass sampling and the mid-point ray marcher (EG3D; Real3D-Portrait B.1; spec 3.3).

Between two neighbouring samples the density is ``softplus((sigma_k + sigma_k+1) / 2 - 1)`` and the colour is the mean of both, so
the image is a weighted sum of the samples' colours: ``sum_k (w_k-1 + w_k) / 2 * colour_k``. Only depths and densities have to be
sorted for that; colours, 32 numbers each, stay where they were computed. ``core.render.reference`` is the readable twin.
"""

from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from core.camera import Camera, Rays, Window
from core.render.bundle import Bundle, blank, put_back, take, worthwhile
from core.render.decoder import COLOUR_SCALE, COLOUR_SHIFT, Activation, PlaneDecoder
from core.render.sampling import Misses, Noise, Scheme, fill_misses, importance, merged_ranks, ray_bounds, stratified
from core.render.shared_pass import march_shared
from core.render.triplane import AXES, PlaneAxes, PlaneSampler, sample_planes

Maps = tuple[Tensor, ...]
CHUNK = 4096
"""Rays per pass without autograd on a CPU: what fits into its caches."""
WIDEST = 64
"""Channels, hidden units and features that the fused kernels hold in registers."""


@dataclass(frozen=True)
class VolumeConfig:
    """Everything that decides what a tri-plane looks like; the defaults are the published model."""

    channels: int = 32
    """Channels of the planes."""
    hidden: int = 64
    """Width of the decoder's hidden layer."""
    features: int = 32
    """Channels of the rendered feature image; the first three are RGB."""
    activation: Activation = "softplus"
    """Hidden activation of the decoder; silu is cheaper on CPUs."""
    sigma_bias: float = 0.0
    """Initial bias of the raw density."""
    density_scale: float = 1.0
    """Factor on the density; larger lets a network trained from scratch make surfaces opaque sooner."""
    coarse: int = 48
    """Samples per ray of the first pass."""
    fine: int = 48
    """Samples per ray of the second pass, placed where the first found something; 0 leaves it out."""
    quick: tuple[int, int] | None = None
    """Samples of both passes after ``VolumeRenderer.quicken``; None: no fewer than that."""
    quick_shared: bool = False
    """Besides, on a CPU, one ray of the first pass serves four pixels (``core.render.shared_pass``)."""
    scheme: Scheme = "eg3d"
    """Strata and importance sampling as in the published code, or by the textbook (see ``core.render.sampling``)."""
    floor: float = 0.01
    """Weight that importance sampling gives to intervals where the first pass found nothing."""
    skip_below: float = 0.0
    """At inference on a CPU, rays of which the first pass found less opacity than this get no second; 0: all do."""
    plane_axes: PlaneAxes = "eg3d"
    """``eg3d``: (x,y), (x,z), (z,x) as in all published weights. ``xyz``: (x,y), (x,z), (z,y), for networks trained from scratch."""
    box: float = 1.0
    """Side of the cube that the planes span, world units."""
    bound_centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Centre of the ellipsoid that holds the head."""
    bound_radius: tuple[float, float, float] | None = None
    """Its semi-axes. Outside is empty and not sampled, so fewer samples suffice. None: the whole box."""
    ray_range: tuple[float, float] | None = None
    """Fixed nearest and farthest distance for all rays, as in NVIDIA's weights (2.25 to 3.3). None: where each ray meets the volume."""
    misses: Misses = "empty"
    """What rays show that miss the volume: nothing, or with ``eg3d`` the decoder's answer to zero features, as in published code."""

    def __post_init__(self) -> None:
        for name in ("bound_centre", "bound_radius", "ray_range", "quick"):
            value = getattr(self, name)
            object.__setattr__(self, name, value if value is None else tuple(value))  # JSON knows lists only
        least = 4 if self.scheme == "eg3d" else 2
        if self.fine and self.coarse < least:
            raise ValueError(f"coarse={self.coarse}: {least} samples at least, or there is no interval to place fine samples in")


@dataclass(frozen=True)
class Rendering:
    """What one pass of the renderer gives.

    Attributes:
        feature: feature image in [-1.002, 1.002], empty -1; the first three channels are the raw RGB image.
        depth: mean distance along the ray, world units; the farthest bound where nothing was met.
        weights: opacity in [0, 1), the head mask ``M_head``.
    """

    feature: Float[Tensor, "b c s s"]
    depth: Float[Tensor, "b 1 s s"]
    weights: Float[Tensor, "b 1 s s"]


class VolumeRenderer(nn.Module):
    """Camera and planes to a feature image, its depth and its opacity. The only weights are the decoder's.

    Attributes:
        config: what it renders by; fewer samples than ``trained`` has once quickened.
        trained: as given.
        fused: on CUDA, draw with ``core.render.volume_triton`` where it fits; False: always with tensors.
        shared: on a CPU and without gradients, four rays of a whole picture share a first pass.
    """

    def __init__(self, config: VolumeConfig) -> None:
        super().__init__()
        self.config = self.trained = config
        self.fused, self.shared = True, False
        self.decoder = PlaneDecoder(config.channels, config.hidden, config.features, config.activation, config.sigma_bias)

    def quicken(self) -> "VolumeRenderer":
        """Take as many samples as ``config.quick`` says from now on, for inference; ``train()`` takes it back."""
        if self.trained.quick is not None:
            coarse, fine = self.trained.quick
            self.config = replace(self.trained, coarse=coarse, fine=fine)
        self.shared = self.trained.quick_shared
        return self

    def train(self, mode: bool = True) -> "VolumeRenderer":
        """Training needs all samples."""
        if mode:
            self.config, self.shared = self.trained, False
        return super().train(mode)

    def forward(
        self,
        planes: Float[Tensor, "b 3 c h w"],
        camera: Camera,
        size: int,
        window: Window | None = None,
        generator: torch.Generator | None = None,
    ) -> Rendering:
        """Render.

        Args:
            planes: feature planes, flipped and ready (``flip_planes``).
            camera: one per sample.
            size: side of the full image in pixels.
            window: render only this part of the image; the result then has its size.
            generator: jitters the samples (training). None samples the middle of every stratum: equal input, equal output.
        """
        side = size if window is None else window.size
        with torch.autocast(planes.device.type, enabled=False):  # densities need the precision
            bundle, hit = self._bundle(camera.rays(size, window), generator)
            if self._fused_fits(planes, bundle):
                # a compiler leaves the kernels as they are; asked for only then, because its import takes seconds
                march = torch.compiler.disable(self._march_fused) if torch.compiler.is_compiling() else self._march_fused
                values = march(planes, bundle)
            else:
                planes = planes if planes.dtype == torch.float64 else planes.float()
                wide = camera.rays(side // 2) if generator is None and self._shared_fits(planes, size, window) else None
                values = (
                    self._draw(planes, bundle, hit, generator is None) if wide is None else self._draw_shared(planes, wide, bundle, hit)
                )
        feature, depth, weights = (rearrange(x, "b (h w) c -> b c h w", h=side) for x in values)
        return Rendering(feature, depth, weights)

    def _draw(self, planes: Tensor, bundle: Bundle, hit: Tensor, still: bool) -> Maps:
        if still and self._compiled_fits(planes):
            from core.render.march_numba import march_rays

            return march_rays(planes, self.decoder, AXES[self.config.plane_axes], self.config, bundle, hit)
        return self._render(PlaneSampler(planes, self.config.plane_axes, self.config.box), bundle, hit)

    def _draw_shared(self, planes: Tensor, wide: Rays, bundle: Bundle, hit: Tensor) -> Maps:
        first, second = self._bundle(wide, None), (bundle, hit)
        if self._compiled_fits(planes):
            from core.render.shared_numba import march_shared as march_compiled

            return march_compiled(planes, self.decoder, AXES[self.config.plane_axes], self.config, first, second)
        return march_shared(self, planes, first, second)

    def _shared_fits(self, planes: Tensor, size: int, window: Window | None) -> bool:
        """Whether the first pass may be shared: for inference on a CPU, of whole pictures of an even size."""
        plain = self.config.misses == "empty" and self.config.fine > 1 and window is None and size % 2 == 0
        return self.shared and plain and planes.device.type == "cpu" and not torch.is_grad_enabled()

    def _fused_fits(self, planes: Tensor, bundle: Bundle) -> bool:
        """Whether ``core.render.volume_triton`` can draw this: on CUDA with Triton, up to float32, cameras without gradients."""
        config = self.config
        known = max(config.channels, config.hidden, config.features) <= WIDEST and planes.dtype != torch.float64
        fixed = not (bundle.origins.requires_grad or bundle.directions.requires_grad)
        return self.fused and planes.device.type == "cuda" and known and fixed and has_triton()

    def _compiled_fits(self, planes: Tensor) -> bool:
        """Whether ``core.render.march_numba`` can draw this: for inference on a CPU, with two passes of more than a few samples."""
        enough = self.config.fine > 0 and self.config.coarse > 3 and planes.shape[-1] == planes.shape[-2]
        return enough and planes.device.type == "cpu" and planes.dtype == torch.float32 and not torch.is_grad_enabled()

    def chord(self, camera: Camera, size: int) -> Float[Tensor, "b 1 s s"]:
        """How far the ray of every pixel runs through the volume that the planes describe, world units; 0 where it misses."""
        config = self.config
        near, far, _ = ray_bounds(camera.rays(size), config.box, config.bound_centre, config.bound_radius)
        return rearrange(far - near, "b (h w) -> b 1 h w", h=size)

    def density(self, planes: Float[Tensor, "b 3 c h w"], points: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n"]:
        """Raw density (before bias and softplus) at world points, for regularisers."""
        return self.decoder.sigma(sample_planes(planes, points, self.config.plane_axes, self.config.box))

    def bounds(self, rays: Rays) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n"], Bool[Tensor, "b n"]]:
        """Where to sample each ray, near and far, and whether it is worth sampling."""
        config = self.config
        near, far, hit = ray_bounds(rays, config.box, config.bound_centre, config.bound_radius)
        if config.ray_range is not None:
            near, far = (torch.full_like(near, depth) for depth in config.ray_range)
            return near, far, torch.ones_like(hit)
        return fill_misses(near, far, hit) if config.misses == "eg3d" else (near, far, hit)

    def _bundle(self, rays: Rays, generator: torch.Generator | None) -> tuple[Bundle, Tensor]:
        config, shape = self.config, rays.origins.shape[:2]
        near, far, hit = self.bounds(rays)
        noise: list[Noise] = [0.5, 0.5]
        if generator is not None:
            for i, count in enumerate((config.coarse, config.fine)):
                draw = torch.rand(*shape, count, generator=generator, device=generator.device, dtype=near.dtype)
                noise[i] = draw.to(near.device)
        return Bundle(rays.origins, rays.directions, near, far, *noise), hit

    def _render(self, sampler: PlaneSampler, bundle: Bundle, hit: Tensor) -> Maps:
        """Leave out rays that miss (on a CPU; elsewhere counting them would stall the device), march, put the results back."""
        on_cpu = hit.device.type == "cpu"
        empty_depth = bundle.far.max()
        index = worthwhile(hit) if on_cpu else None
        chosen = bundle if index is None else bundle.take(index)
        rays = max(chosen.near.shape[1], 1)
        step = CHUNK if on_cpu and not torch.is_grad_enabled() else rays
        parts = [self.march(sampler, chosen.part(i, i + step), empty_depth) for i in range(0, rays, step)]
        found = tuple(torch.cat(p, 1) if len(p) > 1 else p[0] for p in zip(*parts, strict=True))
        if index is None:
            return found
        blanks = (-1.0, empty_depth, 0.0)
        return tuple(put_back(x, index, blank(x, hit.shape[1], value)) for x, value in zip(found, blanks, strict=True))

    def _march_fused(self, planes: Tensor, bundle: Bundle) -> Maps:
        """``march`` of all rays through kernels that keep samples in registers."""
        from core.render.volume_triton import Scene, density, march

        config = self.config
        scene = Scene.of(planes, self.decoder, AXES[config.plane_axes], config.box)
        depths = stratified(bundle.near, bundle.far, config.coarse, config.scheme, bundle.coarse_noise)
        if config.fine:
            with torch.no_grad():
                fine, rank = self._second_pass(bundle, depths, self.interval_weights(depths, density(scene, bundle, depths)))
                depths = merged([depths, fine], rank)
        sums, moment, total = march(scene, bundle, depths, config.density_scale)
        return self._maps(sums[..., : config.features], moment, total, bundle.far.max())

    def march(self, sampler: PlaneSampler, bundle: Bundle, empty_depth: Float[Tensor, ""]) -> Maps:
        """Feature in [-1, 1] (b, n, f), depth and opacity (b, n, 1) of rays."""
        config = self.config
        depths = stratified(bundle.near, bundle.far, config.coarse, config.scheme, bundle.coarse_noise)
        sigma, logits = self.query(sampler, bundle, depths)
        if not config.fine:
            return self.shade(depths, sigma, None, [logits], empty_depth)
        with torch.no_grad():
            weights = self.interval_weights(depths, sigma)
        coarse = (depths, sigma, logits, weights)
        if torch.is_grad_enabled() or sigma.device.type != "cpu" or not config.skip_below:
            return self._refine(sampler, bundle, coarse, empty_depth)
        index = worthwhile(weights.sum(-1) > config.skip_below)
        if index is None:
            return self._refine(sampler, bundle, coarse, empty_depth)
        rough = self.shade(depths, sigma, None, [logits], empty_depth)
        fine = self._refine(sampler, bundle.take(index), tuple(take(x, index) for x in coarse), empty_depth)
        return tuple(put_back(x, index, whole) for x, whole in zip(fine, rough, strict=True))

    def _refine(self, sampler: PlaneSampler, bundle: Bundle, coarse: tuple[Tensor, ...], empty_depth: Tensor) -> Maps:
        """Sample again where the first pass found something, and shade both passes' samples together."""
        depths, sigma, logits, weights = coarse
        with torch.no_grad():
            fine, rank = self._second_pass(bundle, depths, weights)
        fine_sigma, fine_logits = self.query(sampler, bundle, fine)
        depths, sigma = merged([depths, fine], rank), merged([sigma, fine_sigma], rank)
        return self.shade(depths, sigma, rank, [logits, fine_logits], empty_depth)

    def _second_pass(self, bundle: Bundle, depths: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Depths of the second pass, and where those of both belong among all."""
        config = self.config
        fine = importance(depths, weights, config.fine, config.scheme, bundle.fine_noise, config.floor)
        return fine, merged_ranks(depths, fine)

    def shade(self, depths: Tensor, sigma: Tensor, rank: Tensor | None, logits: list[Tensor], empty_depth: Tensor) -> Maps:
        """Composite sorted depths and densities; ``rank`` tells where the unsorted colours ``logits`` belong among them."""
        weights = self.interval_weights(depths, sigma)
        share = (F.pad(weights, (1, 0)) + F.pad(weights, (0, 1))) / 2
        if rank is not None:
            share = share.gather(-1, rank)
        shares = share.split([x.shape[2] for x in logits], -1)
        colour = sum(weighted_sum(part, x.sigmoid()) for part, x in zip(shares, logits, strict=True))
        middle = (depths[..., 1:] + depths[..., :-1]) / 2
        return self._maps(colour, (weights * middle).sum(-1, keepdim=True), weights.sum(-1, keepdim=True), empty_depth)

    @staticmethod
    def _maps(colour: Tensor, moment: Tensor, total: Tensor, empty_depth: Tensor) -> Maps:
        """From weighted sums of colours, of mid-depths and of nothing else."""
        colour = colour * COLOUR_SCALE + total * COLOUR_SHIFT  # colour_of() is affine, so it can follow the sum
        return colour * 2 - 1, torch.where(total > 0, moment / total.clamp_min(1e-10), empty_depth), total

    def interval_weights(self, depths: Float[Tensor, "b n s"], sigma: Float[Tensor, "b n s"]) -> Float[Tensor, "b n i"]:
        """Share of every interval between neighbouring samples in the pixel: opacity times transmittance so far."""
        density = F.softplus((sigma[..., 1:] + sigma[..., :-1]) / 2 - 1) * self.config.density_scale
        optical = density * (depths[..., 1:] - depths[..., :-1])
        before = optical.cumsum(-1) - optical
        return torch.exp(-before) * -torch.expm1(-optical)

    def query(self, sampler: PlaneSampler, bundle: Bundle, depths: Tensor) -> tuple[Tensor, Tensor]:
        """Raw density (b, n, s) and colour logits (b, n, s, f) at depths along rays."""
        points = bundle.origins[:, :, None] + depths[..., None] * bundle.directions[:, :, None]
        sigma, logits = self.decoder(sampler(rearrange(points, "b n s k -> b (n s) k")))
        return sigma.unflatten(1, depths.shape[1:]), logits.unflatten(1, depths.shape[1:])


@cache
def has_triton() -> bool:
    """Whether Triton is installed; torch brings it on Linux."""
    return find_spec("triton") is not None


def merged(parts: list[Float[Tensor, "b n _"]], rank: Int[Tensor, "b n t"]) -> Float[Tensor, "b n t"]:
    """Values of both passes in the order of ``merged_ranks``."""
    union = torch.cat(parts, -1)
    return torch.zeros_like(union).scatter(-1, rank, union)


def weighted_sum(weights: Float[Tensor, "b n s"], values: Float[Tensor, "b n s f"]) -> Float[Tensor, "b n f"]:
    """Sum over the samples of every ray."""
    return (weights[..., None, :] @ values).squeeze(-2)
