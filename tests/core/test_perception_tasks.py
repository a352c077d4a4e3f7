"""Adapters of MediaPipe Tasks. Its models are not at hand: stand-ins speak their interface, bundled networks stand for the files."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from core.errors import PortraitError
from core.perception import landmarks as landmarks_module
from core.perception import solutions
from core.perception.class_parser import ClassParser, Segmenter
from core.perception.face_frame import FACE_OVAL
from core.perception.faces import BundledFaces, BundledFollower, FaceFinder, FaceFollower, TaskFaces, face_finder, face_follower
from core.perception.landmarks import find_face
from core.perception.mesh_parser import MeshParser
from core.perception.parsing import Parser, Part, default_parser, parse
from core.perception.task_files import LANDMARKER, MULTICLASS, VARIABLE, task_file
from core.perception.tasks import FollowingFaceLandmarker

mediapipe = pytest.importorskip("mediapipe")
cv2 = pytest.importorskip("cv2")
BUNDLED = Path(mediapipe.__file__).parent / "modules"
SIZE = 192


@pytest.fixture(scope="module")
def photo():
    return pytest.importorskip("skimage.data").astronaut()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    return tmp_path


@pytest.fixture
def landmarker_file(folder):
    """The layout of `face_landmarker.task` with an older mesh network inside, whose points are wrong but as many."""
    with zipfile.ZipFile(folder / LANDMARKER, "w") as archive:
        archive.write(BUNDLED / "face_detection/face_detection_short_range.tflite", "face_detector.tflite")
        archive.write(BUNDLED / "face_landmark/face_landmark.tflite", "face_landmarks_detector.tflite")
    return folder / LANDMARKER


def oval_landmarks():
    """The points that a parser uses, on an ellipse in the middle of the picture."""
    points = np.full((478, 2), 0.5, np.float32)
    for k, index in enumerate(FACE_OVAL):
        turn = 2 * np.pi * k / len(FACE_OVAL)
        points[index] = 0.5 + 0.16 * np.sin(turn), 0.45 - 0.2 * np.cos(turn)
    return points


class DrawnPerson:
    """A segmenter that knows its picture: a person with a hat and hands, and another person's shoulder at the edge."""

    def __init__(self):
        y, x = np.mgrid[:SIZE, :SIZE] / SIZE
        self.labels = np.zeros((SIZE, SIZE), np.uint8)
        self.labels[(y > 0.8) & (np.abs(x - 0.5) < 0.35)] = Part.CLOTHES
        self.labels[(y > 0.6) & (y < 0.8) & (np.abs(x - 0.5) < 0.09)] = Part.BODY_SKIN
        self.labels[((x - 0.5) / 0.19) ** 2 + ((y - 0.42) / 0.24) ** 2 < 1] = Part.HAIR
        self.labels[((x - 0.5) / 0.16) ** 2 + ((y - 0.45) / 0.2) ** 2 < 1] = Part.FACE_SKIN
        self.labels[(y > 0.12) & (y < 0.25) & (np.abs(x - 0.5) < 0.2)] = Part.OTHER
        self.own = self.labels.copy()
        self.labels[(y > 0.3) & (y < 0.7) & (x > 0.95)] = Part.CLOTHES
        colours = np.array([[40, 90, 160], [60, 40, 30], [200, 150, 130], [220, 170, 150], [90, 20, 20], [250, 240, 90]], np.uint8)
        self.image = colours[self.labels]

    def classes(self, image):
        assert image.shape == (SIZE, SIZE, 3)
        sharp = (np.arange(6)[:, None, None] == self.labels[None]).astype(np.float32)
        return np.stack([cv2.blur(plane, (5, 5)) for plane in sharp]) * 0.96 + 0.04 / 6  # a network is never quite sure


