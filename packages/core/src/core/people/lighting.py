"""Another light on a made person: brightness and colour from the normals of its own surface, painted into its textures.

The light stands still relative to the head, so that all views of the person agree. A photograph brings its own light along: it is taken
for a lamp beside the camera, and colours change by the ratio of the new light to that one.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, UInt8
from scipy.ndimage import distance_transform_edt, gaussian_filter, zoom

from core.camera import FIT_DISTANCE, FIT_FOCAL
from core.people.canvas import PAD
from core.people.geometry import LAYER_BACK, LAYER_FRONT, LAYER_MADE
from core.people.person import Person, render

FRONTAL_AMBIENT = 0.6
"""Share of the photograph's own light that comes from everywhere."""
_CELL = 4
"""Canvas pixels per cell of the map of normals."""
_WRAP = 0.3
"""How far (cosine) a lamp's light reaches around the edge: lamps have a size, and skin is translucent."""


@dataclass(frozen=True)
class Light:
    """One lamp and light from everywhere.

    Attributes:
        direction: from the head to the lamp, camera space of the source view (x right, y up, z to the camera).
        ambient: share of the light that comes from everywhere, 0..1.
        lamp: colour of the lamp, mean 1.
        sky: colour of the light from everywhere, mean 1.
    """

    direction: Float[np.ndarray, "3"]
    ambient: float
    lamp: Float[np.ndarray, "3"]
    sky: Float[np.ndarray, "3"]

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "Light":
        """A lamp anywhere in front of or beside the head, seldom below it, hard or soft, warm or cool."""
        side, height = rng.uniform(-80, 80), np.clip(rng.normal(25, 22), -25, 70)
        yaw, pitch = np.radians([side, height])
        direction = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
        warm = rng.normal(size=2) * 0.06
        lamp, sky = (np.exp(np.array([w, 0.0, -w])) for w in warm)
        return cls(direction, float(rng.uniform(0.25, 0.75)), lamp / lamp.mean(), sky / sky.mean())

    def __call__(self, normals: Float[np.ndarray, "*s 3"]) -> Float[np.ndarray, "*s 3"]:
        """Light that arrives on surfaces with these unit normals."""
        cosine = normals @ (self.direction / np.linalg.norm(self.direction))
        arriving = np.clip((cosine + _WRAP) / (1 + _WRAP), 0, 1)[..., None]
        return self.ambient * self.sky + (1 - self.ambient) * self.lamp * arriving


FRONTAL = Light(np.array([0.0, 0.1, 1.0]), FRONTAL_AMBIENT, np.ones(3), np.ones(3))
"""What a photograph is taken to be lit by."""


def head_normals(person: Person) -> tuple[Float[np.ndarray, "n n 3"], Float[np.ndarray, "n n"]]:
    """Smooth unit normals (camera space) of the head's front in the source view, and where it is, on a coarse grid over the canvas."""
    from core.people.drawing import draw, place

    canvas = person.textures.shape[1] // _CELL
    side = canvas / (1 + 2 * PAD)
    mesh, pose = person.solid, person.source_pose
    placed = np.empty((len(mesh.vertices), 6), np.float32)
    still, turn = np.zeros((person.motion.measured.shape[0], 3)), np.ascontiguousarray(pose.rotation)
    place(mesh.vertices, mesh.uvw, mesh.anchors, mesh.weights, still, turn, pose.trans, side, float(canvas), placed)
    near, texel, kind = (
        np.zeros((canvas, canvas), np.float32),
        np.zeros((canvas, canvas, 2), np.float32),
        np.zeros((canvas, canvas), np.uint8),
    )
    corner = -round(PAD * side)
    draw(placed, mesh.triangles, mesh.layer, LAYER_BACK, (corner, corner), near, texel, kind)
    seen = near > 0
    row, column = distance_transform_edt(~seen, return_distances=False, return_indices=True)
    distance = gaussian_filter(1 / near[row, column].astype(np.float64), 0.012 * canvas)
    ticks = (np.arange(canvas) + corner + 0.5) / side
    x, y = (ticks[None] - 0.5) / FIT_FOCAL * distance, (0.5 - ticks[:, None]) / FIT_FOCAL * distance
    points = np.stack([x, y, FIT_DISTANCE - distance], -1)
    down, across = np.gradient(points, axis=(0, 1))
    normals = np.cross(down, across)
    return normals / np.linalg.norm(normals, axis=-1, keepdims=True), gaussian_filter(seen.astype(np.float64), 1.0)


