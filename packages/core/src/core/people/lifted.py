"""Lifted people: a photograph becomes a head that turns and moves (the face profiling of Zhu et al. 2016, taken to the whole head)."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy.ndimage import binary_erosion

from core.camera import FIT_DISTANCE, FIT_FOCAL
from core.errors import PortraitError
from core.face.coeffs import FaceCoeffs
from core.people.canvas import HAIR, HEAD_CLASSES, PAD, TORSO_CLASSES, extend, to_canvas
from core.people.curtain import curtain, dress_hair, hair_share
from core.people.eyes import Eyes, Irises, add_complete_eyes
from core.people.geometry import LAYER_EYES, LAYER_FRONT, LAYER_TEETH, HeadMesh, Pose, unproject
from core.people.hidden_side import far_cheek
from core.people.hull import HullShape, Oval, build_hull
from core.people.lids import Lids, add_looks, lid_meshes, lid_triangles
from core.people.openings import cavity, continue_colours, grain, made_texture, nearest, polygon_mask, sheet, teeth_strip, tongue
from core.people.person import Person, Torso
from core.people.rim import worn_rim
from core.people.surface import FaceMotion, boundary_loops, face_surface
from core.people.torso import complete_torso
from core.perception.parts import Parsing
from core.raster.numba_backend import rasterize_arrays

TOOTHY = 0.035
"""Opening of the mouth in 3DMM units from which on the photograph's own teeth are used."""
CUT = 0.74
"""Share of the upper border that may show head: what is cut off of so much is completed well; more is big hair or a hat."""
REACH = math.radians(34.0)
"""How far a head photographed from the front may be turned."""
_TORSO_PIVOT = (0.0, -0.95, -0.45)


@lru_cache(maxsize=1)
def face_and_loops() -> tuple[object, dict[str, np.ndarray]]:
    """The embedded face model and its outlines."""
    from core.face.model import FaceModel

    face = FaceModel.embedded()
    return face, boundary_loops(face.triangles.numpy())


@dataclass(frozen=True)
class StillLayers:
    """What stands behind the head.

    Attributes:
        head_image: colours of the head alone.
        torso_image: neck and clothes with the part behind the head filled in.
        torso_mask: their soft mask.
        background: clean plate.
    """

    head_image: UInt8[np.ndarray, "s s 3"]
    torso_image: UInt8[np.ndarray, "s s 3"]
    torso_mask: Float[np.ndarray, "s s"]
    background: UInt8[np.ndarray, "s s 3"]


@dataclass(frozen=True)
class Fit:
    """The face model laid over a photograph.

    Attributes:
        coeffs: batch of one.
        pose: of the head.
        motion: fitted and measured vertices with the expression axes.
        xy: measured landmarks, photograph coordinates.
        distance: of the model vertices from the camera.
        irises: where they are; None for the middle of the lids.
    """

    coeffs: FaceCoeffs
    pose: Pose
    motion: FaceMotion
    xy: Float[np.ndarray, "468 2"]
    distance: Float[np.ndarray, "468"]
    irises: Irises | None = None

    @property
    def looking(self) -> Irises:
        """The irises, found or supposed."""
        return self.irises or Irises.of(self.xy)


def fit_photograph(landmarks: Float[np.ndarray, "n d"], coeffs: FaceCoeffs | None = None) -> Fit:
    """Fit the face model and correct its vertices sideways so that they project exactly to the landmarks.

    Args:
        landmarks: refined landmarks, photograph coordinates.
        coeffs: of an earlier fit, which is then not made again.
    """
    from core.face.fitting import fit_image

    face, _ = face_and_loops()
    coeffs = fit_image(face, landmarks[:468].astype(np.float32)) if coeffs is None else coeffs
    fitted = face.vertices(coeffs.id, coeffs.exp)[0].detach().double().numpy()
    pose = Pose.from_euler(coeffs.euler[0].numpy(), coeffs.trans[0].numpy())
    distance = FIT_DISTANCE - pose.apply(fitted)[:, 2]
    xy = landmarks[:468, :2].astype(np.float64)
    measured = pose.remove(unproject(xy, distance))
    basis = face.exp_basis.detach().double().numpy()
    return Fit(coeffs, pose, FaceMotion(basis, fitted, measured, coeffs.exp[0].double().numpy()), xy, distance, Irises.of(landmarks))


def lift(image: UInt8[np.ndarray, "s s 3"], name: str) -> Person:
    """Make a person of a square photograph.

    Args:
        image: RGB, one face.
        name: unique name.

    Raises:
        PortraitError: no usable face: ``E_NO_FACE``, ``E_BAD_PHOTO`` with the reason.
    """
    landmarks, parsing = observe(image, name)
    return lift_observed(image, name, fit_photograph(landmarks), parsing)


