"""A labelled person: a head of textured meshes, a flat torso and a background, and how to look at it."""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float, UInt8

from core.camera import FIT_FOCAL, Camera
from core.face.coeffs import FaceCoeffs
from core.people.geometry import HeadMesh, Pose, project, to_clip
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
        photograph: the source view itself, where there is one.
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
    photograph: UInt8[np.ndarray, "s s 3"] | None = field(default=None, repr=False)

    @property
    def source_pose(self) -> Pose:
        """Pose in the source view."""
        return Pose.from_euler(self.coeffs.euler[0].numpy(), self.coeffs.trans[0].numpy())


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

    @property
    def background_alpha(self) -> Float[np.ndarray, "s s"]:
        """What is neither head nor torso."""
        return 1 - self.head_alpha - self.torso_alpha


@dataclass(frozen=True)
class _Head:
    colour: np.ndarray
    alpha: np.ndarray
    depth: np.ndarray
    labels: np.ndarray


def _window(points: np.ndarray, size: int) -> tuple[int, int, int, int]:
    """(left, top, width, height) in pixels that holds all projected points, within the image."""
    xy = project(points) * size
    low = np.clip(np.floor(xy.min(0)) - 1, 0, size - 1).astype(int)
    high = np.clip(np.ceil(xy.max(0)) + 1, low + 1, size).astype(int)
    return int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1])


def _fragments(mesh: HeadMesh, posed: np.ndarray, window: tuple[int, int, int, int], size: int, step: int) -> np.ndarray:
    from core.raster.numba_backend import rasterize_arrays

    left, top, width, height = window
    clip = to_clip(posed)
    clip[:, 0] = clip[:, 0] * size / width + clip[:, 3] * ((size - 2 * left) / width - 1)
    clip[:, 1] = clip[:, 1] * size / height + clip[:, 3] * ((size - 2 * top) / height - 1)
    return rasterize_arrays(clip, mesh.triangles, height * step, width * step)


def _render_head(person: Person, motion: np.ndarray, pose: Pose, size: int, step: int) -> _Head:
    from core.people.shading import NO_LABEL, shade

    solid, fringe = pose.apply(person.solid.moved(motion)), pose.apply(person.fringe.moved(motion))
    window = _window(np.concatenate([solid, fringe]), size)
    left, top, width, height = window
    colour, alpha = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32)
    depth, labels = np.zeros((height, width), np.float32), np.full((height, width), NO_LABEL, np.uint8)
    parts = [(mesh.triangles, mesh.uvw, mesh.layer) for mesh in (person.solid, person.fringe)]
    shade(
        _fragments(person.solid, solid, window, size, step),
        _fragments(person.fringe, fringe, window, size, step),
        parts[0],
        parts[1],
        person.textures,
        person.classes,
        step,
        colour,
        alpha,
        depth,
        labels,
    )
    whole = _Head(
        np.zeros((size, size, 3), np.float32),
        np.zeros((size, size), np.float32),
        np.zeros((size, size), np.float32),
        np.full((size, size), NO_LABEL, np.uint8),
    )
    rows, columns = slice(top, top + height), slice(left, left + width)
    whole.colour[rows, columns], whole.alpha[rows, columns] = colour, alpha
    whole.depth[rows, columns], whole.labels[rows, columns] = depth, labels
    return whole


def _render_torso(person: Person, pose: Pose, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Torso colour times alpha, alpha and labels: shifted and scaled with the foot of the neck."""
    import cv2

    before, after = (p.apply(person.torso.pivot[None]) for p in (person.source_pose, pose))
    scale = (10 - before[0, 2]) / (10 - after[0, 2])
    side = person.torso.image.shape[0]
    start, end = project(before)[0] * side - 0.5, project(after)[0] * size - 0.5
    zoom = scale * size / side
    matrix = np.array([[zoom, 0, end[0] - zoom * start[0]], [0, zoom, end[1] - zoom * start[1]]])
    layer = np.concatenate([person.torso.image, np.full_like(person.torso.image[..., :1], 255)], 2) * person.torso.alpha[..., None]
    warped = cv2.warpAffine(layer, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    classes = cv2.warpAffine(person.torso.classes, matrix, (size, size), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101)
    return warped[..., :3], warped[..., 3] / 255, classes


def quantise(image: Float[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Round to bytes."""
    return np.clip(image + 0.5, 0, 255).astype(np.uint8)


def render(
    person: Person,
    exp: Float[np.ndarray, "64"],
    euler: Float[np.ndarray, "3"],
    trans: Float[np.ndarray, "3"],
    size: int = 512,
    step: int = 2,
) -> PersonFrame:
    """Show a person.

    Args:
        person: whom.
        exp: whitened expression code.
        euler: pitch, yaw, roll in radians; photographs bear about +-35 degrees of yaw and +-20 of pitch.
        trans: 3DMM units; z is the offset from the camera distance of 10.
        size: image side.
        step: samples per pixel side.
    """
    import cv2

    pose = Pose.from_euler(euler, trans)
    motion = person.motion(exp)
    head = _render_head(person, motion, pose, size, step)
    torso, torso_alpha, torso_classes = _render_torso(person, pose, size)
    clear = 1 - head.alpha
    torso, torso_alpha = torso * clear[..., None], torso_alpha * clear
    plate = (
        person.background
        if person.background.shape[0] == size
        else cv2.resize(person.background, (size, size), interpolation=cv2.INTER_AREA)
    )
    image = head.colour + torso + plate * (clear - torso_alpha)[..., None]
    labels = np.where(head.alpha >= 0.5, head.labels, np.where(torso_alpha >= 0.5 * np.maximum(clear, 1e-6), torso_classes, 0))
    code, angles, shift = (torch.as_tensor(np.asarray(x, np.float32))[None] for x in (exp, euler, trans))
    keypoints = project(pose.apply(person.motion.model(exp)[person.keypoints])) * 2 - 1
    return PersonFrame(
        quantise(image),
        quantise(head.colour),
        head.alpha,
        quantise(torso),
        torso_alpha,
        labels.astype(np.uint8),
        head.depth * (head.alpha >= 0.5),
        replace(person.coeffs, exp=code, euler=angles, trans=shift),
        Camera.from_pose(angles, shift, FIT_FOCAL),
        np.concatenate([keypoints, np.zeros((68, 1))], 1).astype(np.float32),
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
