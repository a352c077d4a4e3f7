"""Adaptation to one person: the canonical planes learn this very photograph (``--refine``; ours, not in the paper).

The networks stay as they are; only the planes of stage 1 move. They learn from the photograph at its own pose and from the same photograph
lifted to a head that is turned and moved (``core.people``). Seen from there, depth stays that of stage 1, in the face that of the mesh,
and so does opacity: a photograph alone would be copied by planes that are nonsense from everywhere else.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from animate import HeadAvatar
from core.camera import FIT_FOCAL, WORLD_SCALE, Camera
from core.errors import PortraitError
from core.face.coeffs import FaceCoeffs
from core.face.model import FaceModel
from core.face.pncc import render_pncc
from core.people.person import Person, render
from core.render.volume import Rendering
from core.train.windows import draw_window
from einops import rearrange
from jaxtyping import Float
from recon.objective import HeadTarget
from recon.renderer import HeadRendering
from recon.views import HeadView
from torch import Tensor
from torch.nn import functional as F

from portrait.channels import MOST_STEPS
from portrait.source import Source, to_network
from portrait.stream import Progress, closed, silently

WINDOW = 32
"""Side of the windows that are rendered, raw pixels."""
TURNS = (-30, 30, -20, 20, -10, 10, -25, 25)
"""Degrees of yaw, from the photograph's own, of the lifted views."""
RATE = 0.03
"""Of Adam, in standard deviations of the planes; falls to nothing along a cosine."""
LIFTED, OPACITY, DEPTH, FEATURES = 0.5, 2.0, 4.0, 0.3
"""Weights: all of a lifted view, squared error of the opacity, depth per world unit, change of the features that are no colours."""
BORDER = 8
"""Pixels of the final image along a window's edge that do not count: the super-resolution misses their neighbours."""


@dataclass(frozen=True)
class Sight:
    """What the head looks like from one side with one expression.

    Attributes:
        view: picture, mask and camera.
        residual: what the motion adapter adds to the planes for this expression.
        wanted: features as before (later networks read them: new ones would tint what they draw); depth; opacity, of the photograph or
            as before (the outline of lifted hair is a guess).
        solid: 1 where depth counts.
        counts: 1 where colours count.
    """

    view: HeadView
    residual: Float[Tensor, "1 3 c p p"]
    wanted: Rendering
    solid: Float[Tensor, "1 1 r r"]
    counts: Float[Tensor, "1 1 r r"]


def check_steps(steps: int) -> int:
    """The number of steps; ``E_REFINE`` if it is none."""
    if isinstance(steps, bool) or not isinstance(steps, int) or not 0 <= steps <= MOST_STEPS:
        raise PortraitError("E_REFINE", f"{steps!r} is not a number of refinement steps", f"Give a whole number from 0 to {MOST_STEPS}.")
    return steps