def relight(person: Person, light: Light) -> Person:
    """The same person under another light; mean brightness of the face stays."""
    normals, seen = head_normals(person)
    ratio = light(normals) / FRONTAL(normals)
    ratio = np.clip(ratio / np.average(ratio.mean(-1), weights=seen), 0.35, 2.2)
    fine = zoom(ratio, (*(np.array(person.textures.shape[1:3]) / ratio.shape[:2]), 1), order=1, grid_mode=True, mode="nearest")
    textures, unrolled = person.textures.copy(), _unrolled(person, light)
    for layer in range(len(textures)):
        shade = ratio[seen > 0.5].mean(0) if layer == LAYER_MADE else unrolled.get(layer, fine)
        textures[layer, ..., :3] = _times(textures[layer, ..., :3], shade)
    bend = _torso_ratio(person, light)
    torso = replace(person.torso, image=_times(person.torso.image, bend))
    small = zoom(bend, (person.torso_input.shape[0] / bend.shape[0], person.torso_input.shape[1] / bend.shape[1], 1), order=1)
    return with_photograph(replace(person, textures=textures, torso=torso, torso_input=_times(person.torso_input, small)), person)


def _unrolled(person: Person, light: Light) -> dict[int, Float[np.ndarray, "s s 3"]]:
    """For textures that do not lie in the source view (procedural people have them): their change of light by their own normals."""
    from core.people.atlas import surface
    from core.people.geometry import LAYER_EYES, LAYER_SIDE
    from core.people.skull import vertex_normals

    if len(person.textures) <= LAYER_SIDE + 1:
        return {}
    mesh, side, out = person.solid, person.textures.shape[1], {}
    normals = vertex_normals(mesh.vertices, mesh.triangles)
    for layer in np.setdiff1d(np.unique(mesh.layer), [LAYER_EYES, LAYER_MADE]):
        worn = surface(mesh.uvw, mesh.vertices, normals, mesh.triangles[mesh.layer == layer], side // 2)
        own = worn.normals @ person.source_pose.rotation.T
        ratio = np.clip(light(own) / FRONTAL(own), 0.3, 2.2)
        out[int(layer)] = zoom(ratio, (side / (side // 2), side / (side // 2), 1), order=1)[:side, :side]
    if LAYER_FRONT in out:  # what grows on the face is lit as the face
        out[LAYER_SIDE + 1] = out[LAYER_FRONT]
    return out


def with_photograph(changed: Person, before: Person) -> Person:
    """Change a person's photograph as its source view changed."""
    if before.photograph is None:
        return changed
    c, size = before.coeffs, before.photograph.shape[0]
    pose = c.exp[0].numpy(), c.euler[0].numpy(), c.trans[0].numpy()
    was, now = (render(who, *pose, size).image.astype(np.float32) + 2 for who in (before, changed))
    return replace(changed, photograph=_times(before.photograph, now / was))


def _torso_ratio(person: Person, light: Light) -> Float[np.ndarray, "s s 3"]:
    """Shoulders are taken for a cylinder; its shading is that of the light, as bright on the whole as the head's."""
    side = person.torso.image.shape[1]
    middle = 0.5 + FIT_FOCAL * float(person.source_pose.trans[0]) / (FIT_DISTANCE - float(person.source_pose.trans[2]))
    across = np.clip(((np.arange(side) + 0.5) / side - middle) / 0.6, -0.8, 0.8)
    normals = np.stack([across, np.full(side, 0.2), np.sqrt(1 - across**2)], -1)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    ratio = light(normals) / FRONTAL(normals)
    ratio = np.clip(ratio / ratio.mean(), 0.4, 1.8)
    return np.broadcast_to(ratio[None], (person.torso.image.shape[0], side, 3))


def _times(image: UInt8[np.ndarray, "*s 3"], factor: Float[np.ndarray, "*t 3"]) -> UInt8[np.ndarray, "*s 3"]:
    """Scale bytes; what would be brighter than white runs into it softly."""
    out = image * factor
    out = np.where((out > 200) & (factor > 1), 200 + 55 * np.tanh((out - 200) / 55), out)
    return np.clip(out + 0.5, 0, 255).astype(np.uint8)
