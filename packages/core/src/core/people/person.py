"""A labelled person: a head of textured meshes, a flat torso and a background, and how to look at it."""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, UInt8

from core.camera import FIT_FOCAL, Camera
from core.face.coeffs import FaceCoeffs
from core.face.model import FaceModel, pose_points
from core.face.model import project as image_points
from core.people.eyes import Eyes
from core.people.geometry import LAYER_BACK, LAYER_MADE, HeadMesh, Pose, project
from core.people.lids import Lids
from core.people.openings import mouth_light
from core.people.surface import FaceMotion


@dataclass(frozen=True)
class Torso:
    """Neck and clothes: a flat layer that follows the foot of the neck.

    Attributes:
        image: RGB of the photograph's frame with the part behind the head filled in, uint8.
        alpha: its soft mask.
        classes: segmentation labels 2 (skin) and 4 (clothes).
        pivot: canonical point that it hangs on.
    """

    image: UInt8[np.ndarray, "h w 3"]
    alpha: Float[np.ndarray, "h w"]
    classes: UInt8[np.ndarray, "h w"]
    pivot: Float[np.ndarray, "3"]


@dataclass(frozen=True)
class Person:
    """Everything needed to show one person from any side with any expression.

    Attributes:
        name: unique name.
        coeffs: identity, and expression and pose of the source view (batch of one).
        motion: expression code to displacement of the model vertices.
        keypoints: model vertices of the 68 key points.
        solid: opaque meshes of the head.
        fringe: soft mesh of hair ends and outlines.
        textures: (n, c, c, 4) RGBA.
        classes: (n, c, c) segmentation labels of the textures.
        torso: flat layer.
        torso_input: torso over black as ``core.data.layers`` inpaints it from the source view: what networks are given.
        background: uint8 RGB.
        eyes: how they turn.
        lids: how they shut; None: the face's own mesh does it all.
        photograph: the source view itself, where there is one.
        reach: how far the head may be turned from its source view, radians of yaw.
    """

    name: str
    coeffs: FaceCoeffs
    motion: FaceMotion
    keypoints: np.ndarray
    solid: HeadMesh
    fringe: HeadMesh
    textures: UInt8[np.ndarray, "n c c 4"]
    classes: UInt8[np.ndarray, "n c c"]
    torso: Torso
    torso_input: UInt8[np.ndarray, "s s 3"]
    background: UInt8[np.ndarray, "s s 3"]
    eyes: Eyes
    lids: Lids | None = None
    photograph: UInt8[np.ndarray, "s s 3"] | None = field(default=None, repr=False)
    reach: float = math.radians(34.0)

    @cached_property
    def source_pose(self) -> Pose:
        """Pose in the source view."""
        return Pose.from_euler(self.coeffs.euler[0].numpy(), self.coeffs.trans[0].numpy())

    def worn(self, motion: Float[np.ndarray, "468 3"], gaze: Float[np.ndarray, "2"] | None) -> Float[np.ndarray, "v 3"]:
        """Texture coordinates of the solid mesh while the face moves by ``motion`` and the eyes look at ``gaze`` (None: as it was)."""
        uvw = self.solid.uvw if gaze is None else self.eyes.turn(self.solid, self.source_pose, gaze)
        return uvw if self.lids is None else self.lids.wear(uvw, self.motion.measured + motion)

    def plate(self, size: int) -> UInt8[np.ndarray, "size size 3"]:
        """The background at another size; made once."""
        import cv2

        if size not in self._plates:
            same = self.background.shape[:2] == (size, size)
            plate = self.background if same else cv2.resize(self.background, (size, size), interpolation=cv2.INTER_AREA)
            self._plates[size] = np.ascontiguousarray(plate)
        return self._plates[size]

    @cached_property
    def _plates(self) -> dict[int, np.ndarray]:
        return {}