def refine_planes(
    avatar: HeadAvatar, face: FaceModel, source: Source, steps: int, seed: int = 0, progress: Progress = silently
) -> Float[Tensor, "1 3 c p p"]:
    """Canonical planes that show ``source`` better than those of stage 1.

    Equal arguments give equal planes on a CPU; on a GPU the order of sums may differ.

    Args:
        avatar: stages 1 and 2, frozen.
        face: the 3DMM of the weights.
        source: the photograph.
        steps: of the optimiser; each looks at one window of the photograph and at one of a lifted view.
        seed: of expressions and windows.
        progress: shows how far it is.

    Raises:
        PortraitError: ``E_REFINE`` for a senseless number of steps.
    """
    device = next(avatar.parameters()).device
    with torch.no_grad():
        planes = avatar.canonical(source.head.to(device), _camera(avatar, source.coeffs).to(device))
        if not check_steps(steps):
            return planes
        photograph, *others = _sights(avatar, face, source, planes, np.random.default_rng(seed))
    randomness = torch.Generator().manual_seed(seed)
    refined = planes.clone().requires_grad_()
    optimiser = torch.optim.Adam([refined], RATE * float(planes.std()), betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    counted = progress(iter(range(steps)), "refine", steps)
    with closed(counted), torch.enable_grad():
        for step in counted:
            optimiser.zero_grad()
            _loss(avatar, refined, photograph, randomness).backward()
            (LIFTED * _loss(avatar, refined, others[step % len(others)], randomness)).backward()
            optimiser.step()
            schedule.step()
    return refined.detach()


def _loss(avatar: HeadAvatar, planes: Tensor, sight: Sight, randomness: torch.Generator) -> Float[Tensor, ""]:
    """Error of one random window."""
    raw_size = avatar.renderer.config.raw_size
    interest = F.avg_pool2d(sight.view.head_mask, sight.view.head_mask.shape[-1] // raw_size)
    window = draw_window(interest.cpu() + 0.1, min(WINDOW, raw_size), randomness)
    made = avatar.renderer(planes + sight.residual, sight.view.camera, window=window)
    wanted = (sight.wanted.weights, sight.wanted.feature, sight.wanted.depth, sight.solid, sight.counts)
    opacity, features, depth, solid, counts = (window.crop(x, 1) for x in wanted)
    shape = DEPTH * ((made.depth - depth).abs() * solid).mean() + OPACITY * F.mse_loss(made.weights, opacity)
    steady = FEATURES * (made.feature - features)[:, 3:].abs().mean()
    return _colour_error(made, HeadTarget.of(sight.view, raw_size, window), counts) + shape + steady


def _colour_error(made: HeadRendering, target: HeadTarget, counts: Float[Tensor, "1 1 s s"]) -> Float[Tensor, ""]:
    """Absolute and squared error of raw and final image."""
    border = BORDER if made.image.shape[-1] > 4 * BORDER else 0
    final = (made.image - target.image) * F.interpolate(counts, made.image.shape[2:], mode="nearest")
    parts = ((made.raw - target.raw) * counts, F.pad(final, (-border,) * 4))
    return sum(part.abs().mean() + 2 * part.square().mean() for part in parts)


def _camera(avatar: HeadAvatar, coeffs: FaceCoeffs) -> Camera:
    return Camera.from_pose(coeffs.euler, coeffs.trans, avatar.renderer.config.focal)


def _sights(avatar: HeadAvatar, face: FaceModel, source: Source, planes: Tensor, rng: np.random.Generator) -> Iterator[Sight]:
    """The photograph, then the other views: of the lifted photograph, or where it cannot be lifted of the planes as they are."""
    person = _lifted(avatar, face, source)
    poses = _poses(source, person, rng)
    exps = [torch.zeros_like(source.coeffs.exp), *(pose.exp for pose in poses)]
    neutral, *pnccs = (render_pncc(face, source.coeffs.id, exp, avatar.adapter.config.image_size).to(planes) for exp in exps)
    rest = avatar.adapter.at_rest(pnccs[0], neutral)
    for number, (pose, pncc) in enumerate(zip(poses, pnccs, strict=True)):
        residual = avatar.animate(torch.zeros_like(planes), pnccs[0], pncc, neutral, rest)
        camera = _camera(avatar, pose).to(planes.device)
        before = avatar.renderer(planes + residual, camera)
        codes = (x[0].numpy() for x in (pose.exp, pose.euler, pose.trans))
        frame = None if person is None else render(person, *codes, size=source.head.shape[-1])
        if number == 0:
            view = HeadView(source.head, source.head_mask, camera)
        elif frame is not None:
            view = HeadView(to_network(frame.head, source.head.shape[-1]), _mask(frame.head_alpha), camera)
        else:
            view = HeadView(before.image, F.interpolate(before.weights, before.image.shape[2:], mode="bilinear"), camera)
        depth = before.depth if frame is None else _with_mesh(before.depth, frame.depth, frame.labels == 3, camera)
        view, solid = view.to(planes.device), (before.weights > 0.5).to(planes)
        mask = HeadTarget.of(view, before.raw.shape[-1]).mask
        opacity, counts = (before.weights, solid) if number else (mask, torch.ones_like(solid))
        yield Sight(view, residual, Rendering(before.feature, depth, opacity), solid, counts)


def _lifted(avatar: HeadAvatar, face: FaceModel, source: Source) -> Person | None:
    """The photograph as a person, if it bears that; people are made with the embedded face model and its camera."""
    from core.people.lifted import fit_photograph, lift_observed, observe

    if face.fingerprint != FaceModel.embedded().fingerprint or avatar.renderer.config.focal != FIT_FOCAL:
        return None
    try:
        landmarks, parsing = observe(source.image, "the photograph")
        return lift_observed(source.image, "the photograph", fit_photograph(landmarks, source.coeffs), parsing)
    except PortraitError:
        return None


def _poses(source: Source, person: Person | None, rng: np.random.Generator) -> Sequence[FaceCoeffs]:
    """The photograph's own pose and expression, then turned heads: every other one with another expression."""
    from core.people.motion import sample_expression, turn_about_neck

    own = source.coeffs
    poses = [own]
    for number, turn in enumerate(TURNS):
        euler = own.euler[0].numpy() + np.array([math.radians(rng.uniform(-8, 8)), math.radians(turn), 0], np.float32)
        exp = own.exp if person is None or number % 2 else torch.from_numpy(sample_expression(person, rng))[None].float()
        trans = torch.from_numpy(turn_about_neck(own, euler))[None]
        poses.append(FaceCoeffs(own.id, exp, torch.from_numpy(euler.astype(np.float32))[None], trans))
    return poses


def _with_mesh(depth: Float[Tensor, "1 1 r r"], mesh: np.ndarray, skin: np.ndarray, camera: Camera) -> Float[Tensor, "1 1 r r"]:
    """Depth along the rays, where there is skin that of the mesh, given along the optical axis in 3DMM units."""
    along = (camera.rays(size := depth.shape[-1]).directions * camera.cam2world[:, None, :3, 2]).sum(-1)
    mesh, skin = (F.interpolate(_mask(x), (size, size)).to(depth) for x in (mesh, skin))
    found = mesh * WORLD_SCALE / rearrange(along, "b (h w) -> b 1 h w", h=size)
    return torch.where((skin > 0) & (mesh > 0), found, depth)


def _mask(image: np.ndarray) -> Float[Tensor, "1 1 s s"]:
    return rearrange(torch.from_numpy(np.ascontiguousarray(image, np.float32)), "h w -> 1 1 h w")