def observe(image: UInt8[np.ndarray, "s s 3"], name: str) -> tuple[Float[np.ndarray, "n 3"], Parsing]:
    """What detectors see in a square photograph: landmarks of the face and parts.

    Raises:
        PortraitError: ``E_NO_FACE``.
    """
    from core.perception.landmarks import detect_faces
    from core.perception.parsing import parse

    faces = detect_faces(image)
    if not faces:
        raise PortraitError("E_NO_FACE", f"no face found in {name}", "Use a photograph that shows one face from the front.")
    landmarks = np.asarray(faces[0].landmarks, np.float64)
    return landmarks, parse(image, landmarks)


def lift_observed(image: UInt8[np.ndarray, "s s 3"], name: str, fit: Fit, parsing: Parsing) -> Person:
    """Make a person of what was observed in a photograph; needs no detector.

    Args:
        image: RGB.
        name: unique name.
        fit: of its landmarks.
        parsing: its parts, as large as the image.

    Raises:
        PortraitError: ``E_BAD_PHOTO`` with the reason.
    """
    from core.data.layers import split_layers

    check(fit, np.asarray(parsing.labels), name)
    layers = split_layers(image, parsing)
    return assemble(image, name, fit, np.asarray(parsing.labels), np.asarray(parsing.head_alpha), layers)


def check(fit: Fit, labels: UInt8[np.ndarray, "s s"], name: str) -> None:
    """Reject what cannot be lifted.

    Raises:
        PortraitError: ``E_BAD_PHOTO`` with the reason.
    """
    reasons = []
    pitch, yaw, roll = np.degrees(fit.coeffs.euler[0].numpy())
    if abs(yaw) > 25 or abs(pitch) > 22 or abs(roll) > 20:
        reasons.append(f"the head is turned too far (pitch {pitch:.0f}, yaw {yaw:.0f}, roll {roll:.0f} degrees)")
    width = np.ptp(fit.xy[:, 0])
    if width < 0.18:
        reasons.append(f"the face is too small ({width:.2f} of the width)")
    if fit.xy.min() < 0.01 or fit.xy.max() > 0.99:
        reasons.append("the face is cut off")
    head = np.isin(labels, HEAD_CLASSES)
    if head[0].mean() > CUT:
        reasons.append("the top of the head is cut off")
    if head.mean() < 0.08:
        reasons.append("no head was found around the face")
    if reasons:
        raise PortraitError("E_BAD_PHOTO", f"{name}: {'; '.join(reasons)}", "Use another photograph.")


def assemble(image: np.ndarray, name: str, fit: Fit, labels: np.ndarray, head_alpha: np.ndarray, layers: object) -> Person:
    """Build all meshes and textures of a person from a fitted and segmented photograph."""
    face, loops = face_and_loops()
    picture, classes, alpha = extend(layers.head_image, labels, head_alpha)
    inside = polygon_mask(to_canvas(fit.xy[loops["oval"]]), picture.shape[0])
    alpha = np.where(inside, 1.0, alpha).astype(np.float32)
    share = hair_share(classes == HAIR) * (alpha > 0.5)
    solid, fringe, eyes, shown = _meshes(fit, alpha, inside, share)
    textures, classes = _textures(picture, fit, classes, alpha, inside)
    dress_hair(textures, classes, picture, share, shown, inside)
    lids = _lids(textures, fit, eyes)
    front, skin = textures[LAYER_FRONT, ..., :3], classes[LAYER_FRONT] != HAIR
    cheek, side = far_cheek(front, fit.motion.measured, face.triangles.numpy(), fit.pose, skin)
    textures, classes = np.concatenate([textures, side[None]]), np.concatenate([classes, classes[LAYER_FRONT][None]])
    torso_image, torso_mask = complete_torso(layers.torso_image, layers.torso_mask, labels, fit.xy)
    torso = Torso(torso_image, torso_mask, _torso_classes(labels), np.array(_TORSO_PIVOT))
    torso_input = (layers.torso_image * layers.torso_mask[..., None] + 0.5).astype(np.uint8)
    return Person(
        name,
        fit.coeffs,
        fit.motion,
        face.keypoints68.numpy(),
        solid,
        HeadMesh.cat([fringe, cheek]),
        textures,
        classes,
        torso,
        torso_input,
        layers.background,
        eyes,
        lids,
        photograph=image,
        reach=reach_from(float(fit.coeffs.euler[0, 1])),
    )