@dataclass(frozen=True)
class PersonFrame:
    """One view of a person with its labels, all from one rasteriser pass.

    Attributes:
        image: composite, uint8 RGB.
        head: head over black, uint8 RGB.
        head_alpha: soft head mask in [0, 1].
        torso: torso over black where no head hides it, uint8 RGB.
        torso_alpha: its soft visible mask; head, torso and background masks sum to one.
        labels: segmentation 0 background, 1 hair, 2 neck, 3 face, 4 clothes, 5 other.
        depth: distance from the camera in 3DMM units where the head is, else 0.
        coeffs: identity, expression, pose (batch of one).
        camera: the same pose as a camera label with ``FIT_FOCAL``.
        keypoints: 68 projected key points, x and y in [-1, 1], y down, z = 0.
        landmarks: the same of MediaPipe's 468 points.
        gaze: yaw and pitch of the eyes in the head, radians, signs as in ``coeffs.euler``.
        torso_lag: how far the torso is from where the head's pose has it, 3DMM units of camera space; zero when it follows at once.
    """

    image: UInt8[np.ndarray, "s s 3"]
    head: UInt8[np.ndarray, "s s 3"]
    head_alpha: Float[np.ndarray, "s s"]
    torso: UInt8[np.ndarray, "s s 3"]
    torso_alpha: Float[np.ndarray, "s s"]
    labels: UInt8[np.ndarray, "s s"]
    depth: Float[np.ndarray, "s s"]
    coeffs: FaceCoeffs
    camera: Camera
    keypoints: Float[np.ndarray, "68 3"]
    landmarks: Float[np.ndarray, "468 3"]
    gaze: Float[np.ndarray, "2"]
    torso_lag: Float[np.ndarray, "3"]

    @property
    def background_alpha(self) -> Float[np.ndarray, "s s"]:
        """What is neither head nor torso."""
        return 1 - self.head_alpha - self.torso_alpha

    @property
    def person_alpha(self) -> Float[np.ndarray, "s s"]:
        """Head and torso."""
        return self.head_alpha + self.torso_alpha

    @property
    def torso_keypoints(self) -> Float[np.ndarray, "68 3"]:
        """The key points of a head that the torso does not lag behind: what a network must know to place a torso that does."""
        c = self.coeffs
        moved = pose_points(FaceModel.embedded().keypoints(c.id, c.exp, 68), c.euler, c.trans + torch.from_numpy(self.torso_lag)[None])
        flat = image_points(moved)[0].numpy() * 2 - 1
        return np.concatenate([flat, np.zeros((68, 1), np.float32)], 1)

    def pnccs(self, source: Float[np.ndarray, "64"], size: int | None = None) -> Float[np.ndarray, "3 3 size size"]:
        """Canonical, source and driving PNCC, [-1, 1] (spec 1.4); drawn when asked for, as networks draw theirs on the training device.

        Args:
            source: expression code of the source view.
            size: side; None is that of the picture.
        """
        from core.face.pncc import render_pncc

        codes = torch.stack([torch.zeros(64), torch.as_tensor(np.asarray(source, np.float32)), self.coeffs.exp[0]])
        return render_pncc(FaceModel.embedded(), self.coeffs.id.expand(3, -1), codes, size or len(self.image)).numpy()


def _window(rows: Float[np.ndarray, "v 6"], size: int, step: int) -> tuple[int, int, int, int]:
    """(top, left, height, width) in pixels that holds all placed vertices, within the image."""
    low, high = (np.array([edge(rows[:, 1]), edge(rows[:, 0])]) / step for edge in (np.min, np.max))
    low = np.clip(np.floor(low) - 1, 0, size - 1).astype(int)
    high = np.clip(np.ceil(high) + 2, low + 1, size).astype(int)
    return int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1])


Samples = tuple[np.ndarray, np.ndarray, np.ndarray]


def _draw_head(
    person: Person, motion: np.ndarray, pose: Pose, gaze: np.ndarray | None, size: int, step: int
) -> tuple[Samples, Samples, tuple[int, int, int, int]]:
    """Samples of the opaque and the soft mesh (``core.people.shading.compose``) and the window that they fill."""
    from core.people.drawing import draw, place

    rotation, trans = np.ascontiguousarray(pose.rotation), np.ascontiguousarray(pose.trans)
    meshes, placed = (replace(person.solid, uvw=person.worn(motion, gaze)), person.fringe), []
    for mesh in meshes:
        placed.append(np.empty((len(mesh.vertices), 6), np.float32))
        arrays = mesh.vertices, mesh.uvw, mesh.anchors, mesh.weights
        place(*arrays, motion, rotation, trans, float(size * step), float(person.textures.shape[1]), placed[-1])
    window = _window(np.concatenate(placed), size, step)
    high, wide = window[2] * step, window[3] * step
    samples = []
    for mesh, rows in zip(meshes, placed, strict=True):
        found = np.zeros((high, wide), np.float32), np.zeros((high, wide, 2), np.float32), np.zeros((high, wide), np.uint8)
        draw(rows, mesh.triangles, mesh.layer, LAYER_BACK, (window[0] * step, window[1] * step), *found)
        samples.append(found)
    return samples[0], samples[1], window