def test_parts_of_a_segmenter():
    person = DrawnPerson()
    assert isinstance(person, Segmenter)
    result = parse(person.image, oval_landmarks(), ClassParser(person))
    edges = np.abs(cv2.Laplacian(np.pad(person.labels, 6, mode="edge"), cv2.CV_16S)).astype(np.uint8)
    inner = cv2.dilate(edges, np.ones((11, 11)))[6:-6, 6:-6] == 0
    assert inner.mean() > 0.6
    np.testing.assert_array_equal(result.labels[inner], person.own[inner])  # without the other person
    head = np.isin(person.own, (Part.HAIR, Part.FACE_SKIN, Part.OTHER))
    np.testing.assert_allclose(result.head_alpha[inner], head[inner], atol=0.05)
    np.testing.assert_allclose(result.person_alpha[inner], person.own[inner] > 0, atol=0.05)
    assert (result.head_alpha <= result.person_alpha).all()


def test_files_are_looked_for_where_the_user_says(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert task_file(MULTICLASS) is None
    cached = tmp_path / "cache" / "real3d" / "mediapipe"
    cached.mkdir(parents=True)
    (cached / MULTICLASS).write_bytes(b"x")
    assert task_file(MULTICLASS) == cached / MULTICLASS
    assert task_file(LANDMARKER) is None
    (tmp_path / "mine").mkdir()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "mine"))
    assert task_file(MULTICLASS) is None
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nothing"))
    with pytest.raises(PortraitError, match=r"E_NO_FOLDER.*nothing"):
        task_file(MULTICLASS)


def test_the_bundled_networks_are_the_default(folder):
    assert isinstance(default_parser(), MeshParser)
    assert isinstance(default_parser(), Parser)
    assert isinstance(face_finder(), BundledFaces)
    assert isinstance(face_finder(), FaceFinder)
    assert isinstance(face_follower(), BundledFollower)


def test_a_model_with_other_classes_is_refused(folder, photo):
    """The bundled one-class network runs through the real interface of Tasks."""
    shutil.copy(BUNDLED / "selfie_segmentation/selfie_segmentation.tflite", folder / MULTICLASS)
    with pytest.raises(PortraitError, match=r"E_BAD_MODEL.*1 class"):
        parse(photo, oval_landmarks())


@pytest.mark.parametrize("name", [MULTICLASS, LANDMARKER])
def test_a_broken_model_is_named(folder, name):
    (folder / name).write_bytes(b"no model at all")
    with pytest.raises(PortraitError, match=f"E_BAD_MODEL.*{name}"):
        default_parser() if name == MULTICLASS else face_finder()


def no_solutions(*_):
    raise PortraitError("E_NO_MEDIAPIPE", "newer MediaPipe has none", "")


def test_a_landmarker_finds_the_same_face(photo, monkeypatch):
    """With the bundled detectors, and alone as on newer MediaPipe."""

    class Landmarker:
        def meshes(self, image):
            return BundledFaces().meshes(image)

    expected = find_face(photo)
    monkeypatch.setattr(landmarks_module, "face_finder", lambda: TaskFaces(Landmarker()))
    assert np.abs(find_face(photo).landmarks - expected.landmarks).max() < 1e-6
    with pytest.raises(PortraitError, match=r"E_FACE_ROTATED.*by 180"):
        find_face(photo[::-1, ::-1])
    monkeypatch.setattr(solutions, "face_detection", no_solutions)
    assert np.abs(find_face(photo).landmarks[:, :2] - expected.landmarks[:, :2]).mean() * 512 < 0.5


def test_landmarker_interface(landmarker_file, photo, monkeypatch):
    finder, follower = face_finder(), face_follower()
    assert isinstance(finder, TaskFaces)
    meshes = finder.meshes(photo)
    assert [mesh.shape for mesh in meshes] == [(478, 3)]
    monkeypatch.setattr(solutions, "face_detection", no_solutions)
    score, box = finder.boxes(photo)[0]
    assert score == pytest.approx(0.9)
    np.testing.assert_allclose(box, [*(meshes[0][:468, :2].min(0) * 512), *(meshes[0][:468, :2].max(0) * 512)], atol=0.1)
    assert isinstance(follower, FollowingFaceLandmarker)
    assert isinstance(follower, FaceFollower)
    assert follower.next_mesh(photo).shape == (478, 3)
    follower.reset()
    assert follower.next_mesh(np.zeros_like(photo)) is None