def covered(fit: Fit, side: int) -> Bool[np.ndarray, "c c"]:
    """Where the face is on a canvas of ``side`` pixels; a turned cheek reaches beyond the face's outline, which lies behind it."""
    face, _ = face_and_loops()
    flat = np.concatenate([to_canvas(fit.xy) * 2 - 1, np.zeros((len(fit.xy), 1)), np.ones((len(fit.xy), 1))], 1).astype(np.float32)
    return rasterize_arrays(flat, np.ascontiguousarray(face.triangles.numpy()), side, side)[..., 3] > 0


def reach_from(yaw: float) -> float:
    """How far a head may be turned from a photograph that shows it at ``yaw``, radians: of a turned head less can be guessed."""
    return REACH - 0.5 * abs(yaw)


def _meshes(fit: Fit, alpha: np.ndarray, inside: np.ndarray, share: np.ndarray) -> tuple[HeadMesh, HeadMesh, Eyes, np.ndarray]:
    """Opaque and soft meshes; the opaque one begins with both eyes and both upper lids."""
    face, loops = face_and_loops()
    triangles = face.triangles.numpy()
    measured, pose = fit.motion.measured, fit.pose
    rim = measured[[234, 454, 127, 356], 2].mean() - 0.16
    shape = HullShape(rim=float(rim), chin=(float(measured[152, 1]), float(measured[152, 2])), front=float(measured[10, 2] - rim + 0.08))
    oval = Oval.of(loops["oval"], fit.xy, fit.distance)
    hull = build_hull(alpha, inside, oval, pose, shape, inside | covered(fit, len(inside)))
    hanging, strands, shown = curtain(hull, share, (fit.xy, fit.distance, triangles), pose)
    balls = [sheet(measured[loops[eye]], pose, LAYER_EYES, 0.025, (0.05, 0.04, 0.03)) for eye in ("right_eye", "left_eye")]
    lids = lid_triangles(triangles, 0) | lid_triangles(triangles, 1)
    mask = worn_rim(face_surface(triangles[~lids], measured, pose, LAYER_FRONT), pose.apply(measured), loops["oval"])
    parts = [*balls, *lid_meshes(triangles, measured, pose), mask, hull.solid, hanging, *mouth(measured, loops["mouth"], pose)]
    return HeadMesh.cat(parts), HeadMesh.cat([hull.fringe, strands]), _eyes(fit, loops, len(balls[0].vertices)), shown


def _eyes(fit: Fit, loops: dict[str, np.ndarray], count: int) -> Eyes:
    """How the eyes turn, whose sheets of ``count`` vertices come first in the mesh."""
    lids = np.stack([fit.motion.measured[loops[eye]] for eye in ("right_eye", "left_eye")])
    distance = np.array([fit.distance[loops[eye]].mean() for eye in ("right_eye", "left_eye")])
    looking = fit.looking
    return Eyes.of(lids, fit.pose.remove(unproject(looking.xy, distance)), looking.radius * distance / FIT_FOCAL, 0, count)


def _lids(textures: np.ndarray, fit: Fit, eyes: Eyes) -> Lids:
    """Write the looks of the lids, whose meshes follow those of the eyes, into the texture of the eyes."""
    looks, apart = add_looks(textures[LAYER_EYES, ..., :3], textures[LAYER_FRONT, ..., :3], to_canvas(fit.xy))
    textures[LAYER_EYES, ..., :3] = looks
    face, _ = face_and_loops()
    count = len(np.unique(face.triangles.numpy()[lid_triangles(face.triangles.numpy(), 0)]))
    return Lids.of(2 * eyes.count, count, fit.motion.measured, apart)


def mouth(measured: np.ndarray, loop: np.ndarray, pose: Pose) -> list[HeadMesh]:
    """Cavity, tongue, teeth of the photograph where it shows some, made teeth otherwise."""
    parts = [cavity(loop, measured)]
    opening = measured[13, 1] - measured[14, 1]
    width = np.linalg.norm(measured[78] - measured[308])
    upper, lower = measured[13], measured[14]
    back = np.array([0, 0, 0.075])
    if opening > TOOTHY:
        parts.append(sheet(measured[loop], pose, LAYER_TEETH, 0.06, (0.08, 0.004, 0.02)))
    else:
        parts.append(teeth_strip(upper - back, 0.42 * max(width, 0.45), 0.13, -0.045, (0.01, 0.24), None))
    parts.append(teeth_strip(lower - back * 1.5, 0.38 * max(width, 0.45), 0.018, -0.12, (0.26, 0.49), (14, 1.0)))
    parts.append(tongue(lower - [0, 0.0, 0.13], 0.36 * max(width, 0.45), (14, 0.9)))
    return parts


