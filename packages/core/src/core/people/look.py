"""What a procedural person looks like, apart from the shape of the face."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from core.people.hair_styles import HairStyle
from core.people.lighting import Light
from core.people.tone import HAEMOGLOBIN, MELANIN

_HAIRS = ((26, 21, 20), (40, 28, 22), (62, 42, 30), (104, 70, 44), (150, 108, 64), (190, 152, 98), (120, 56, 30), (82, 36, 24))
_GREYS = ((150, 148, 146), (214, 212, 208))
_EYES = ((62, 38, 22), (84, 56, 32), (98, 104, 66), (92, 122, 148), (44, 30, 22), (112, 122, 128), (120, 96, 52))
_LIGHTEST = np.array([244.0, 208.0, 186.0], np.float32)
Colour = Float[np.ndarray, "3"]


def skin_colour(melanin: float | np.ndarray, blood: float | np.ndarray) -> np.ndarray:
    """RGB of skin, 0..255; melanin 0 lightest .. 1 darkest, blood 0 usual, 1 clearly redder."""
    pigments = np.stack(np.broadcast_arrays(melanin, blood), -1).astype(np.float32)
    return _LIGHTEST * np.exp(pigments @ -np.stack([MELANIN, HAEMOGLOBIN]).astype(np.float32))


@dataclass(frozen=True)
class Look:
    """Everything about a person that ``numpy.random`` decides besides geometry; change one attribute and the rest stays.

    Attributes:
        woman: shifts the shape of the face, and decides what is likely together.
        age: 0 twenty years .. 1 eighty years.
        melanin, blood, freckles, gloss: of the skin, 0..1.
        hair: how the hair is cut.
        hair_colour, iris, cloth, shirt, backdrop, wear: RGB 0..255; ``wear`` is that of glasses' frames and of hats.
        brows: 0 thin .. 1 bushy.
        beard: ``none``, ``stubble``, ``moustache``, ``goatee`` or ``full``.
        makeup: 0 none .. 1 strong.
        glasses: ``none``, ``round``, ``square`` or ``rimless``.
        hat: ``none``, ``beanie``, ``cap``, ``brim`` or ``scarf``.
        clothes: ``tee``, ``vneck``, ``shirt``, ``jacket`` or ``hoodie``.
        pattern: of the clothes: ``plain``, ``stripes``, ``checks`` or ``knit``.
        light: under which all colours are baked.
        exposure: brightness of the face under it, 1 is usual.
    """

    woman: bool
    age: float
    melanin: float
    blood: float
    freckles: float
    gloss: float
    hair: HairStyle
    hair_colour: Colour
    iris: Colour
    cloth: Colour
    shirt: Colour
    backdrop: Colour
    wear: Colour
    brows: float
    beard: str
    makeup: float
    glasses: str
    hat: str
    clothes: str
    pattern: str
    light: Light
    exposure: float

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "Look":
        """Skins from light to dark equally often, women and men, all ages."""
        woman, age, melanin = bool(rng.random() < 0.5), float(rng.beta(1.3, 1.6)), float(rng.uniform(0, 0.95))
        hair = HairStyle.sample(rng, woman, age)
        hat = _choose(rng, none=0.84, beanie=0.05, cap=0.04, brim=0.03, scarf=0.04 * woman)
        return cls(
            woman=woman,
            age=age,
            melanin=melanin,
            blood=float(rng.normal() * 0.25),
            freckles=float(max(rng.normal(-0.2, 0.5), 0)) * (melanin < 0.4),
            gloss=float(rng.uniform(0.25, 1)),
            hair=hair,
            hair_colour=_hair_colour(rng, melanin, age),
            iris=_mix(rng, _EYES if melanin < 0.45 else (_EYES[0], _EYES[1], _EYES[4]), 0.35),
            cloth=_cloth(rng),
            shirt=np.array([232.0, 232, 230]) - rng.uniform(0, 60) * rng.random(3),
            backdrop=_cloth(rng) * 0.6 + rng.uniform(40, 100),
            wear=_cloth(rng) * 0.7,
            brows=float(np.clip(rng.normal(0.35 if woman else 0.65, 0.18), 0, 1)),
            beard="none" if woman else _choose(rng, none=0.5, stubble=0.2, moustache=0.06, goatee=0.07, full=0.17),
            makeup=float(np.clip(rng.normal(0.35, 0.35), 0, 1)) * woman,
            glasses=_choose(rng, none=0.72, round=0.1, square=0.13, rimless=0.05),
            hat=hat,
            clothes=_choose(rng, tee=0.25, vneck=0.2, shirt=0.2, jacket=0.25, hoodie=0.1),
            pattern=_choose(rng, plain=0.6, stripes=0.13, checks=0.12, knit=0.15),
            light=_light(rng),
            exposure=float(np.exp(rng.normal() * 0.1 + 0.35 * max(melanin - 0.3, 0.0))),  # who photographs dark skin exposes for it
        )


def _choose(rng: np.random.Generator, **shares: float) -> str:
    share = np.cumsum(list(shares.values()))
    return list(shares)[int(np.searchsorted(share / share[-1], rng.random(), side="right"))]


def _mix(rng: np.random.Generator, table: tuple[tuple[int, ...], ...], spread: float) -> Colour:
    a, b = (np.array(table[i], float) for i in rng.integers(len(table), size=2))
    share = rng.uniform(0, spread)
    return np.clip(a * (1 - share) + b * share + rng.normal(size=3) * 2, 8, 250)


def _hair_colour(rng: np.random.Generator, melanin: float, age: float) -> Colour:
    own = _mix(rng, _HAIRS if melanin < 0.4 else _HAIRS[:3], 0.3)
    grey = np.clip((age - rng.uniform(0.35, 0.9)) * 3, 0, 1)
    return own * (1 - grey) + _mix(rng, _GREYS, 1.0) * grey


def _cloth(rng: np.random.Generator) -> Colour:
    """Muted colours mostly: a grey with a little of a hue."""
    hue = rng.dirichlet([1.5, 1.5, 1.5]) * 3 - 1
    return np.clip(rng.uniform(25, 200) * (1 + hue * rng.beta(1.2, 3.0)), 12, 235)


def _light(rng: np.random.Generator) -> Light:
    """A window or lamp obliquely in front for most; hard, low, coloured or from behind for one in five."""
    if rng.random() < 0.8:
        yaw, pitch = np.radians([rng.normal() * 38, rng.uniform(5, 50)])
        ambient = rng.uniform(0.35, 0.7)
        warm, cool = rng.normal() * 0.04 + 0.02, rng.normal() * 0.03
    else:
        yaw, pitch = np.radians([rng.choice([-1, 1]) * rng.uniform(55, 125), rng.uniform(-40, 60)])
        ambient = rng.uniform(0.12, 0.35)
        warm, cool = rng.normal(size=2) * 0.16
    direction = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
    lamp, sky = (np.exp(np.array([w, 0.0, -w])) for w in (warm, cool))
    return Light(direction, float(ambient), lamp / lamp.mean(), sky / sky.mean())
