"""Procedural people: a seed becomes a complete 3D head with known coefficients, its look, its clothes and its light.

No file and no detector is needed: identity comes from the face model's own distribution, so labels are exact by construction. Every part is
geometry with colours baked under one light that stands still relative to the head, so people may be seen from all sides.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import Float

from core.camera import FIT_DISTANCE, FIT_FOCAL
from core.face.coeffs import FaceCoeffs
from core.people.atlas import LAYER_BEARD, LAYER_WEAR, LAYERS, surface, unroll
from core.people.bake import Lamp, to_bytes
from core.people.beards import beard_area, beard_layer, beard_texture, lashes, stubble
from core.people.canvas import PAD, to_canvas
from core.people.dimorphism import embedded
from core.people.ears import ear
from core.people.eyes import Eyes
from core.people.geometry import LAYER_BACK, LAYER_EYES, LAYER_FRONT, LAYER_MADE, LAYER_SIDE, HeadMesh, Pose, project, unproject
from core.people.hair import Hair, grow, hairline
from core.people.hats import hat, lower_edge, wear_texture
from core.people.irises import eye_texture
from core.people.lifted import Fit, face_and_loops, mouth
from core.people.look import Look
from core.people.openings import made_texture, sheet
from core.people.painting import FaceMap, complexion, paint_features
from core.people.person import Person, render
from core.people.skin import Complexion, paint_skin
from core.people.skull import Head, Skull, build_head
from core.people.spectacles import glasses
from core.people.strands import hair_texture
from core.people.surface import FaceMotion
from core.people.wardrobe import backdrop, dress

REACH = np.radians(75.0)
"""How far these heads may be turned: they are complete."""

_SEXES = 1.7
"""How far the means of women and men lie from the middle, standard deviations of identity codes."""


def random_fit(rng: np.random.Generator, woman: bool | None = None) -> Fit:
    """A random face with closed lips, nearly frontal, framed like a portrait photograph.

    Args:
        rng: of everything.
        woman: moves the mean of the codes to that of women or of men; None is the middle.
    """
    from core.face.expression import close_lips

    face, _ = face_and_loops()
    code = np.clip(rng.normal(size=(1, 80)), -2, 2) * 0.85
    identity = torch.as_tensor(code + ({None: 0.0, True: 1.0, False: -1.0}[woman] * _SEXES) * embedded(), dtype=torch.float32)
    exp = close_lips(face, identity, torch.as_tensor(rng.normal(size=(1, 64)) * 0.15, dtype=torch.float32), torch.ones(1))
    euler = np.radians(np.clip(rng.normal(size=3), -2, 2) * [3.0, 5.0, 2.0]).astype(np.float32)
    trans = np.array([rng.normal() * 0.04, rng.normal() * 0.04 - 0.14, rng.uniform(-5.2, -3.7)], np.float32)
    coeffs = FaceCoeffs(identity, exp, torch.from_numpy(euler)[None], torch.from_numpy(trans)[None])
    vertices = face.vertices(identity, exp)[0].double().numpy()
    pose = Pose.from_euler(euler, trans)
    posed = pose.apply(vertices)
    basis = face.exp_basis.double().numpy()
    return Fit(coeffs, pose, FaceMotion(basis, vertices, vertices, exp[0].double().numpy()), project(posed), FIT_DISTANCE - posed[:, 2])


@dataclass(frozen=True)
class _Bust:
    """The shape of a person: all meshes, and the normals of those that are lit."""

    head: Head
    front: HeadMesh
    back: HeadMesh
    ears: HeadMesh
    ear_normals: Float[np.ndarray, "e 3"]
    hair: Hair | None
    hat: HeadMesh | None
    hat_normals: Float[np.ndarray, "h 3"] | None


def _shape(fit: Fit, look: Look, rng: np.random.Generator) -> _Bust:
    face, loops = face_and_loops()
    measured = fit.motion.measured
    head = build_head(measured, face.triangles.numpy(), loops["oval"], Skull.around(measured, rng))
    front, back = unroll(head.mesh, head.skull.centre)
    size, stand = np.clip(1 + 0.08 * rng.normal(size=2) * [1, 4] + [0.05 * look.age, 0], 0.6, 1.3)
    stand *= 1.0 if look.hair.hang is None else 0.3  # what hangs presses them to the head
    pairs = [ear(head, sign, size, stand) for sign in (1, -1)]
    brim = lower_edge(measured, look.hat) if look.hat != "none" else None
    hair = grow(head, measured, look.hair, brim, rng) if look.hat != "scarf" else None
    worn = hat(head, measured, look.hat) if look.hat != "none" else (None, None)
    return _Bust(head, front, back, HeadMesh.cat([m for m, _ in pairs]), np.concatenate([n for _, n in pairs]), hair, *worn)


def _eyes(fit: Fit, loops: dict[str, np.ndarray], count: int) -> Eyes:
    """How the eyes turn, whose sheets of ``count`` vertices come first in the mesh."""
    lids = np.stack([fit.motion.measured[loops[eye]] for eye in ("right_eye", "left_eye")])
    distance = np.array([fit.distance[loops[eye]].mean() for eye in ("right_eye", "left_eye")])
    seen = fit.pose.remove(unproject(fit.looking.xy, distance))
    return Eyes.of(lids, seen, fit.looking.radius * distance / FIT_FOCAL, 0, count)


def _skin_textures(bust: _Bust, fit: Fit, look: Look, lamp: Lamp, side: int, rng: np.random.Generator) -> dict[int, np.ndarray]:
    """Face, the rest of the skin, and the beard."""
    head, out = bust.head, {}
    front = surface(bust.front.uvw, head.mesh.vertices, head.normals, bust.front.triangles, side)
    face = FaceMap.of(bust.front.uvw[:, :2], side)
    rgb = paint_skin(front, look, lamp, complexion(face, look), rng)
    area = beard_area(face, look.beard)
    if not look.woman:
        rgb = stubble(rgb, area if look.beard != "none" else beard_area(face, "stubble"), look, rng)
    rgb = _roots(rgb, front.points, bust, fit, look)
    out[LAYER_FRONT] = _opaque(to_bytes(paint_features(rgb, face, look, rng)))
    out[LAYER_BEARD] = beard_texture(area, front.normals, look, lamp, rng)
    uvw, shift = np.concatenate([bust.back.uvw, bust.ears.uvw]), len(bust.back.uvw)
    points, normals = np.concatenate([head.mesh.vertices, bust.ears.vertices]), np.concatenate([head.normals, bust.ear_normals])
    half = side // 2  # hair hides most of it
    rest = surface(uvw, points, normals, np.concatenate([bust.back.triangles, bust.ears.triangles + shift]), half)
    plain = Complexion.plain(half)
    corner = np.arange(half) > 0.78 * half
    plain.blood[np.ix_(corner, corner | corner[::-1])] += 0.35
    rgb = to_bytes(_roots(paint_skin(rest, look, lamp, plain, rng), rest.points, bust, fit, look))
    out[LAYER_SIDE] = _opaque(cv2.resize(rgb, (side, side), interpolation=cv2.INTER_LINEAR))
    return out


def _roots(rgb: np.ndarray, points: np.ndarray, bust: _Bust, fit: Fit, look: Look) -> np.ndarray:
    """Scalp: darker where hair is rooted, and a soft shadow of the hair next to it."""
    fine, points = rgb.shape[1::-1], points[::4, ::4]
    centre, ticks = bust.head.skull.centre, np.linspace(-np.pi, np.pi, 181)
    angle = np.arctan2(points[..., 0], points[..., 2] - centre[2])
    whole = replace(look.hair, hang=None, fringe=0.0)
    line, end = (np.interp(angle, ticks, hairline(fit.motion.measured, style.end(ticks))) for style in (whole, look.hair))
    above = points[..., 1] - line
    if look.hair.crown:
        above = above - 2 * np.clip((points[..., 1] - centre[1] - 0.3) / 0.25, 0, 1)
    rooted = np.clip(above / 0.06 + 0.4, 0, 1) * (0.3 if look.hair.bald else 0.8)
    shadow = np.exp(-((np.clip(end - points[..., 1], 0, 9) / 0.09) ** 2)) * (points[..., 1] < end + 0.02)
    shadow = shadow * (0.0 if look.hair.bald and look.hat == "none" else 0.32)
    rooted, shadow = (cv2.resize(m.astype(np.float32), fine)[..., None] for m in (rooted, shadow))
    rgb = rgb * (1 - 0.75 * rooted) + rooted * (0.55 * look.hair_colour).astype(np.float32)
    return rgb * (1 - shadow * np.array([0.8, 1, 1.04], np.float32))


def _opaque(rgb: np.ndarray) -> np.ndarray:
    return np.concatenate([rgb, np.full_like(rgb[..., :1], 255)], -1)


def _textures(bust: _Bust, fit: Fit, look: Look, lamp: Lamp, side: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """All textures and their labels."""
    skin_rng, hair_rng, eye_rng, wear_rng = rng.spawn(4)
    out = np.zeros((LAYERS, side, side, 4), np.uint8)
    for layer, texture in _skin_textures(bust, fit, look, lamp, side, skin_rng).items():
        out[layer] = texture
    if bust.hair is not None:
        cover = surface(bust.hair.solid.uvw, bust.hair.solid.vertices, bust.hair.normals, bust.hair.solid.triangles, side)
        out[LAYER_BACK] = hair_texture(cover, bust.hair.paths, look.hair, look.hair_colour, lamp, hair_rng)
    irises = replace(fit.looking, xy=to_canvas(fit.looking.xy), radius=fit.looking.radius / (1 + 2 * PAD))
    out[LAYER_EYES] = _opaque(eye_texture(side, irises, to_canvas(fit.xy[[133, 362]]), look.iris, lamp, eye_rng))
    enamel = np.array([222.0, 214, 198]) * (1 - 0.12 * look.age * np.array([0.6, 1, 1.8])) * min(0.35 + 0.65 * lamp.exposure, 1.1)
    out[LAYER_MADE] = _opaque(made_texture(side, enamel))
    cloth = None if bust.hat is None else surface(bust.hat.uvw, bust.hat.vertices, bust.hat_normals, bust.hat.triangles, side)
    out[LAYER_WEAR] = wear_texture(cloth, look, lamp, side, wear_rng)
    classes = np.full((LAYERS, side, side), 3, np.uint8)
    classes[LAYER_BACK], classes[LAYER_WEAR] = 1, 5
    return out, classes


def _meshes(bust: _Bust, fit: Fit, look: Look, side: int) -> tuple[HeadMesh, HeadMesh, Eyes]:
    """Opaque and soft meshes of the whole head."""
    _, loops = face_and_loops()
    measured, pose = fit.motion.measured, fit.pose
    balls = [sheet(measured[loops[eye]], pose, LAYER_EYES, 0.025, (0.05, 0.04, 0.03)) for eye in ("right_eye", "left_eye")]
    solid = [*balls, bust.front, bust.back, bust.ears, *mouth(measured, loops["mouth"], pose)]
    area = beard_area(FaceMap.of(bust.front.uvw[:, :2], side), look.beard)
    soft = [lashes(measured, look), beard_layer(bust.head, bust.front, area, look)]
    if bust.hair is not None:
        solid.append(bust.hair.solid)
        soft.append(bust.hair.loose)
    if bust.hat is not None:
        solid.append(bust.hat)
    if look.glasses != "none":
        frame, lenses = glasses(bust.head, measured, look.glasses)
        solid.append(frame)
        soft.append(lenses)
    return HeadMesh.cat(solid), HeadMesh.cat(soft), _eyes(fit, loops, len(balls[0].vertices))


def look_of(seed: int) -> Look:
    """The look of the person of one seed."""
    return Look.sample(np.random.default_rng((seed, 0x51ED270B)))


def make_person(seed: int, size: int = 512, look: Look | None = None) -> Person:
    """The person of one seed; the same seed gives the same person.

    Args:
        seed: who.
        size: side of the source view; the textures are as fine.
        look: instead of the seed's own: ``replace(look_of(seed), glasses="none")`` is the same person without glasses.
    """
    rng = np.random.default_rng((seed, 0x9E3779B9))
    look = look or look_of(seed)
    fit = random_fit(rng, look.woman)
    shape_rng, paint_rng, cloth_rng, room_rng = rng.spawn(4)
    bust = _shape(fit, look, shape_rng)
    lamp = Lamp.of(look.light, fit.pose.rotation, look.exposure, bust.head.normals[:468])
    side = size + 2 * round(PAD * size)
    solid, fringe, eyes = _meshes(bust, fit, look, side)
    textures, classes = _textures(bust, fit, look, lamp, side, paint_rng)
    torso = dress(look, fit.pose, lamp, size, bust.hair.paths if bust.hair and look.hair.hang else None, cloth_rng)
    shown = (torso.image * torso.alpha[..., None] + 0.5).astype(np.uint8)
    face, _ = face_and_loops()
    person = Person(
        f"seed{seed:06d}",
        fit.coeffs,
        fit.motion,
        face.keypoints68.numpy(),
        solid,
        fringe,
        textures,
        classes,
        torso,
        shown,
        backdrop(look, size, room_rng),
        eyes,
        reach=REACH,
    )
    own = fit.coeffs
    return replace(person, photograph=render(person, own.exp[0].numpy(), own.euler[0].numpy(), own.trans[0].numpy(), size).image)


@dataclass(frozen=True)
class SeedSource:
    """One procedural person (a ``core.data.clips.ClipSource``); every seventh seed is kept out of training.

    Attributes:
        seed: who.
        size: side of its source view.
    """

    seed: int
    size: int = 512

    @property
    def name(self) -> str:
        """``seed000007``."""
        return f"seed{self.seed:06d}"

    @property
    def split(self) -> str:
        """``train`` or ``val``."""
        return "val" if self.seed % 7 == 6 else "train"

    def make(self, rng: np.random.Generator) -> Person:
        """Make; everything follows from the seed alone."""
        del rng
        return make_person(self.seed, self.size)