def _textures(image: np.ndarray, fit: Fit, labels: np.ndarray, alpha: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The five textures (photograph, eyes, teeth, back, made) and their labels."""
    _, loops = face_and_loops()
    side, xy = image.shape[0], to_canvas(fit.xy)
    sure = binary_erosion(alpha > 0.97, iterations=2, border_value=1)
    front = continue_colours(image, alpha > 0.3, 1.5)
    head = np.isin(labels, HEAD_CLASSES)
    front_classes = _nearest(labels, head & (alpha > 0.5))
    unit = side / (1 + 2 * PAD) * FIT_FOCAL / fit.distance.mean()

    right, left = (polygon_mask(xy[loops[eye]], side) for eye in ("right_eye", "left_eye"))
    looking = Irises(to_canvas(fit.looking.xy), fit.looking.radius / (1 + 2 * PAD))
    eye_texture = add_complete_eyes(continue_colours(image, left | right, 1.5), image, (right, left), looking)
    gap = polygon_mask(xy[loops["mouth"]], side)
    teeth_texture = continue_colours(image, gap if gap.sum() > 20 else inside, 1.5)
    known = _like_the_back(labels, sure, inside, xy[[234, 454], 1].mean() * side, unit)
    back = grain(continue_colours(image, known, 6.0), known)
    back_classes = _nearest(labels, head & known) if (head & known).any() else np.full_like(labels, HAIR)
    enamel = enamel_of(image, gap, inside)

    full = np.full((side, side), 255, np.uint8)
    stack = [front, eye_texture, teeth_texture, back, made_texture(side, enamel)]
    alphas = [(alpha * 255 + 0.5).astype(np.uint8), full, full, full, full]
    textures = np.stack([np.concatenate([c, a[..., None]], 2) for c, a in zip(stack, alphas, strict=True)])
    skin = np.full((side, side), 3, np.uint8)
    return textures, np.stack([front_classes, skin, skin, back_classes, skin]).astype(np.uint8)


def _like_the_back(labels: np.ndarray, sure: np.ndarray, inside: np.ndarray, ears: float, unit: float) -> Bool[np.ndarray, "c c"]:
    """Where the canvas shows what the back of the head may look like: hair, and below the ears skin unless hair hangs there.

    Args:
        labels: of the canvas.
        sure: where it shows the head and nothing else.
        inside: the face.
        ears: their row.
        unit: pixels per 3DMM unit.
    """
    outside = sure & ~_near(inside, 0.06 * unit)
    hair = outside & (labels == HAIR) & ~_near(np.isin(labels, (2, 3)), 0.02 * unit)  # the hairline is a mixture
    known = outside.copy()
    for rows, least in ((slice(None, int(ears)), 0.15), (slice(int(ears), None), 0.4)):
        if hair[rows].sum() > least * outside[rows].sum():
            known[rows] = hair[rows]
    return known if known.sum() > 100 else sure


def _near(mask: Bool[np.ndarray, "c c"], pixels: float) -> Bool[np.ndarray, "c c"]:
    import cv2

    return cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5) <= pixels if mask.any() else mask


def _nearest(labels: np.ndarray, known: Bool[np.ndarray, "h w"]) -> np.ndarray:
    """Labels of the nearest known pixel."""
    return labels.reshape(-1)[nearest(known)[1]]


def enamel_of(image: UInt8[np.ndarray, "c c 3"], gap: Bool[np.ndarray, "c c"], inside: Bool[np.ndarray, "c c"]) -> Float[np.ndarray, "3"]:
    """Colour of clean teeth under the light of this photograph."""
    bright = np.percentile(image[inside].astype(np.float32), 85, axis=0)
    made = bright.mean() * 0.7 * np.array([1.02, 0.97, 0.89]) + 0.4 * bright  # what light there is tints teeth too
    if gap.sum() < 60:
        return made
    seen = image[gap].astype(np.float32)
    best = seen[seen.mean(1) >= np.percentile(seen.mean(1), 70)].mean(0)
    return np.maximum(best, 0.7 * made)


def _torso_classes(labels: np.ndarray) -> np.ndarray:
    """2 or 4 for every pixel, continued where the head hides the torso."""
    known = np.isin(labels, TORSO_CLASSES)
    return _nearest(labels, known) if known.any() else np.full_like(labels, 4)


def square(image: UInt8[np.ndarray, "h w 3"], name: str, size: int = 512) -> UInt8[np.ndarray, "s s 3"]:
    """Bring a photograph of any shape to a square of head and shoulders.

    Raises:
        PortraitError: ``E_NO_FACE``.
    """
    from core.perception.crop import square_crop
    from core.perception.landmarks import detect_faces

    faces = detect_faces(image)
    if not faces:
        raise PortraitError("E_NO_FACE", f"no face found in {name}", "Use a photograph that shows one face from the front.")
    return square_crop(image, faces[0], size).image
