"""From the numbers of a plan to pictures, a few frames at a time."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from animate import HeadAvatar
from compose import HTBSR
from compose.gaze import Eye, looking, open_eyes
from compose.lookback import HeadSurface, LookBack, head_surface, look_back
from compose.model import SourceFeatures
from compose.mouth_layer import mouth_of, with_mouths
from core.camera import Camera
from core.errors import PortraitError
from core.face.coeffs import FaceCoeffs
from core.face.model import FaceModel
from core.face.pncc import render_pncc
from core.face.torso_points import followed_keypoints
from core.render.volume import Rendering
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from portrait.plan import Plan
from portrait.precision import computing
from portrait.source import face_points, to_image, to_network
from portrait.stream import prefetch, side_by_side
from portrait.timing import StageTimer
from portrait.torso_memory import TorsoMemory, near_by

if TYPE_CHECKING:
    from core.people.mouth import Mouth

WORKERS = 4
"""Frames drawn at once on a CPU at most; each needs about 200 MiB."""
SOME = 1000
"""Frames whose key points are worked out together."""


@dataclass(frozen=True)
class Frame:
    """One frame of the result.

    Attributes:
        index: 0, 1, 2, ... at 25 frames per second.
        image: RGB.
        maps: for frames that were asked for: ``pncc``, ``raw`` (head before super-resolution) and ``depth`` (near is bright), RGB.
    """

    index: int
    image: UInt8[np.ndarray, "s s 3"]
    maps: dict[str, UInt8[np.ndarray, "s s 3"]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Scene:
    """What depends on the source only: computed once per clip."""

    planes: Tensor
    features: SourceFeatures
    pncc_cano: Tensor
    pncc_src: Tensor
    rest: Tensor | None
    keypoints: Tensor
    coeffs: FaceCoeffs
    camera: Camera
    surface: HeadSurface | None
    mouth: "Mouth | None"
    eyes: tuple[Eye, ...] = ()


def depth_picture(depth: Float[Tensor, "b 1 s s"], weights: Float[Tensor, "b 1 s s"]) -> UInt8[np.ndarray, "b s s 3"]:
    """Depth as grey, near is bright; black where there is no head. Scaled per image to what the head covers."""
    covered = weights > 0.5
    far = torch.where(covered, depth, -torch.inf).flatten(1).amax(1).view(-1, 1, 1, 1)
    near = torch.where(covered, depth, torch.inf).flatten(1).amin(1).view(-1, 1, 1, 1)
    grey = torch.where(covered, (far - depth) / (far - near).clamp_min(1e-6) * 1.8 - 0.8, -1.0)
    return to_image(torch.nan_to_num(grey, -1.0).expand(-1, 3, -1, -1))


def _repeat(value: Any, n: int) -> Any:
    """A dataclass of tensors with a batch of one as a batch of ``n``, without copying."""
    if value is None:
        return None
    if isinstance(value, Tensor):
        return value.expand(n, *value.shape[1:])
    return replace(value, **{item.name: _repeat(getattr(value, item.name), n) for item in fields(value)})


class Renderer:
    """Renders plans with trained networks.

    Args:
        avatar: stages 1 and 2, on ``device``.
        compositor: stage 3, on ``device``.
        face: the 3DMM.
        device: where the networks are.
        batch: frames computed together.
        timer: gets the time of every stage.
        precision: type in which ``avatar``'s networks multiply; the compositor is folded in its own.
    """

    def __init__(
        self, avatar: HeadAvatar, compositor: HTBSR, face: FaceModel, device: torch.device, batch: int, timer: StageTimer,
        precision: torch.dtype = torch.float32,
    ) -> None:  # fmt: skip
        self.precision = precision
        self.avatar, self.compositor, self.face = avatar, compositor, face
        self.device, self.batch, self.timer = device, batch, timer
        self._gaze: tuple[Tensor, list[float], Tensor] | None = None
        self._torsos = TorsoMemory(compositor)

    def frames(self, plan: Plan, maps: Collection[int] = ()) -> Iterator[Frame]:
        """All frames of ``plan`` in order. Their PNCCs are drawn ahead in another thread, and on a CPU several frames side by side.

        Args:
            plan: what to render.
            maps: indices of the frames that shall carry their intermediate pictures.

        Raises:
            PortraitError: ``E_MEMORY`` when the GPU is full.
        """
        try:
            scene = self._scene(plan)
            looked = near_by(self._torso_points(scene, plan.motion))

            def draw(item: tuple[int, Tensor]) -> list[Frame]:
                start, pncc = item
                wanted = [i for i in range(len(pncc)) if start + i in maps]
                part = slice(start, start + len(pncc))
                gaze = None if plan.gaze is None else plan.gaze[part]
                images, extra = self._batch(scene, plan.motion[part], pncc, wanted, gaze, plan.motion[looked[part]])
                shown = ({name: pictures[i] for name, pictures in extra.items()} if i in wanted else {} for i in range(len(images)))
                return [Frame(start + i, image, map_) for i, (image, map_) in enumerate(zip(images, shown, strict=True))]

            for frames in side_by_side(draw, prefetch(self._pnccs(plan.motion)), self.workers):
                yield from frames
        except torch.cuda.OutOfMemoryError as error:
            raise PortraitError("E_MEMORY", "the GPU has too little free memory", "Free some, or use --device cpu.") from error

    def live(self, plan: Plan) -> Callable[[FaceCoeffs], UInt8[np.ndarray, "n s s 3"]]:
        """What draws frames one after the other, or side by side, as their motion becomes known; that of ``plan`` is not used."""
        scene = self._scene(plan)
        return lambda part: self._batch(scene, part, self._pncc(part), [], None, part)[0]

    @property
    def workers(self) -> int:
        """How many batches are drawn at once: on a CPU as many as torch has threads, within reason for the memory."""
        return min(torch.get_num_threads(), WORKERS) if self.device.type == "cpu" else 1

    @torch.inference_mode()
    def _scene(self, plan: Plan) -> _Scene:
        source = plan.source
        with self.timer("source networks"):
            identity, rest = source.coeffs.id, torch.zeros_like(source.coeffs.exp)
            pnccs = [render_pncc(self.face, identity, exp, self._pncc_size).to(self.device) for exp in (rest, source.coeffs.exp)]
            camera = self._camera(source.coeffs)
            planes = self._canonical(source.head.to(self.device), camera) if source.planes is None else source.planes.to(self.device)
            layers = (source.torso, source.segmap, plan.background, source.torso_mask, source.head, source.head_mask)
            points = face_points(self.face, source.coeffs)
            features = self.compositor.prepare(*(x.to(self.device) for x in layers), points)
            surface, mouth, eyes = None, None, ()
            if self.compositor.config.head_skip:
                eyes = open_eyes(points[0].cpu().numpy(), self.compositor.config.image_size)
                mouth = mouth_of(self.face, to_network(source.image, self.compositor.config.image_size), source.coeffs)
                head = self.avatar.renderer.render_raw(planes, camera)
                surface = self._surface(head, camera, source.coeffs, source.coeffs.exp, source.head_mask.to(self.device))
            with computing(self.precision, self.device):
                rest = self.avatar.adapter.at_rest(pnccs[1], pnccs[0])
        return _Scene(planes, features, *pnccs, rest, source.keypoints.to(self.device), source.coeffs, camera, surface, mouth, eyes)

    def _canonical(self, head: Tensor, camera: Camera) -> Tensor:
        with computing(self.precision, self.device):
            return self.avatar.canonical(head, camera).float()

    def _camera(self, coeffs: FaceCoeffs) -> Camera:
        return Camera.from_pose(coeffs.euler, coeffs.trans, self.avatar.renderer.config.focal).to(self.device)

    def _surface(self, head: Rendering, camera: Camera, coeffs: FaceCoeffs, source_exp: Tensor, mask: Tensor | None = None) -> HeadSurface:
        chord = self.avatar.renderer.volume.chord(camera, head.depth.shape[-1])
        return head_surface(self.face, head, chord, coeffs, source_exp, mask)

    def _look_back(self, scene: _Scene, head: Rendering, part: FaceCoeffs, camera: Camera) -> LookBack | None:
        if scene.surface is None:
            return None
        n = len(part)
        surface = self._surface(head, camera, part, scene.coeffs.exp.expand(n, -1))
        view = look_back(surface, camera, _repeat(scene.surface, n), _repeat(scene.camera, n))
        return with_mouths(view, [scene.mouth] * n, part, self.compositor.config.image_size)

    def _looking(self, scene: _Scene, gaze: Tensor | None, n: int) -> SourceFeatures:
        """The source for ``n`` frames, its eyes turned; one pair of eyes is turned once for all frames until it turns again."""
        features, head = _repeat(scene.features, n), scene.features.head
        if gaze is None or head is None or not scene.eyes:
            return features
        heads = []
        for each in gaze.tolist():
            last = self._gaze
            if last is None or last[0] is not head or last[1] != each:
                self._gaze = last = head, each, looking(head, scene.eyes, tuple(each))
            heads.append(last[2])
        return replace(features, head=torch.cat(heads) if n > 1 else heads[0])

    @torch.inference_mode()
    def _keypoints(self, scene: _Scene, motion: FaceCoeffs) -> Tensor:
        return followed_keypoints(self.face, scene.coeffs, motion, self.compositor.config.follows).to(self.device)

    def _torso_points(self, scene: _Scene, motion: FaceCoeffs) -> Tensor:
        """The few key points of all frames that drive the torso, some frames at a time, so that memory grows by these only."""
        chosen = list(self.compositor.config.keypoints)
        starts = range(0, len(motion), SOME)
        return torch.cat([self._keypoints(scene, motion[start : start + SOME])[:, chosen] for start in starts])

    @property
    def _pncc_size(self) -> int:
        return self.avatar.adapter.config.image_size

    @torch.inference_mode()
    def _pncc(self, part: FaceCoeffs) -> Tensor:
        with self.timer("pncc", len(part)):
            return render_pncc(self.face, part.id, part.exp, self._pncc_size)

    def _pnccs(self, motion: FaceCoeffs) -> Iterator[tuple[int, Tensor]]:
        for start in range(0, len(motion), self.batch):
            yield start, self._pncc(motion[start : start + self.batch])

    @torch.inference_mode()
    def _batch(
        self, scene: _Scene, part: FaceCoeffs, pncc: Tensor, wanted: list[int], gaze: Tensor | None, looked: FaceCoeffs
    ) -> tuple[UInt8[np.ndarray, "b s s 3"], dict[str, UInt8[np.ndarray, "b s s 3"]]]:
        """Frames and maps; ``looked`` are frames near them at which the torso's networks look."""
        n = len(part)
        camera = self._camera(part)
        with self.timer("motion adapter", n), computing(self.precision, self.device):
            planes = self.avatar.animate(scene.planes, scene.pncc_src, pncc.to(self.device), scene.pncc_cano, scene.rest)
        with self.timer("volume rendering", n):
            head = self.avatar.renderer.render_raw(planes, camera)
        with self.timer("look back", n):
            view = self._look_back(scene, head, part, camera)
        with self.timer("super-resolution", n):
            features, origin = self._looking(scene, gaze, n), scene.keypoints.expand(n, -1, -1)
            keypoints, near = self._keypoints(scene, FaceCoeffs.cat([part, looked])).chunk(2)
            torso = self._torsos(_repeat(scene.features, n), origin, keypoints, near) if self.device.type == "cpu" else None
            composite = self.compositor(head.feature, head.weights, features, origin, keypoints, view, torso)
            images = to_image(composite.image)
        if not wanted:
            return images, {}
        side = images.shape[1]
        raw, shown = (F.interpolate(x, (side, side), mode="bilinear") for x in (head.feature[:, :3], pncc))
        depth, weights = (F.interpolate(x, (side, side), mode="nearest") for x in (head.depth, head.weights))
        return images, {"pncc": to_image(shown), "raw": to_image(raw), "depth": depth_picture(depth, weights)}