def torso_map(person: Person, pose: Pose, lag: np.ndarray, size: int) -> tuple[float, float, float]:
    """(scale, x, y): torso pixel = scale * image pixel + (x, y); the torso follows the foot of the neck."""
    before, after = (p.apply(person.torso.pivot[None]) for p in (person.source_pose, pose))
    after = after + lag
    side = person.torso.image.shape[0]
    scale = (10 - after[0, 2]) / (10 - before[0, 2]) * side / size
    x, y = project(before)[0] * side - 0.5 - scale * (project(after)[0] * size - 0.5)
    return float(scale), float(x), float(y)


def render(
    person: Person,
    exp: Float[np.ndarray, "64"],
    euler: Float[np.ndarray, "3"],
    trans: Float[np.ndarray, "3"],
    size: int = 512,
    step: int = 2,
    gaze: Float[np.ndarray, "2"] | None = None,
    torso_lag: Float[np.ndarray, "3"] | None = None,
) -> PersonFrame:
    """Show a person.

    Args:
        person: whom.
        exp: whitened expression code.
        euler: pitch, yaw, roll in radians; photographs bear about +-35 degrees of yaw and +-20 of pitch.
        trans: 3DMM units; z is the offset from the camera distance of 10.
        size: image side.
        step: samples per pixel side.
        gaze: yaw and pitch of the eyes in the head, radians (up to about 30 degrees); None keeps that of the source view.
        torso_lag: see ``PersonFrame``; None: none.
    """
    from core.people.shading import compose, shade, wear

    pose = Pose.from_euler(euler, trans)
    lag = np.zeros(3, np.float32) if torso_lag is None else np.asarray(torso_lag, np.float32)
    motion = person.motion(exp)
    solid, fringe, window = _draw_head(person, motion, pose, gaze, size, step)
    top, left, height, width = window
    head, worn = np.zeros((height, width, 4), np.float32), np.zeros((size, size, 4), np.float32)
    masks = tuple(np.zeros((size, size), np.float32) for _ in range(3))
    labels, torso_labels = np.zeros((size, size), np.uint8), np.empty((size, size), np.uint8)
    view = slice(top, top + height), slice(left, left + width)
    gain = np.ones(len(person.textures), np.float32)
    gain[LAYER_MADE] = mouth_light(person.motion.measured + motion)
    shade(solid, fringe, step, (person.textures, person.classes, gain), head, masks[2][view], labels[view])
    wear((person.torso.image, person.torso.alpha, person.torso.classes), torso_map(person, pose, lag, size), worn, torso_labels)
    pictures = tuple(np.empty((size, size, 3), np.uint8) for _ in range(3))
    compose(head, (top, left), worn, person.plate(size), pictures, masks, (labels, torso_labels))
    code, angles, shift = (torch.as_tensor(np.asarray(x, np.float32))[None] for x in (exp, euler, trans))
    flat = project(pose.apply(person.motion.model(exp))) * 2 - 1
    landmarks = np.concatenate([flat, np.zeros((len(flat), 1))], 1).astype(np.float32)
    return PersonFrame(
        image=pictures[0],
        head=pictures[1],
        head_alpha=masks[0],
        torso=pictures[2],
        torso_alpha=masks[1],
        labels=labels,
        depth=masks[2],
        coeffs=replace(person.coeffs, exp=code, euler=angles, trans=shift),
        camera=Camera.from_pose(angles, shift, FIT_FOCAL),
        keypoints=landmarks[person.keypoints],
        landmarks=landmarks,
        gaze=(person.eyes.rest if gaze is None else np.asarray(gaze)).astype(np.float32),
        torso_lag=lag,
    )


def render_source(person: Person, size: int = 512) -> PersonFrame:
    """The source view; where there is a photograph, its own pixels."""
    import cv2

    c = person.coeffs
    frame = render(person, c.exp[0].numpy(), c.euler[0].numpy(), c.trans[0].numpy(), size)
    if person.photograph is None:
        return frame
    same = person.photograph.shape[0] == size
    return replace(frame, image=person.photograph if same else cv2.resize(person.photograph, (size, size), interpolation=cv2.INTER_AREA))
