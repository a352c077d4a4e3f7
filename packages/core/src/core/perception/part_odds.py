"""How likely hair, face, neck and clothes are at every pixel of a person: where they can be, times colours learnt from the photo.

The colours are learnt by expectation maximisation, starting from places that are nearly sure: hair above the forehead, skin in the face,
clothes at the shoulders.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from core.perception.colours import colour_bins, colour_density, skin_distance, texture
from core.perception.face_frame import FaceFrame, face_frame

GRID = 72
"""Width of the face, in pixels, at which parts are told apart."""
SKIN_LIMIT = 9.0
"""Squared distance (in standard deviations of the face's colour) up to which a pixel is skin."""
ROUNDS = 3
UNSEEN = (2e-5, 2e-5, 3e-4)
"""Density of colours never seen in hair, skin, clothes: a new colour most likely belongs to clothes."""
SHADE = 4e-3
"""Density of the face's hue at another lightness, as on a neck in the chin's shade."""
BEARD = 0.25
"""Share of the chin that is rough and not skin, from which on there is a beard."""


@dataclass(frozen=True)
class View:
    """A person, at the resolution of `GRID`."""

    frame: FaceFrame
    person: Bool[np.ndarray, "h w"]
    lab: Float[np.ndarray, "h w 3"]
    texture: Float[np.ndarray, "h w"]
    bins: Int[np.ndarray, "h w"]
    """Of `colour_bins`."""
    unlike_skin: Float[np.ndarray, "h w"]
    """`skin_distance`."""
    beyond: Float[np.ndarray, "h w"]
    """Distance from the face's outline in widths of the face, 0 inside."""
    reach: Float[np.ndarray, "h w"]
    """``|u|`` of the person's outline between eyes and ear lobe on the side of the pixel: hair hangs inside, shoulders lie outside."""

    @property
    def below(self) -> Bool[np.ndarray, "h w"]:
        """Under the ear lobe."""
        return self.frame.v > self.frame.lobe

    @property
    def doubtful(self) -> Bool[np.ndarray, "h w"]:
        """May be head or torso."""
        return self.person & ~self.frame.oval & (self.below | ((self.frame.v > 0.4) & (np.abs(self.frame.u) > 1.05)))


@dataclass(frozen=True)
class _Start:
    """Nearly sure places (`h w` weights)."""

    hair: Bool[np.ndarray, "h w"]
    skin: Bool[np.ndarray, "h w"]
    clothes: Bool[np.ndarray, "h w"]
    beard: Bool[np.ndarray, "h w"]
    bald: bool


def look(image: UInt8[np.ndarray, "h w 3"], landmarks: Float[np.ndarray, "478 d"], person: Bool[np.ndarray, "h w"], width: float) -> View:
    """Shrink a picture so that the face is `GRID` wide and measure what `part_odds` needs.

    Args:
        image: RGB.
        landmarks: normalised.
        person: where the person is.
        width: of the face in pixels.
    """
    import cv2

    shrink = min(1.0, GRID / width)
    size = (max(2, round(image.shape[1] * shrink)), max(2, round(image.shape[0] * shrink)))
    middle = cv2.resize(image, None, fx=min(1.0, 2 * shrink), fy=min(1.0, 2 * shrink), interpolation=cv2.INTER_AREA)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    frame = face_frame(landmarks, size[1], size[0])
    inside = (cv2.resize(person.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5) | frame.oval
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    rough = texture(middle, size)
    beyond = cv2.distanceTransform((~frame.oval).astype(np.uint8), cv2.DIST_L2, 5) / np.float32(frame.width)
    unlike_skin = skin_distance(small, frame.oval & (frame.v < 0.95))
    return View(frame, inside, lab, rough, colour_bins(lab, rough), unlike_skin, beyond, _reach(inside, frame))


def _reach(person: Bool[np.ndarray, "h w"], frame: FaceFrame) -> Float[np.ndarray, "h w"]:
    result = np.empty(person.shape, np.float32)
    for side in (frame.u < 0, frame.u >= 0):
        beside = person & side & (frame.v > frame.lobe - 0.3) & (frame.v < frame.lobe - 0.02)
        result[side] = np.clip(np.percentile(np.abs(frame.u[beside]), 98), 1.0, 2.3) if beside.any() else 1.1
    return result


def part_odds(view: View) -> Float[np.ndarray, "4 h w"]:
    """Probabilities of hair (beards too), the face's skin, the torso's skin, and clothes; they sum to 1 on the person, to 0 outside."""
    import cv2

    start = _start(view)
    hair, skin, clothes = (
        colour_density(view.bins, seeds.astype(np.float32), unseen)
        for seeds, unseen in zip((start.hair, start.skin, start.clothes), UNSEEN, strict=True)
    )
    chin = view.frame.oval & (view.frame.v > 0.75)
    bearded = start.beard.sum() > BEARD * max(1, chin.sum())
    beard = colour_density(view.bins, start.beard.astype(np.float32), 1e-6)[view.bins] * np.exp(-np.square(view.beyond / 0.18)) * bearded
    shade = SHADE * np.exp(-0.5 * view.unlike_skin)
    aside = np.abs(view.frame.u)
    for turn in range(ROUNDS):
        colours = [density[view.bins] for density in (hair, skin, clothes)]
        gate = _gate(view, *colours)
        places = _places(view, gate, start.bald)
        bare = colours[1] + shade * (1 - gate * (aside > 0.55))
        grown = places[0] * colours[0] + view.doubtful * beard * (aside < 1)
        found = np.stack([grown, places[1] * colours[1], places[2] * bare, places[3] * colours[2]])
        found = np.stack([cv2.blur(part, (3, 3)) for part in (_shares(found) * view.person).astype(np.float32)])
        found = _shares(found) * view.person
        if turn < ROUNDS - 1:
            hair = colour_density(view.bins, found[0] ** 2 + 0.3 * start.hair, UNSEEN[0])
            skin = colour_density(view.bins, found[1] ** 2 + found[2] ** 2, UNSEEN[1])
            clothes = colour_density(view.bins, found[3] ** 2 + 0.3 * start.clothes, UNSEEN[2])
    return found.astype(np.float32)


def _shares(parts: Float[np.ndarray, "4 h w"]) -> Float[np.ndarray, "4 h w"]:
    return parts / np.maximum(parts.sum(axis=0), 1e-12)


def _start(view: View) -> _Start:
    frame, skin = view.frame, view.unlike_skin < SKIN_LIMIT
    u, v, aside = frame.u, frame.v, np.abs(frame.u)
    face, top = frame.oval & skin & (v > 0.1) & (v < 0.7), view.person & (v < 0) & (view.beyond > 0.02)
    least = 0.01 * frame.width**2
    bald = False
    if top.sum() > least and face.any():
        gap = np.abs(np.median(view.lab[top], axis=0) - np.median(view.lab[face], axis=0))
        bald = bool(gap[0] < 14 and gap[1:].max() < 9 and np.median(view.texture[top]) < 1.5 * np.median(view.texture[face]))
    hair = view.person & ~frame.oval & (v < 0.35) & ~skin
    if not bald and hair.sum() < 3 * least:  # hair of the skin's colour
        hair |= top
    chest = (v > 1.25) & (aside < 0.35) & ~skin
    shoulders = (v > frame.lobe + 0.05) & (aside > view.reach + 0.15)
    lips = view.lab[..., 1] > 14
    beard = frame.oval & (v > 0.75) & (np.abs(u) < 0.9) & ~skin & ~lips & (view.texture > 1.5)
    return _Start(hair, frame.oval & skin, view.person & (shoulders | chest), beard, bald)


def _gate(
    view: View, hair: Float[np.ndarray, "h w"], skin: Float[np.ndarray, "h w"], clothes: Float[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w"]:
    """1 on a side where hair passes the ear lobe, else 0: collars of the hair's colour do not continue anything there."""
    frame = view.frame
    likely = hair / (hair + skin + 0.3 * clothes) > 0.6
    passing = view.person & ~frame.oval & (np.abs(frame.v - frame.lobe + 0.01) < 0.05) & (np.abs(frame.u) > 0.8) & likely
    result = np.empty(frame.u.shape, np.float32)
    for side in (frame.u < 0, frame.u >= 0):
        result[side] = np.clip(((passing & side).sum() / frame.width**2 - 0.004) / 0.008, 0, 1)
    return result


def _places(view: View, gate: Float[np.ndarray, "h w"], bald: bool) -> Float[np.ndarray, "4 h w"]:
    """How likely hair, the face's skin, the torso's skin and clothes are by place alone (not normalised)."""
    frame, beyond, reach = view.frame, view.beyond, view.reach
    v, aside = frame.v, np.abs(frame.u)
    throat = _step(v, 0.92, 0.02) * _step(-aside, -0.75, 0.04)
    wide = np.exp(-np.square(np.maximum(aside - reach - 0.03, 0) / 0.18))
    hair = np.where(view.below, gate, 1) * wide * _step(-v, -1.8, 0.15) * np.where(aside < 0.5, 0.1, 1) * (1 - 0.98 * throat)
    jowls = np.clip(1.15 - beyond / (0.05 - 0.038 * throat), 0.003, 1)
    neck = np.where(aside < 0.9, 1.0, 0.25) * _step(beyond, 0.015, 0.01)
    low = _step(v, 0.97, 0.06) * np.where(aside > reach, 1, 1 - 0.9 * gate * _step(-v, -1.1, 0.05))
    clothes = (0.04 + 0.96 * low) * (1 - 0.85 * throat * _step(-v, -1.1, 0.03))
    lower = np.stack([hair, np.where(view.below, jowls, 0.5), np.where(view.below, neck, 0), clothes])
    fringe = np.where((v < 0.2) | (aside > 0.85), 0.2 * _step(-v, -0.1, 0.04), 0)
    crown = np.ones_like(v) if bald else 0.5 * _step(v, -0.02, 0.03)
    nothing = np.zeros_like(v)
    upper = np.stack([np.where(frame.oval, fringe, 1), np.where(frame.oval, 1, crown), nothing, nothing])
    return np.where(view.doubtful, lower, upper)


def _step(value: Float[np.ndarray, "h w"], middle: float, width: float) -> Float[np.ndarray, "h w"]:
    """Logistic step from 0 to 1."""
    return 1 / (1 + np.exp(-np.clip((value - middle) / width, -30, 30)))
