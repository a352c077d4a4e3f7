"""One frame of the embedded `tiny`, whole and stage by stage, on a real photograph."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cache

import torch
from compose import HTBSR
from compose.lookback import HeadSurface, LookBack, head_surface, look_back
from core.camera import Camera
from core.face import FaceCoeffs, render_pncc
from core.face.torso_points import torso_keypoints
from core.render.reference import ReferenceRenderer
from core.render.volume import Rendering
from portrait import Portrait
from portrait.plan import Plan
from portrait.source import Source

from benchmarks.faces import talking
from benchmarks.row import Case, Row

CLIP = 8
"""Frames of the whole-frame row; enough that the work done once per source weighs little."""


@dataclass(frozen=True)
class Scene:
    """Networks, photograph and one moved frame.

    Attributes:
        portrait: the application.
        source: the astronaut of scikit-image, taken apart.
        motion: frames to render.
        planes: canonical planes.
        pncc: source, driver, neutral.
    """

    portrait: Portrait
    source: Source
    motion: FaceCoeffs
    planes: torch.Tensor
    pncc: tuple[torch.Tensor, torch.Tensor, torch.Tensor]

    @property
    def camera(self) -> Camera:
        """Of the first frame."""
        focal = self.portrait.avatar.renderer.config.focal
        return Camera.from_pose(self.motion.euler[:1], self.motion.trans[:1], focal).to(self.planes.device)


@cache
def _scene(device: torch.device) -> Scene:
    from skimage.data import astronaut

    portrait = Portrait.from_pretrained("tiny", device=str(device))
    source = portrait.prepare(astronaut())
    swaying, still = talking(CLIP), source.coeffs
    motion = FaceCoeffs(
        still.id.expand(CLIP, -1), still.exp + 0.3 * swaying.exp, still.euler + 0.5 * swaying.euler, still.trans.expand(CLIP, -1)
    )
    size = portrait.avatar.adapter.config.image_size
    expressions = torch.cat([still.exp, motion.exp[:1], 0 * still.exp])
    pncc = render_pncc(portrait.face, still.id.expand(3, -1), expressions, size).to(device).chunk(3)
    with torch.inference_mode():
        camera = Camera.from_pose(still.euler, still.trans, portrait.avatar.renderer.config.focal).to(device)
        planes = portrait.avatar.canonical(source.head.to(device), camera)
    return Scene(portrait, source, motion, planes, pncc)


def _inference(run: Callable[[], object]) -> Callable[[], object]:
    return torch.inference_mode()(run)


def _reconstruct(device: torch.device) -> Case:
    scene = _scene(device)
    head, camera = scene.source.head.to(device), scene.camera
    return Case(_inference(lambda: scene.portrait.avatar.canonical(head, camera)), unit="photograph")


def _adapter(device: torch.device) -> Case:
    scene = _scene(device)
    adapter, (src, drv, cano) = scene.portrait.avatar.adapter, scene.pncc
    with torch.inference_mode():
        rest = adapter.at_rest(src, cano)
    return Case(
        _inference(lambda: adapter(src, drv, cano, rest)),
        baseline=_inference(lambda: adapter(src, drv, cano)),
        baseline_name="resting half anew",
    )


def _volume(device: torch.device) -> Case:
    scene = _scene(device)
    renderer = scene.portrait.avatar.renderer
    twin = ReferenceRenderer(renderer.volume.config).to(device).eval()
    twin.load_state_dict(renderer.volume.state_dict())
    size = renderer.config.raw_size

    def note(ours: object, theirs: object) -> str:
        return f"largest difference {(ours.feature - theirs.feature).abs().max().item():.1e}"

    return Case(
        _inference(lambda: renderer.render_raw(scene.planes, scene.camera)),
        baseline=_inference(lambda: twin(scene.planes, scene.camera, size)),
        baseline_name="readable twin",
        note=note,
    )


def _surface(scene: Scene, head: Rendering, camera: Camera, coeffs: FaceCoeffs) -> HeadSurface:
    chord = scene.portrait.avatar.renderer.volume.chord(camera, head.depth.shape[-1])
    return head_surface(scene.portrait.face, head, chord, coeffs, scene.source.coeffs.exp)


def _looking_back(scene: Scene) -> tuple[Rendering, Callable[[], LookBack]]:
    """The rendered head of the frame, and what looks back from it."""
    still, portrait = scene.source.coeffs, scene.portrait
    camera = Camera.from_pose(still.euler, still.trans, portrait.avatar.renderer.config.focal).to(scene.planes.device)
    with torch.inference_mode():
        photographed, head = (portrait.avatar.renderer.render_raw(scene.planes, each) for each in (camera, scene.camera))
        source = _surface(scene, photographed, camera, still)
    return head, lambda: look_back(_surface(scene, head, scene.camera, scene.motion[:1]), scene.camera, source, camera)


def _lookback(device: torch.device) -> Case:
    return Case(_inference(_looking_back(_scene(device))[1]))


def _compose(device: torch.device) -> Case:
    scene = _scene(device)
    folded = scene.portrait.compositor
    plain = deepcopy(folded).train().eval()  # training takes the folding back
    head, back = _looking_back(scene)
    source = scene.source
    given = (source.torso, source.segmap, source.background, source.torso_mask, source.head, source.head_mask)
    layers = [layer.to(device) for layer in given]
    points = [torso_keypoints(scene.portrait.face, coeffs).to(device) for coeffs in (source.coeffs, scene.motion[:1])]
    with torch.inference_mode():
        view = back()

    def run(network: HTBSR) -> Callable[[], torch.Tensor]:
        with torch.inference_mode():
            features = network.prepare(*layers)
        return _inference(lambda: network(head.feature, head.weights, features, *points, view).image)

    def note(ours: object, theirs: object) -> str:
        return f"largest difference {(ours - theirs).abs().max().item():.1e}"

    return Case(run(folded), baseline=run(plain), baseline_name="without folding", note=note)


def _frame(device: torch.device) -> Case:
    scene = _scene(device)
    plan = Plan(scene.source, scene.source.background, scene.motion)
    return Case(lambda: [frame.index for frame in scene.portrait.render(plan)], items=CLIP)


ROWS = (
    Row("tiny.reconstruct", _reconstruct, cuda=True),
    Row("tiny.adapter", _adapter, cuda=True),
    Row("tiny.volume", _volume, cuda=True),
    Row("tiny.lookback", _lookback, cuda=True),
    Row("tiny.compose", _compose, cuda=True),
    Row("tiny.frame", _frame, bar=8, cuda=True),
)
