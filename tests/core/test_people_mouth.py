"""The inside of a photograph's mouth, against the outline of the lips and against the whole lifted person."""

import numpy as np
import pytest
import torch
from core.face.expression import close_lips, motion_axis
from core.face.model import FaceModel
from core.people.geometry import Pose, project
from core.people.lifted import lift, square
from core.people.mouth import Mouth
from core.people.openings import polygon_mask
from core.people.person import Person, render

SIZE = 256


@pytest.fixture(scope="module")
def person() -> Person:
    from skimage.data import astronaut

    return lift(square(astronaut(), "astronaut"), "astronaut")


@pytest.fixture(scope="module")
def mouth(person: Person) -> Mouth:
    return Mouth.of(person.photograph, person.coeffs)


def whole(mouth: Mouth, exp: np.ndarray, coeffs) -> tuple[np.ndarray, np.ndarray]:
    """Colours and share at the size of the picture."""
    colours, share, (top, left) = mouth.draw(exp, coeffs.euler[0].numpy(), coeffs.trans[0].numpy(), SIZE)
    picture, mask = np.zeros((SIZE, SIZE, 3)), np.zeros((SIZE, SIZE))
    picture[top : top + len(share), left : left + share.shape[1]] = colours
    mask[top : top + len(share), left : left + share.shape[1]] = share
    return picture, mask


def test_it_fills_what_the_lips_leave_open(person: Person, mouth: Mouth):
    c = person.coeffs
    exp = (c.exp[0] + 0.5 * motion_axis(FaceModel.embedded(), "jaw_open")).numpy()
    pose = Pose.from_euler(c.euler[0].numpy(), c.trans[0].numpy())
    lips = project(pose.apply(mouth.motion.measured + mouth.motion(exp)))[mouth.lips]
    _, share = whole(mouth, exp, c)
    opening = polygon_mask(lips, SIZE)
    assert opening.sum() > 100
    assert np.abs(share - opening).sum() < 0.15 * opening.sum()


def test_shut_lips_hide_it(person: Person, mouth: Mouth):
    c = person.coeffs
    shut = close_lips(FaceModel.embedded(), c.id, c.exp, torch.ones(1))[0].numpy()
    _, share = whole(mouth, shut, c)
    assert share.sum() < 6


def test_it_is_what_the_lifted_person_shows(person: Person, mouth: Mouth):
    c = person.coeffs
    exp = (c.exp[0] + 0.4 * motion_axis(FaceModel.embedded(), "jaw_open")).numpy()
    frame = render(person, exp, c.euler[0].numpy(), c.trans[0].numpy(), SIZE)
    colours, share = whole(mouth, exp, c)
    inside = share == 1
    assert inside.sum() > 50
    assert np.abs(colours[inside] - frame.image[inside]).mean() < 16
    assert np.abs(colours[inside] - person.photograph.reshape(SIZE, 2, SIZE, 2, 3).mean((1, 3))[inside]).mean() > 20
