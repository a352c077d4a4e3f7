"""Skin of another tone, against the skew of a set of photographs: pigments added or taken away where there is skin."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, UInt8
from scipy.ndimage import gaussian_filter

from core.people.geometry import LAYER_BACK, LAYER_FRONT, LAYER_SIDE
from core.people.lighting import with_photograph
from core.people.person import Person

SKIN, HAIR = (2, 3), 1
"""Segmentation labels: neck and face; and hair, which hides bald or high foreheads from a segmentation."""
MELANIN = np.array([0.77, 1.0, 1.1]) * 1.5
"""Darkening (natural logarithm of sRGB values) from the lightest (0) to the darkest (1) common skin."""
HAEMOGLOBIN = np.array([0.02, 0.22, 0.16])
"""Darkening by one unit more blood."""
LIGHTEST = 205.0
"""Green of the lightest common skin in a well exposed photograph."""
DARKER, LIGHTER = 0.4, 0.22
"""How far melanin is changed at most; lighter skin soon lacks the contrast of what is around it."""


@dataclass(frozen=True)
class Tone:
    """Pigments to add.

    Attributes:
        melanin: 0 unchanged; 1 from the lightest to the darkest common skin; negative is lighter.
        blood: 0 unchanged; 1 clearly redder.
    """

    melanin: float
    blood: float

    @classmethod
    def sample(cls, person: Person, rng: np.random.Generator) -> "Tone":
        """Towards a tone that is equally likely anywhere between light and dark, as far as stays plausible."""
        shift = rng.uniform(0, 1) - melanin(person)
        return cls(float(np.clip(shift, -LIGHTER, DARKER)), float(rng.normal() * 0.3))

    def apply(
        self, image: UInt8[np.ndarray, "h w 3"], skin: Float[np.ndarray, "h w"], usual: Float[np.ndarray, "3"]
    ) -> UInt8[np.ndarray, "h w 3"]:
        """Tint the skin of a picture: darker by a factor, lighter along a curve that keeps white, so that highlights do not run out.

        Args:
            image: RGB.
            skin: how much of each pixel is skin.
            usual: its usual colour.
        """
        mean = float(MELANIN.mean())
        factor: float | np.ndarray = np.exp(-self.melanin * mean)
        if self.melanin < 0:
            light, before = image.mean(-1) / 255, float(usual.mean()) / 255
            power = np.log(1 - min(before * factor, 0.86)) / np.log(1 - before)
            factor = np.maximum((1 - (1 - light) ** max(power, 1.0)) / np.maximum(light, 1e-3), 1.0)[..., None]
        hue = np.exp(-(self.melanin * (MELANIN - mean) + self.blood * HAEMOGLOBIN))
        return np.clip(image + skin[..., None] * (image * factor * hue - image) + 0.5, 0, 255).astype(np.uint8)


def usual_colour(person: Person) -> Float[np.ndarray, "3"]:
    """Median colour of the visible face, 8..235."""
    front = person.textures[LAYER_FRONT]
    seen = (person.classes[LAYER_FRONT] == 3) & (front[..., 3] > 250)
    return np.clip(np.median(front[seen][:, :3], 0) if seen.any() else np.full(3, 150.0), 8, 235)


def melanin(person: Person) -> float:
    """How dark the face of a person is: 0 lightest, 1 darkest common skin."""
    return float(np.clip(-np.log(usual_colour(person)[1] / LIGHTEST) / MELANIN[1], 0, 1))


def skin_share(
    image: UInt8[np.ndarray, "h w 3"], classes: UInt8[np.ndarray, "h w"], usual: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "h w"]:
    """How much of each pixel is skin: what is labelled so, and what is labelled hair but looks exactly like skin."""
    log = np.log((image.astype(np.float32) + 8) / (usual + 8))
    chroma = log - log.mean(-1, keepdims=True)
    alike = np.exp(-((log.mean(-1) / 0.4) ** 2) - ((chroma**2).sum(-1) / 0.08**2))
    alike = np.clip(1.6 * gaussian_filter(alike, 2.5) - 0.3, 0, 1) * (classes == HAIR)
    return gaussian_filter(np.maximum(np.isin(classes, SKIN).astype(np.float32), alike), 2.0)


def retone(person: Person, tone: Tone) -> Person:
    """The same person with skin of another tone; hair, eyes, teeth, clothes and background stay."""
    usual = usual_colour(person)
    textures = person.textures.copy()
    for layer in (LAYER_FRONT, LAYER_BACK, LAYER_SIDE):
        colours = textures[layer, ..., :3]
        textures[layer, ..., :3] = tone.apply(colours, skin_share(colours, person.classes[layer], usual), usual)
    neck = gaussian_filter((person.torso.classes == 2).astype(np.float32), 1.5)
    torso = replace(person.torso, image=tone.apply(person.torso.image, neck, usual))
    same = person.torso_input.shape[:2] == neck.shape
    given = tone.apply(person.torso_input, neck, usual) if same else person.torso_input
    return with_photograph(replace(person, textures=textures, torso=torso, torso_input=given), person)
