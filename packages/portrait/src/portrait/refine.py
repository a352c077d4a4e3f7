"""Adaptation to one person: the canonical planes learn this very photograph (``--refine``; ours, not in the paper).

The networks stay as they are; only the planes of stage 1 move. They learn from the photograph at its own pose and from the same photograph
lifted to a head that is turned and moved (``core.people``). Seen from there, depth stays that of stage 1, in the face that of the mesh,
and opacity may not run away: a photograph alone would be copied by planes that are nonsense from everywhere else.
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
from core.people.person import Person, PersonFrame
from core.train.windows import draw_window
from einops import rearrange
from jaxtyping import Float
from recon.objective import HeadTarget
from recon.renderer import HeadRendering
from recon.views import HeadView
from torch import Tensor
from torch.nn import functional as F

from portrait.channels import MOST_STEPS
from portrait.source import Source
from portrait.stream import Progress, closed, silently

WINDOW = 32
"""Side of the windows that are rendered, raw pixels."""
TURNS = (-30, 30, -20, 20, -10, 10, -25, 25)
"""Degrees of yaw, from the photograph's own, of the lifted views."""
RATE = 0.03
"""Of Adam, in standard deviations of the planes; falls to nothing along a cosine."""
LIFTED, OPACITY, DEPTH, STAY = 0.5, 0.5, 4.0, 0.5
"""Weights: colours of lifted views, squared error of the opacity, depth per world unit, squared change of the opacity."""
BORDER = 8
"""Pixels of the final image along a window's edge that do not count: the super-resolution misses their neighbours."""


@dataclass(frozen=True)
class Sight:
    """What the head looks like from one side with one expression.

    Attributes:
        view: picture, mask and camera.
        residual: what the motion adapter adds to the planes for this expression.
        opacity: before the refinement.
        depth: wanted along the rays, world units.
        solid: 1 where ``depth`` counts.
    """

    view: HeadView
    residual: Float[Tensor, "1 3 c p p"]
    opacity: Float[Tensor, "1 1 r r"]
    depth: Float[Tensor, "1 1 r r"]
    solid: Float[Tensor, "1 1 r r"]


def check_steps(steps: int) -> int:
    """The number of steps, if it is one.

    Raises:
        PortraitError: ``E_REFINE``.
    """
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
    opacity, depth, solid = (window.crop(x, 1) for x in (sight.opacity, sight.depth, sight.solid))
    shape = DEPTH * ((made.depth - depth).abs() * solid).mean() + STAY * F.mse_loss(made.weights, opacity)
    return _colour_error(made, HeadTarget.of(sight.view, raw_size, window)) + shape


def _colour_error(made: HeadRendering, target: HeadTarget) -> Float[Tensor, ""]:
    """Absolute and squared error of raw and final image, and of the opacity."""
    border = BORDER if made.image.shape[-1] > 4 * BORDER else 0
    final = F.pad(made.image - target.image, (-border,) * 4)
    parts = (made.raw - target.raw, final)
    return sum(part.abs().mean() + 2 * part.square().mean() for part in parts) + OPACITY * F.mse_loss(made.weights, target.mask)


def _camera(avatar: HeadAvatar, coeffs: FaceCoeffs) -> Camera:
    return Camera.from_pose(coeffs.euler, coeffs.trans, avatar.renderer.config.focal)


def _sights(avatar: HeadAvatar, face: FaceModel, source: Source, planes: Tensor, rng: np.random.Generator) -> Iterator[Sight]:
    """The photograph, then the other views: of the lifted photograph, or where it cannot be lifted of the planes as they are."""
    person = _lifted(avatar, face, source)
    poses = _poses(source, person, rng)
    pnccs = [render_pncc(face, source.coeffs.id, exp, avatar.adapter.config.image_size).to(planes) for exp in
             (torch.zeros_like(source.coeffs.exp), source.coeffs.exp)]  # fmt: skip
    rest = avatar.adapter.at_rest(pnccs[1], pnccs[0])
    for number, pose in enumerate(poses):
        pncc = render_pncc(face, pose.id, pose.exp, avatar.adapter.config.image_size).to(planes)
        residual = avatar.animate(torch.zeros_like(planes), pnccs[1], pncc, pnccs[0], rest)
        camera = _camera(avatar, pose).to(planes.device)
        before = avatar.renderer(planes + residual, camera)
        frame = None if person is None else _shown(person, pose, source.head.shape[-1])
        if number == 0:
            view = HeadView(source.head, source.head_mask, camera)
        elif frame is not None:
            view = HeadView(_picture(frame.head), _mask(frame.head_alpha), camera)
        else:
            view = HeadView(before.image, F.interpolate(before.weights, before.image.shape[2:], mode="bilinear"), camera)
        depth = before.depth if frame is None else _with_mesh(before.depth, frame, camera)
        yield Sight(view.to(planes.device), residual, before.weights, depth, (before.weights > 0.5).to(planes))


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


def _shown(person: Person, pose: FaceCoeffs, size: int) -> PersonFrame:
    from core.people.person import render

    return render(person, pose.exp[0].numpy(), pose.euler[0].numpy(), pose.trans[0].numpy(), size)


def _with_mesh(depth: Float[Tensor, "1 1 r r"], frame: PersonFrame, camera: Camera) -> Float[Tensor, "1 1 r r"]:
    """Depth along the rays, in the face (class 3) that of the mesh."""
    size = depth.shape[-1]
    along = (camera.rays(size).directions * camera.cam2world[:, None, :3, 2]).sum(-1)
    mesh, skin = (F.interpolate(_mask(x), (size, size)).to(depth) for x in (frame.depth, (frame.labels == 3).astype(np.float32)))
    found = mesh * WORLD_SCALE / rearrange(along, "b (h w) -> b 1 h w", h=size)
    return torch.where((skin > 0) & (mesh > 0), found, depth)


def _picture(image: np.ndarray) -> Float[Tensor, "1 3 s s"]:
    return rearrange(torch.from_numpy(np.ascontiguousarray(image)).float(), "h w c -> 1 c h w") / 127.5 - 1


def _mask(image: np.ndarray) -> Float[Tensor, "1 1 s s"]:
    return rearrange(torch.from_numpy(np.ascontiguousarray(image, np.float32)), "h w -> 1 1 h w")
